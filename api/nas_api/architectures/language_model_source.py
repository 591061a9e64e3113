"""Writes a language model of a `RecurrentCell` as the Python module that a person would write for it.

Like `pytorch_source`, which does it for a `ConvNet`: what it writes imports PyTorch and nothing else.
"""

from nas_api.architectures.recurrent_cell import CellNode, RecurrentCell
from nas_api.spec.trainer import LanguageModel

_COMBINATIONS = {"add": "{} + {}", "multiply": "{} * {}", "max": "torch.maximum({}, {})"}


def write_language_model_source(
    cell: RecurrentCell,
    settings: LanguageModel,
    title: str,
    vocabulary: int | None = None,
    weights: str = "",
) -> str:
    """The module's text: a class `Cell`, whose nodes are numbered as `nas show` numbers them, and a class `Network`.

    Run by itself, the module learns a text byte by byte for a few steps and prints the loss.

    Args:
        cell: the architecture.
        settings: sizes, number of layers, dropout, and whether embeddings are shared.
        title: first line of the module's docstring, without the full stop.
        vocabulary: number of tokens, if it is known. None: `Network` must be told.
        weights: name of the file of weights that comes with the module (safetensors); empty: there is none.
    """
    hidden = settings.hidden_size
    embedding = settings.embedding_size or hidden
    inputs = f"[{hidden}] * {settings.layers}"
    if embedding != hidden or settings.layers == 1:
        inputs = f"[{embedding}]" + (f" + [{hidden}] * {settings.layers - 1}" if settings.layers > 1 else "")
    default = "" if vocabulary is None else f" = {vocabulary}"
    creation = "Network()" if vocabulary else "Network(vocabulary)"
    loading = _LOADING.format(file=weights) if weights else f"network = {creation}  # with random weights"
    shared = "        self.decoder.weight = self.embedding.weight\n" if settings.shared_embeddings else ""
    return f'''"""{title}.

A language model with a recurrent cell of base {cell.base}. The code needs nothing but PyTorch:

    {loading}
    scores, state = network(tokens)  # tokens: int64, (steps, batch)
    scores, state = network(tokens_that_follow, state)

Run by itself, as in `python model.py text.txt`, it learns the bytes of a text for a few steps: a start
for code of your own. Without a text it learns its own source.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = list[tuple[Tensor, Tensor]]  # h and c of each layer, each (batch, {hidden})


class Cell(nn.Module):
    """A layer: the cell, a tree of {cell.base} leaves and {cell.base - 1} nodes, runs over a sequence."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        # Leaf i has the rows from i * hidden on.
        self.input_weights = nn.Parameter(torch.empty({cell.base} * hidden, inputs))
        self.hidden_weights = nn.Parameter(torch.empty({cell.base} * hidden, hidden))
        for weights in self.parameters():
            nn.init.uniform_(weights, -(hidden**-0.5), hidden**-0.5)

    def forward(self, inputs: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of all steps, (steps, batch, hidden), and h and c after the last."""
        outputs = []
        for x in F.linear(inputs, self.input_weights).unbind():
            h, c = self.step(x, F.linear(h, self.hidden_weights), c)
            outputs.append(h)
        return torch.stack(outputs), h, c

    def step(self, inputs: Tensor, hidden: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The new h and c, from input and h times the weights of all leaves, and c."""
        x = inputs.chunk({cell.base}, dim=-1)
        h = hidden.chunk({cell.base}, dim=-1)
{_step_lines(cell)}

class Network(nn.Module):
    """Scores of the next token, (steps, batch, vocabulary), of tokens, (steps, batch)."""

    def __init__(self, vocabulary: int{default}) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, {embedding})
        self.layers = nn.ModuleList(Cell(inputs, {hidden}) for inputs in {inputs})
        self.dropout = nn.Dropout({settings.dropout:g})
        self.decoder = nn.Linear({hidden}, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
{shared}
    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        features = self.dropout(self.embedding(tokens))
        if state is None:
            zeros = features.new_zeros(tokens.shape[1], {hidden})
            state = [(zeros, zeros)] * {settings.layers}
        after = []
        for layer, (h, c) in zip(self.layers, state):
            features, h, c = layer(features, h, c)
            features = self.dropout(features)
            after.append((h, c))
        return self.decoder(features), after


def main() -> None:
    """Learns the bytes of a text. Put data of your own in their place."""
    torch.manual_seed(0)
    text = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).read_bytes()
    pieces, steps = 8, 32
    tokens = torch.tensor(list(text[: len(text) // pieces * pieces])).view(pieces, -1).t()
    network = Network(vocabulary=256)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for step in range(1, 21):
        start = int(torch.randint(len(tokens) - steps, ()))
        scores, _ = network(tokens[start : start + steps])
        following = tokens[start + 1 : start + steps + 1]
        loss = F.cross_entropy(scores.flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), {settings.gradient_clipping:g})
        optimizer.step()
        print(f"step {{step}}: loss {{loss.item():.4f}}")


if __name__ == "__main__":
    main()
'''


_LOADING = """\
from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file("{file}"))
    network.eval()"""


def _step_lines(cell: RecurrentCell) -> str:
    lines = []
    for index, node in enumerate(cell.nodes):
        children = cell.children(index)
        left, right = (f"x[{index}]", f"h[{index}]") if children is None else (f"n{child}" for child in children)
        combined = _combined(node, left, right)
        if index == cell.memory_index:
            lines.append(f"new_c = {combined}")
            combined = "new_c"
        lines.append(f"n{index} = {_activated(node, combined)}")
        if index == cell.inject_index:
            lines.append(f"n{index} = {_activated(cell.inject, _combined(cell.inject, f'n{index}', 'c'))}")
    lines.append(f"return n{len(cell.nodes) - 1}, new_c")
    return "".join(f"        {line}\n" for line in lines)


def _combined(node: CellNode, left: str, right: str) -> str:
    return _COMBINATIONS[node.combination].format(left, right)


def _activated(node: CellNode, value: str) -> str:
    return value if node.activation == "identity" else f"torch.{node.activation}({value})"
