"""`LSTMPolicy`: the recurrent network that proposes architectures (paper, sections 3.1 and 3.3).

It emits the decisions of a `Space` one after the other. Each decision is embedded and is the next input; its
distribution is a softmax over the choices of its kind, or for an anchor one sigmoid for each earlier anchor.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from nas_api import spec
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_controller.proposal import Proposal
from nas_controller.replay import Replay, Vocabulary, prepare
from nas_controller.spaces import Space, Step


@dataclass(frozen=True, slots=True)
class Samples:
    """What the policy proposes.

    log_probability: log P of the decisions when they were drawn, shape [samples], float64.
    """

    proposals: list[Proposal]
    log_probability: Tensor


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the policy makes of m proposals of at most T decisions each, differentiable.

    Sums are in float64: a deep network has thousands of decisions.

    decision_log_probability: of each decision given those before, shape [T, m]; 0 after the last of a proposal.
    entropy: nats a decision, mean over the decisions of a proposal, each bit of an anchor being one, shape [m].
    hidden: the state of the LSTM's top layer that each decision was taken in, shape [T, m, width], float32.
    made: which decisions there are, shape [T, m], bool.
    """

    decision_log_probability: Tensor
    entropy: Tensor
    hidden: Tensor
    made: Tensor

    @property
    def log_probability(self) -> Tensor:
        """Of all decisions of a proposal together, shape [m], float64."""
        return self.decision_log_probability.sum(0)


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Other decisions for single places of a proposal.

    decisions: for each its place among the proposal's decisions, and what could be decided there.
    probabilities: of each at its place, shape [alternatives].
    """

    decisions: tuple[tuple[int, int], ...]
    probabilities: NDArray[np.float64]


class LSTMPolicy(nn.Module):
    """The policy over the architectures of `space`.

    One embedding table holds every choice of every kind, one output layer scores them all, and a step sees the rows of
    its own kind. At the anchor of layer i,

        P(layer j is an input of layer i) = sigmoid(v^T tanh(W_prev h_j + W_curr h_i)),

    h_j being the hidden state of the top layer at the anchor of layer j. The first layer has an anchor as well, with
    nothing to choose: it is there to have a hidden state. What enters after an anchor is an embedding of the anchor
    itself plus the mean of the embeddings of the layers chosen.
    """

    def __init__(self, space: Space, settings: spec.Policy, generator: torch.Generator) -> None:
        super().__init__()
        self._space = space
        self._vocabulary = vocabulary = Vocabulary(space.kinds)
        width = settings.hidden_size
        # Modules draw their first weights from torch's global generator, unless they are made without storage.
        meta = torch.device("meta")
        self.embedding = nn.Embedding(vocabulary.choices + 2, width, device=meta)
        self.lstm = nn.LSTM(width, width, settings.layers, device=meta)
        # At least one output: torch warns of a layer without any, and a space may have nothing but anchors to choose.
        self.head = nn.Linear(width, max(vocabulary.choices, 1), device=meta)
        if vocabulary.most_anchors:
            self.anchor_embedding = nn.Embedding(vocabulary.most_anchors, width, device=meta)
            self.anchor_previous = nn.Linear(width, width, bias=False, device=meta)
            self.anchor_current = nn.Linear(width, width, bias=False, device=meta)
            self.anchor_score = nn.Linear(width, 1, bias=False, device=meta)
        self.to_empty(device="cpu")
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-settings.init_scale, settings.init_scale, generator=generator)
        # What is added to the scores of all choices at a step of each kind, shape [kinds, choices]. It is finite, so
        # that p log p is 0 for the choices of other kinds, and has a gradient.
        self._mask = torch.full((len(space.kinds), self.head.out_features), -1e9)
        for mask, own in zip(self._mask, vocabulary.ranges, strict=True):
            mask[own] = 0.0

    @torch.inference_mode()
    def sample(self, count: int, depth: int, generator: torch.Generator) -> Samples:
        """Draws `count` architectures of the given depth, all of them one step further at a time."""
        walks = [self._space.walk(depth) for _ in range(count)]
        decisions: list[list[int]] = [[] for _ in walks]
        steps: dict[int, Step] = {}  # the next step of each sample that is not complete
        for row, walk in enumerate(walks):
            with suppress(StopIteration):  # raised at once where there is nothing to decide
                steps[row] = next(walk)

        lstm = self.lstm.all_weights
        width = self.lstm.hidden_size
        heads = [
            (self.head.weight[own], self.head.bias[own], self.embedding.weight[own]) for own in self._vocabulary.ranges
        ]
        state = [(torch.zeros(count, width), torch.zeros(count, width)) for _ in lstm]
        log_probability = torch.zeros(count, dtype=torch.float64)
        previous = torch.zeros(count, self._vocabulary.most_anchors + 1, width)  # W_prev h_j
        entering = self.embedding.weight[self._vocabulary.start].expand(count, width)
        while steps:
            top = entering
            for layer, weights in enumerate(lstm):
                state[layer] = torch.lstm_cell(top, state[layer], *weights)
                top = state[layer][0]
            groups: dict[Step, list[int]] = {}
            for row, step in steps.items():
                groups.setdefault(step, []).append(row)
            entering = torch.zeros(count, width)
            for step, members in groups.items():
                rows = slice(None) if len(members) == count else members
                hidden = top[rows]
                if self._space.kinds[step.kind].anchor:
                    earlier = step.predecessors
                    previous[rows, earlier] = F.linear(hidden, self.anchor_previous.weight)
                    current = F.linear(hidden, self.anchor_current.weight).unsqueeze(1)
                    logits = torch.tanh(previous[rows, :earlier] + current) @ self.anchor_score.weight[0]
                    bits = torch.rand(logits.shape, generator=generator) < torch.sigmoid(logits)
                    log_probability[rows] -= F.softplus(torch.where(bits, -logits, logits)).sum(1)
                    entering[rows] = self.embedding.weight[self._vocabulary.anchor] + self._embed_anchors(bits)
                    packed = np.packbits(bits.numpy(), 1, "little")
                    drawn = [int.from_bytes(mask.tobytes(), "little") for mask in packed]
                else:
                    weight, bias, embedding = heads[step.kind]
                    scores = F.linear(hidden, weight, bias).log_softmax(1)
                    # The Gumbel-max trick: argmax of log p - log e, e exponentially distributed, is distributed as p.
                    noise = torch.empty_like(scores).exponential_(generator=generator).log_()
                    chosen = (scores - noise).argmax(1)
                    log_probability[rows] += scores.gather(1, chosen.unsqueeze(1)).squeeze(1)
                    entering[rows] = embedding[chosen]
                    drawn = chosen.tolist()
                for row, decision in zip(members, drawn, strict=True):
                    decisions[row].append(decision)
                    try:
                        steps[row] = walks[row].send(decision)
                    except StopIteration:
                        del steps[row]
        return Samples([Proposal(tuple(made), depth) for made in decisions], log_probability)

    def evaluate(self, proposals: Sequence[Proposal]) -> Evaluation:
        """Replays the decisions of at least one proposal, all of them through one call of the LSTM.

        Raises:
            ValueError: a proposal is not of this space.
        """
        replay = prepare(self._space, self._vocabulary, proposals)
        count = len(proposals)
        states = self._replay(replay)
        hidden = states.reshape(-1, self.lstm.hidden_size)

        scores = self._choice_scores(hidden, replay)
        chosen = scores.gather(1, replay.choice_tokens.unsqueeze(1)).squeeze(1)
        entropies = -(scores.exp() * scores).sum(1)
        log_probability = torch.zeros(len(hidden), dtype=torch.float64)
        log_probability = log_probability.index_add(0, replay.choice_positions, chosen.double())
        entropy = torch.zeros(count, dtype=torch.float64)
        entropy = entropy.index_add(0, replay.choice_positions % count, entropies.double())
        if len(replay.pair_bits):
            logits = self._anchor_logits(hidden, replay)
            surprise = F.softplus(torch.where(replay.pair_bits, -logits, logits))  # -log P(bit)
            positions = replay.anchor_positions[replay.pair_later]
            log_probability = log_probability.index_add(0, positions, -surprise.double())
            # With p = sigmoid(x), -p log p - (1 - p) log(1 - p) = softplus(x) - p x.
            bit_entropy = F.softplus(logits) - torch.sigmoid(logits) * logits
            entropy = entropy.index_add(0, positions % count, bit_entropy.double())
        return Evaluation(
            decision_log_probability=log_probability.view(-1, count),
            entropy=entropy / replay.decisions.clamp(min=1),
            hidden=states,
            made=replay.made,
        )

    @torch.inference_mode()
    def alternatives(self, proposals: Sequence[Proposal]) -> list[Alternatives]:
        """What else could be decided in each of at least one proposal, and how likely the policy finds it.

        Each alternative is another decision at one place, the decisions before it being as they are. An anchor has one
        for each of its bits, which it flips.

        Raises:
            ValueError: a proposal is not of this space.
        """
        replay = prepare(self._space, self._vocabulary, proposals)
        count = len(proposals)
        hidden = self._replay(replay).reshape(-1, self.lstm.hidden_size)
        found: list[list[tuple[int, int, float]]] = [[] for _ in proposals]
        for position, kind, token, probabilities in zip(
            replay.choice_positions.tolist(),
            replay.choice_kinds.tolist(),
            replay.choice_tokens.tolist(),
            self._choice_scores(hidden, replay).exp(),
            strict=True,
        ):
            own = self._vocabulary.ranges[kind]
            found[position % count] += [
                (position // count, choice, probability)
                for choice, probability in enumerate(probabilities[own].tolist())
                if own.start + choice != token
            ]
        if len(replay.pair_bits):
            logits = self._anchor_logits(hidden, replay)
            flipped = torch.sigmoid(torch.where(replay.pair_bits, -logits, logits))
            positions = replay.anchor_positions.tolist()
            firsts = {position % count: anchor for anchor, position in reversed(list(enumerate(positions)))}
            for later, earlier, probability in zip(
                replay.pair_later.tolist(), replay.pair_earlier.tolist(), flipped.tolist(), strict=True
            ):
                place, proposal = divmod(positions[later], count)
                bit = 1 << (earlier - firsts[proposal])
                found[proposal].append((place, proposals[proposal].decisions[place] ^ bit, probability))
        return [
            Alternatives(
                tuple((place, decision) for place, decision, _ in each),
                np.array([p for *_, p in each], dtype=np.float64),
            )
            for each in found
        ]

    def _replay(self, replay: Replay) -> Tensor:
        """The hidden states of the top layer, shape [steps, proposals, hidden size]."""
        entering = self.embedding(replay.tokens)
        if len(replay.anchor_positions):
            after = replay.anchor_positions + replay.tokens.shape[1]  # the step after an anchor
            embedded = self._embed_anchors(replay.anchor_bits)
            entering = entering.view(-1, entering.shape[2]).index_add(0, after, embedded).view(entering.shape)
        states: Tensor = self.lstm(entering[:-1])[0]
        return states

    def _choice_scores(self, hidden: Tensor, replay: Replay) -> Tensor:
        """Log-probabilities at each place of a choice, shape [places, choices of all kinds]."""
        scores: Tensor = self.head(hidden[replay.choice_positions]) + self._mask[replay.choice_kinds]
        return scores.log_softmax(1)

    def _anchor_logits(self, hidden: Tensor, replay: Replay) -> Tensor:
        """The logit of each bit of each anchor, shape [pairs]."""
        at_anchors = hidden[replay.anchor_positions]
        previous = self.anchor_previous(at_anchors)[replay.pair_earlier]
        current = self.anchor_current(at_anchors)[replay.pair_later]
        logits: Tensor = self.anchor_score(torch.tanh(previous + current)).squeeze(1)
        return logits

    def _embed_anchors(self, bits: Tensor) -> Tensor:
        """The mean of the embeddings of the layers that each anchor chose, zero where it chose none.

        Args:
            bits: shape [anchors, layers], bool.
        """
        weight = self.anchor_embedding.weight[: bits.shape[1]]
        return bits.float() @ weight / bits.sum(1, keepdim=True).clamp(min=1)
