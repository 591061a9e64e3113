"""`RecurrentLayer`: what a cell computes, against formulas written down independently of it."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.architectures import CellNode, RecurrentCell
from nas_api.architectures.recurrent_cell import LSTM_CELL, NAS_CELL
from nas_child.network import RecurrentLayer
from torch import Tensor, nn

from tests.unit.child.network.cells import cells

torch.set_num_threads(1)

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6
Step = Callable[[list[Tensor], list[Tensor], Tensor], tuple[Tensor, Tensor]]


def layer_of(cell: RecurrentCell) -> RecurrentLayer:
    torch.manual_seed(0)
    layer = RecurrentLayer(cell, INPUTS, HIDDEN).double()
    for weights in layer.parameters():
        nn.init.normal_(weights)  # large enough for every activation to show what it is
    return layer


def leaf_weights(layer: RecurrentLayer) -> tuple[list[Tensor], list[Tensor]]:
    """Those of the input and of the hidden state, of each leaf."""
    return list(layer.input_weights.detach().split(HIDDEN)), list(layer.hidden_weights.detach().split(HIDDEN))


def random_input() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, and a state that is not zero."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((STEPS, BATCH, INPUTS), (BATCH, HIDDEN), (BATCH, HIDDEN))
    inputs, hidden, memory = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return inputs, hidden, memory


def assert_computes(cell: RecurrentCell, step: Step) -> None:
    """The layer gives what `step` gives. It takes W x and U h of each leaf and c, and returns the new h and c."""
    layer = layer_of(cell)
    inputs, hidden, memory = random_input()
    outputs, (last_hidden, last_memory) = layer(inputs, (hidden, memory))
    of_input, of_hidden = leaf_weights(layer)
    for x, output in zip(inputs, outputs, strict=True):
        hidden, memory = step([x @ w.T for w in of_input], [hidden @ u.T for u in of_hidden], memory)
        torch.testing.assert_close(output, hidden, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last_hidden, hidden, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last_memory, memory, rtol=1e-12, atol=1e-12)


def test_the_nascell_of_tensorflow_is_a_cell_of_base_8() -> None:
    """The formulas of `tf.contrib.rnn.NASCell`, line by line."""
    sigmoid, tanh, relu = torch.sigmoid, torch.tanh, torch.relu

    def step(x: list[Tensor], h: list[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        layer1_0 = sigmoid(x[0] + h[0])
        layer1_1 = relu(x[1] + h[1])
        layer1_2 = sigmoid(x[2] + h[2])
        layer1_3 = relu(x[3] * h[3])
        layer1_4 = tanh(x[4] + h[4])
        layer1_5 = sigmoid(x[5] + h[5])
        layer1_6 = tanh(x[6] + h[6])
        layer1_7 = sigmoid(x[7] + h[7])
        layer2_0 = tanh(tanh(layer1_0 * layer1_1) + c)
        layer2_1 = tanh(layer1_2 + layer1_3)
        layer2_2 = tanh(layer1_4 * layer1_5)
        layer2_3 = sigmoid(layer1_6 + layer1_7)
        new_c = layer2_0 * layer2_1
        layer3_1 = tanh(layer2_2 + layer2_3)
        return tanh(new_c * layer3_1), new_c

    assert_computes(NAS_CELL, step)


def node(combination: str, activation: str) -> CellNode:
    return CellNode.model_validate({"combination": combination, "activation": activation})


IDENTITY = node("add", "identity")
FORGET = node("multiply", "identity")

# (i * g) and the forget gate, their sum, and the output gate, which is carried up to the root: no leaf is left over.
LSTM_OF_BASE_5 = RecurrentCell(
    nodes=(
        node("add", "sigmoid"), node("add", "tanh"),  # i, g
        IDENTITY, IDENTITY,  # together: f
        node("add", "sigmoid"),  # o
        node("multiply", "identity"), node("add", "sigmoid"),  # i * g, f
        node("add", "tanh"),  # c
        node("multiply", "identity"),  # h
    ),
    inject=FORGET, inject_index=6, memory_index=7,
)  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "gates"),
    [
        # Which leaves make a gate: of input, forget, candidate and output, as PyTorch orders them.
        (LSTM_OF_BASE_5, [(0,), (2, 3), (1,), (4,)]),
        (LSTM_CELL, [(0,), (2, 3), (1,), (4, 5, 6, 7)]),
    ],
    ids=["base 5", "base 8"],
)
def test_a_cell_of_base_5_or_8_can_be_the_lstm_of_pytorch(cell: RecurrentCell, gates: list[tuple[int, ...]]) -> None:
    layer = layer_of(cell)
    inputs, hidden, memory = random_input()
    outputs, (last_hidden, last_memory) = layer(inputs, (hidden, memory))

    lstm = nn.LSTM(INPUTS, HIDDEN, bias=False).double()
    of_input, of_hidden = leaf_weights(layer)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.cat([sum(of_input[leaf] for leaf in gate) for gate in gates]))  # type: ignore[misc]
        lstm.weight_hh_l0.copy_(torch.cat([sum(of_hidden[leaf] for leaf in gate) for gate in gates]))  # type: ignore[misc]
    expected, (expected_hidden, expected_memory) = lstm(inputs, (hidden[None], memory[None]))
    torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last_hidden, expected_hidden[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last_memory, expected_memory[0], rtol=1e-12, atol=1e-12)


def test_a_cell_of_base_4_can_be_an_lstm_without_output_gate() -> None:
    """c = f * c + i * g and h = tanh(c): node 4 forgets, node 5 is what is new, the root is their sum."""
    cell = RecurrentCell(
        nodes=(
            IDENTITY, IDENTITY, node("add", "sigmoid"), node("add", "tanh"),
            node("add", "sigmoid"), node("multiply", "identity"), node("add", "tanh"),
        ),
        inject=FORGET, inject_index=4, memory_index=6,
    )  # fmt: skip

    def step(x: list[Tensor], h: list[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        forget = torch.sigmoid(x[0] + x[1] + h[0] + h[1])
        new_c = forget * c + torch.sigmoid(x[2] + h[2]) * torch.tanh(x[3] + h[3])
        return torch.tanh(new_c), new_c

    assert_computes(cell, step)


def test_a_cell_of_base_4_can_be_an_lstm_without_input_gate() -> None:
    """c = f * c + g and h = o * tanh(c). With both gates there would be a level more than four leaves have."""
    cell = RecurrentCell(
        nodes=(
            node("add", "sigmoid"), node("add", "tanh"), IDENTITY, IDENTITY,
            node("add", "tanh"), node("add", "sigmoid"), node("multiply", "identity"),
        ),
        inject=FORGET, inject_index=0, memory_index=4,
    )  # fmt: skip

    def step(x: list[Tensor], h: list[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        new_c = torch.sigmoid(x[0] + h[0]) * c + torch.tanh(x[1] + h[1])
        return torch.sigmoid(x[2] + x[3] + h[2] + h[3]) * torch.tanh(new_c), new_c

    assert_computes(cell, step)


def test_the_memory_is_a_node_before_its_activation_and_before_the_old_memory_enters() -> None:
    cell = RecurrentCell(
        nodes=(node("max", "sin"), node("multiply", "relu"), node("max", "sin")),
        inject=node("max", "tanh"), inject_index=2, memory_index=2,
    )  # fmt: skip

    def step(x: list[Tensor], h: list[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        root = torch.maximum(torch.sin(torch.maximum(x[0], h[0])), torch.relu(x[1] * h[1]))
        return torch.tanh(torch.maximum(torch.sin(root), c)), root

    assert_computes(cell, step)


def test_mirror_images_are_one_function_of_other_weights() -> None:
    """The digest takes them for one: swapping the leaves of a node and their weights changes nothing."""
    swapped = RecurrentCell(
        nodes=(*NAS_CELL.nodes[1::-1], *NAS_CELL.nodes[2:]),
        inject=NAS_CELL.inject,
        inject_index=NAS_CELL.inject_index,
        memory_index=NAS_CELL.memory_index,
    )
    assert swapped.digest == NAS_CELL.digest
    ours, theirs = layer_of(NAS_CELL), layer_of(swapped)
    with torch.no_grad():
        for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
            first, second, *rest = mine.split(HIDDEN)
            its.copy_(torch.cat([second, first, *rest]))
    inputs, hidden, memory = random_input()
    torch.testing.assert_close(ours(inputs, (hidden, memory)), theirs(inputs, (hidden, memory)), rtol=1e-12, atol=1e-12)


@given(cells())
@settings(max_examples=60, deadline=None)
def test_every_cell_runs_forward_and_backward(cell: RecurrentCell) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(cell, INPUTS, HIDDEN)
    inputs = torch.randn(STEPS, BATCH, INPUTS, requires_grad=True)
    outputs, (hidden, memory) = layer(inputs, layer.initial_state(BATCH))
    assert outputs.shape == (STEPS, BATCH, HIDDEN)
    assert hidden.shape == memory.shape == (BATCH, HIDDEN)
    assert torch.equal(outputs[-1], hidden)
    outputs.square().sum().backward()
    for tensor in (inputs, layer.input_weights, layer.hidden_weights):
        assert tensor.grad is not None
        assert tensor.grad.shape == tensor.shape
        assert tensor.grad.isfinite().all()
    # The weights of a space are as many for each of its cells: cells differ in what they compute alone.
    assert sum(p.numel() for p in layer.parameters()) == cell.base * HIDDEN * (INPUTS + HIDDEN)


@given(cells(largest=4), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_gradients_are_those_of_finite_differences(cell: RecurrentCell, seed: int) -> None:
    torch.manual_seed(seed)
    layer = RecurrentLayer(cell, 2, 2).double()
    inputs = torch.randn(3, 1, 2, dtype=torch.float64, requires_grad=True)
    hidden, memory = (torch.randn(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def run(inputs: Tensor, hidden: Tensor, memory: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        names = [name for name, _ in layer.named_parameters()]
        state = dict(zip(names, weights, strict=True))
        outputs, after = torch.func.functional_call(layer, state, (inputs, (hidden, memory)))
        return outputs, *after

    assert torch.autograd.gradcheck(run, (inputs, hidden, memory, *layer.parameters()))


def test_a_sequence_in_two_parts_gives_what_it_gives_in_one() -> None:
    layer = layer_of(NAS_CELL)
    inputs, hidden, memory = random_input()
    whole, _ = layer(inputs, (hidden, memory))
    first, state = layer(inputs[:2], (hidden, memory))
    second, _ = layer(inputs[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)


def test_mixed_precision_keeps_the_nodes_in_float32() -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(NAS_CELL, INPUTS, HIDDEN)
    inputs = torch.randn(STEPS, BATCH, INPUTS)
    exact, _ = layer(inputs, layer.initial_state(BATCH))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, (hidden, memory) = layer(inputs, layer.initial_state(BATCH))
    assert mixed.dtype == hidden.dtype == memory.dtype == torch.float32
    assert not torch.equal(mixed, exact)
    torch.testing.assert_close(mixed, exact, rtol=0.05, atol=0.05)
