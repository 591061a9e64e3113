"""`ParameterServer`: shards that change nothing, gradients gathered, and a state that is complete."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_controller.parameter_server import ParameterServer
from torch import Tensor

torch.set_num_threads(1)


def serve(parameters: Tensor, shards: int = 1, gradients_per_update: int = 1) -> ParameterServer:
    return ParameterServer(parameters, shards=shards, learning_rate=0.1, gradients_per_update=gradients_per_update)


def gradients(count: int, size: int, seed: int = 0) -> list[Tensor]:
    """Gradients of very different magnitudes."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, generator=generator) * 10 ** torch.empty(size).uniform_(-8, 2, generator=generator)
        for _ in range(count)
    ]


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 300), st.integers(1, 1000), st.integers(1, 3), st.integers(0, 2**32))
def test_any_number_of_shards_gives_the_same_parameters_and_state_bit_for_bit(
    size: int, shards: int, gradients_per_update: int, seed: int
) -> None:
    start = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    one, many = serve(start, 1, gradients_per_update), serve(start, shards, gradients_per_update)

    for gradient in gradients(7, size, seed):
        one.push(gradient)
        many.push(gradient)

    assert torch.equal(one.parameters, many.parameters)
    assert one.state().keys() == many.state().keys()
    assert all(torch.equal(value, many.state()[name]) for name, value in one.state().items())


def test_seven_shards_of_a_policys_size_give_the_same_as_one_bit_for_bit() -> None:
    start = torch.randn(24_232, generator=torch.Generator().manual_seed(0))
    servers = [serve(start, shards) for shards in (1, 7, 20, 1000)]

    for gradient in gradients(5, len(start)):
        for server in servers:
            server.push(gradient)

    assert not torch.equal(servers[0].parameters, start)
    assert all(torch.equal(server.parameters, servers[0].parameters) for server in servers)


def test_a_gradient_is_applied_to_the_newest_parameters_as_adam_does() -> None:
    """Computed by hand: Adam's m, v and bias corrections for one parameter and the gradients 3 and then -1."""
    server = serve(torch.tensor([5.0]))

    server.push(torch.tensor([3.0]))

    # m = 0.1 * 3 / 0.1, v = 0.001 * 9 / 0.001: the first step has the length of the learning rate.
    assert server.parameters.item() == pytest.approx(5 - 0.1)

    server.push(torch.tensor([-1.0]))

    m = (0.9 * 0.3 + 0.1 * -1) / (1 - 0.9**2)
    v = (0.999 * 0.009 + 0.001 * 1) / (1 - 0.999**2)
    assert server.parameters.item() == pytest.approx(5 - 0.1 - 0.1 * m / math.sqrt(v))


def test_gradients_are_gathered_and_their_mean_is_applied_once() -> None:
    start = torch.zeros(10)
    gathering, plain = serve(start, gradients_per_update=3), serve(start)
    one, two, three = gradients(3, 10)

    gathering.push(one)
    gathering.push(two)

    assert torch.equal(gathering.parameters, start)

    gathering.push(three)
    plain.push((one + two + three) / 3)

    assert torch.equal(gathering.parameters, plain.parameters)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_a_restored_server_goes_on_bit_for_bit_also_with_other_shards(
    before: int, gradients_per_update: int, shards: int, shards_after: int
) -> None:
    start = torch.ones(20)
    server = serve(start, shards, gradients_per_update)
    for gradient in gradients(before, 20, seed=1):
        server.push(gradient)
    restored = serve(torch.zeros(20), shards_after, gradients_per_update)
    restored.push(torch.ones(20))

    restored.restore(server.parameters.clone(), server.state())

    for gradient in gradients(4, 20, seed=2):
        server.push(gradient)
        restored.push(gradient)
    assert torch.equal(server.parameters, restored.parameters)


def test_state_and_parameters_given_to_restore_are_copied() -> None:
    server = serve(torch.ones(4))
    server.push(torch.ones(4))
    parameters, state = server.parameters.clone(), server.state()
    kept = parameters.clone(), {name: value.clone() for name, value in state.items()}

    restored = serve(torch.zeros(4))
    restored.restore(parameters, state)
    restored.push(torch.ones(4))

    assert torch.equal(parameters, kept[0])
    assert all(torch.equal(value, kept[1][name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("adam.exp_avg", torch.zeros(3), r"'adam.exp_avg' of the parameter server has shape \[3\], not \[4\]"),
        ("adam.step", torch.zeros(1), r"'adam.step' of the parameter server has shape \[1\], not \[\]"),
        ("gathered.count", None, "the state of the parameter server has no 'gathered.count'"),
        ("gathered", torch.zeros(5), r"'gathered' of the parameter server has shape \[5\], not \[4\]"),
    ],
)
def test_a_state_of_another_size_is_refused_and_changes_nothing(name: str, value: Tensor | None, message: str) -> None:
    server = serve(torch.ones(4), gradients_per_update=2)
    for gradient in gradients(3, 4):
        server.push(gradient)
    before, state = server.parameters.clone(), server.state()
    broken = {key: tensor for key, tensor in state.items() if key != name}
    if value is not None:
        broken[name] = value

    with pytest.raises(ValueError, match=message):
        server.restore(torch.zeros(4), broken)

    assert torch.equal(server.parameters, before)
    assert all(torch.equal(tensor, state[key]) for key, tensor in server.state().items())


def test_parameters_of_another_size_are_refused() -> None:
    server = serve(torch.ones(4))

    with pytest.raises(ValueError, match=r"'parameters' of the parameter server has shape \[5\], not \[4\]"):
        server.restore(torch.zeros(5), server.state())
