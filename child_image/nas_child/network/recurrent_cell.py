"""`RecurrentLayer`: a `RecurrentCell` architecture as a layer of a recurrent network (paper, section 3.4)."""

from collections.abc import Callable

import torch
from nas_api.architectures import CellNode, RecurrentCell
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]
"""The output h and the memory c after a step, each (batch, hidden size)."""

_COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "multiply": torch.mul,
    "max": torch.maximum,
}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "sin": torch.sin,
}


class RecurrentLayer(nn.Module):
    """Runs a cell over sequences.

    The weights of all leaves are one matrix for the input and one for the hidden state, leaf i in the rows from
    `i * hidden_size` on: the input of all steps is multiplied at once, the hidden state once a step.
    """

    def __init__(self, cell: RecurrentCell, input_size: int, hidden_size: int) -> None:
        """Builds the layer. Its weights are U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)), as those of PyTorch's LSTM.

        Args:
            cell: what is computed in a step.
            input_size: features of the input.
            hidden_size: features of h and of c.
        """
        super().__init__()
        self.cell = cell
        self.hidden_size = hidden_size
        self.input_weights = nn.Parameter(torch.empty(cell.base * hidden_size, input_size))
        self.hidden_weights = nn.Parameter(torch.empty(cell.base * hidden_size, hidden_size))
        self._operations = [_operation(node) for node in cell.nodes]
        self._children = [cell.children(index) for index in range(len(cell.nodes))]
        self._inject = _operation(cell.inject)
        for weights in self.parameters():
            nn.init.uniform_(weights, -(hidden_size**-0.5), hidden_size**-0.5)

    def initial_state(self, batch: int) -> State:
        """The state before the first step: zeros."""
        zeros = self.hidden_weights.new_zeros(batch, self.hidden_size)
        return zeros, zeros

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """The outputs of all steps, and the state after the last.

        With mixed precision the matrix products are in half precision. The nodes are not: what a cell adds up over
        many steps would lose its small terms.

        Args:
            inputs: (steps, batch, input size).
            state: before the first step.

        Returns:
            The outputs h, (steps, batch, hidden size), and the state.
        """
        hidden, memory = state
        exact = self.hidden_weights.dtype
        outputs = []
        for from_input in functional.linear(inputs, self.input_weights).to(exact).unbind():
            from_hidden = functional.linear(hidden, self.hidden_weights).to(exact)
            hidden, memory = self._step(from_input, from_hidden, memory)
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, memory)

    def _step(self, from_input: Tensor, from_hidden: Tensor, memory: Tensor) -> State:
        """One step, from the products of input and hidden state with the weights of all leaves."""
        base = self.cell.base
        leaves = list(zip(from_input.chunk(base, dim=-1), from_hidden.chunk(base, dim=-1), strict=True))
        combined: list[Tensor] = []
        outputs: list[Tensor] = []
        for index, ((combine, activate), children) in enumerate(zip(self._operations, self._children, strict=True)):
            left, right = leaves[index] if children is None else (outputs[child] for child in children)
            combined.append(combine(left, right))
            outputs.append(activate(combined[index]))
            if index == self.cell.inject_index:
                combine, activate = self._inject
                outputs[index] = activate(combine(outputs[index], memory))
        return outputs[-1], combined[self.cell.memory_index]


def _operation(node: CellNode) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]:
    return _COMBINATIONS[node.combination], _ACTIVATIONS[node.activation]
