"""`LSTMPolicy`: a distribution over architectures that is sampled, and replayed, as the paper's equations say."""

import math
from collections import Counter
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_api import spec
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal
from nas_controller.spaces import ConvNetSpace, DiscreteSpace, RecurrentCellSpace, Space, Step
from nas_controller.spaces.neighbors import alternatives, edited
from torch import Tensor

torch.set_num_threads(1)

ALL_TYPES = ("Convolution", "MaxPooling", "AveragePooling", "BatchNormalization")

spaces = st.builds(
    lambda most, types, widths, strides, skips: ConvNetSpace(
        spec.ConvNetSpace(
            layers=spec.DepthSchedule(initial=1, max=most),
            layer_types=tuple(types),
            filter_widths=tuple(range(1, widths + 1)),
            strides=tuple(range(1, strides + 1)),
            skip_connections=skips,
        )
    ),
    most=st.integers(1, 5),
    types=st.lists(st.sampled_from(ALL_TYPES), max_size=4, unique=True).filter(lambda types: "Convolution" in types),
    widths=st.integers(1, 5),
    strides=st.integers(1, 2),
    skips=st.booleans(),
)
policies = st.builds(
    spec.Policy, layers=st.integers(1, 3), hidden_size=st.integers(1, 8), init_scale=st.sampled_from([0.08, 0.5, 2.0])
)


def make(space: Space, policy: spec.Policy | None = None, seed: int = 0) -> LSTMPolicy:
    return LSTMPolicy(space, policy or spec.Policy(), torch.Generator().manual_seed(seed))


def tiny_space() -> ConvNetSpace:
    """Sequences of several lengths, with choices and anchors: 216 of depth 3, 18 of depth 2."""
    return ConvNetSpace(
        spec.ConvNetSpace(
            layers=spec.DepthSchedule(initial=1, max=3),
            layer_types=("Convolution", "BatchNormalization"),
            filter_heights=(1, 3),
            filter_widths=(1,),
            filters=(8,),
        )
    )


def every_proposal(space: Space, depth: int, prefix: tuple[int, ...] = ()) -> Iterator[Proposal]:
    walk = space.walk(depth)
    try:
        step = next(walk)
        for decision in prefix:
            step = walk.send(decision)
    except StopIteration:
        yield Proposal(prefix, depth)
        return
    kind = space.kinds[step.kind]
    for decision in range(2**step.predecessors if kind.anchor else kind.choices):
        yield from every_proposal(space, depth, (*prefix, decision))


def reference(policy: LSTMPolicy, space: Space, proposal: Proposal) -> tuple[float, float]:
    """Log-probability and mean entropy of one proposal, decision by decision, in double precision."""
    weights = {name: parameter.detach().double() for name, parameter in policy.named_parameters()}
    layers = policy.lstm.num_layers
    width = policy.lstm.hidden_size
    choices = sum(kind.choices for kind in space.kinds if not kind.anchor)
    first = [sum(k.choices for k in space.kinds[:i] if not k.anchor) for i in range(len(space.kinds))]
    h = [torch.zeros(width).double() for _ in range(layers)]
    c = [torch.zeros(width).double() for _ in range(layers)]
    at_anchors: list[Tensor] = []
    entering = weights["embedding.weight"][choices + 1]
    log_probability, entropies = 0.0, []
    steps: tuple[Step, ...] = space.trace(proposal.decisions, proposal.depth)[0]
    for step, decision in zip(steps, proposal.decisions, strict=True):
        for n in range(layers):
            gates = (
                weights[f"lstm.weight_ih_l{n}"] @ (h[n - 1] if n else entering)
                + weights[f"lstm.bias_ih_l{n}"]
                + weights[f"lstm.weight_hh_l{n}"] @ h[n]
                + weights[f"lstm.bias_hh_l{n}"]
            )
            i, f, g, o = gates.view(4, width)
            c[n] = torch.sigmoid(f) * c[n] + torch.sigmoid(i) * torch.tanh(g)
            h[n] = torch.sigmoid(o) * torch.tanh(c[n])
        if space.kinds[step.kind].anchor:
            chosen = []
            for j in range(step.predecessors):
                score = weights["anchor_score.weight"][0] @ torch.tanh(
                    weights["anchor_previous.weight"] @ at_anchors[j] + weights["anchor_current.weight"] @ h[-1]
                )
                p = 1 / (1 + math.exp(-float(score)))
                bit = decision >> j & 1
                log_probability += math.log(p if bit else 1 - p)
                entropies.append(-p * math.log(p) - (1 - p) * math.log(1 - p))
                if bit:
                    chosen.append(weights["anchor_embedding.weight"][j])
            entering = weights["embedding.weight"][choices]
            if chosen:
                entering = entering + torch.stack(chosen).mean(0)
            at_anchors.append(h[-1])
        else:
            rows = slice(first[step.kind], first[step.kind] + space.kinds[step.kind].choices)
            probabilities = (weights["head.weight"][rows] @ h[-1] + weights["head.bias"][rows]).softmax(0)
            log_probability += math.log(probabilities[decision])
            entropies.append(-float((probabilities * probabilities.log()).sum()))
            entering = weights["embedding.weight"][rows][decision]
    return log_probability, sum(entropies) / max(len(entropies), 1)


@settings(deadline=None, max_examples=100)
@given(spaces, policies, st.integers(1, 5), st.data())
def test_a_replay_gives_the_log_probability_that_samples_were_drawn_with_and_that_the_equations_give(
    space: ConvNetSpace, description: spec.Policy, count: int, data: st.DataObject
) -> None:
    policy = make(space, description, seed=data.draw(st.integers(0, 2**32)))
    most = max((kind.choices for kind in space.kinds if kind.anchor), default=0) + 1
    check_replay(policy, space, count, data.draw(st.integers(1, most)))


@pytest.mark.parametrize(
    "space",
    [
        RecurrentCellSpace(spec.RecurrentCellSpace(base=3)),
        DiscreteSpace(
            spec.DiscreteSpace.model_validate(
                {
                    "choices": [
                        {"name": "depth", "values": [1, 2, 3]},
                        {"name": "width", "values": [64]},
                        {
                            "name": "layers",
                            "repeat": "depth",
                            "choices": [
                                {"name": "heads", "values": [2, 4]},
                                {"name": "window", "values": [8, 16, 32], "when": {"heads": 4}},
                            ],
                        },
                    ]
                }
            )
        ),
    ],
    ids=["RecurrentCell", "Discrete"],
)
def test_so_does_a_replay_of_samples_of_the_other_spaces(space: Space) -> None:
    check_replay(make(space, spec.Policy(init_scale=1.0)), space, count=12, depth=space.depth(0))


def check_replay(policy: LSTMPolicy, space: Space, count: int, depth: int) -> None:
    samples = policy.sample(count, depth, torch.Generator().manual_seed(1))

    with torch.no_grad():
        evaluation = policy.evaluate(samples.proposals)

    torch.testing.assert_close(evaluation.log_probability, samples.log_probability, rtol=1e-5, atol=1e-5)
    for index, proposal in enumerate(samples.proposals):
        log_probability, entropy = reference(policy, space, proposal)
        assert float(evaluation.log_probability[index]) == pytest.approx(log_probability, rel=1e-5, abs=1e-5)
        assert float(evaluation.entropy[index]) == pytest.approx(entropy, rel=1e-5, abs=1e-5)


def test_the_gradient_is_that_of_the_equations() -> None:
    space = tiny_space()
    policy = make(space, spec.Policy(hidden_size=3, init_scale=1.0))
    proposals = policy.sample(4, 3, torch.Generator().manual_seed(0)).proposals
    parameters = list(policy.parameters())

    gradients = torch.autograd.grad(policy.evaluate(proposals).log_probability.sum(), parameters)

    for parameter, gradient in zip(parameters, gradients, strict=True):
        values = parameter.data.view(-1)
        for index in range(0, len(values), 7):
            original = float(values[index])
            sums = []
            for moved in (original + 1e-3, original - 1e-3):
                values[index] = moved
                sums.append((float(values[index]), sum(reference(policy, space, p)[0] for p in proposals)))
            values[index] = original
            slope = (sums[0][1] - sums[1][1]) / (sums[0][0] - sums[1][0])
            assert float(gradient.view(-1)[index]) == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_probabilities_of_all_architectures_add_up_to_one(depth: int) -> None:
    space = tiny_space()
    policy = make(space, spec.Policy(init_scale=1.0))

    evaluation = policy.evaluate(list(every_proposal(space, depth)))

    assert evaluation.log_probability.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_come_as_often_as_their_probabilities_say() -> None:
    space = tiny_space()
    policy = make(space, spec.Policy(init_scale=1.0))
    proposals = list(every_proposal(space, 2))
    probabilities = policy.evaluate(proposals).log_probability.exp().tolist()
    count = 20_000

    drawn = Counter(policy.sample(count, 2, torch.Generator().manual_seed(0)).proposals)

    # Pearson's statistic, of 17 degrees of freedom: its mean is 17, its standard deviation 5.8.
    assert len(proposals) == 18
    chi_squared = sum(
        (drawn[proposal] - count * p) ** 2 / (count * p) for proposal, p in zip(proposals, probabilities, strict=True)
    )
    assert chi_squared < 17 + 3 * 5.8


def test_with_all_weights_zero_every_choice_and_every_bit_is_equally_likely() -> None:
    space = ConvNetSpace(spec.ConvNetSpace())
    policy = make(space)
    for parameter in policy.parameters():
        parameter.data.zero_()
    proposals = policy.sample(8, 6, torch.Generator().manual_seed(0)).proposals

    evaluation = policy.evaluate(proposals)

    decisions, bits = 6 * 3, 15
    expected = torch.full((8,), -decisions * math.log(4) - bits * math.log(2)).double()
    torch.testing.assert_close(evaluation.log_probability, expected)
    mean = (decisions * math.log(4) + bits * math.log(2)) / (decisions + bits)
    torch.testing.assert_close(evaluation.entropy, torch.full((8,), mean).double())


def test_the_policy_of_the_paper_has_two_layers_of_35_units_and_weights_within_0_08() -> None:
    policy = make(ConvNetSpace(spec.ConvNetSpace()))

    assert (policy.lstm.num_layers, policy.lstm.hidden_size) == (2, 35)
    weights = torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])
    assert weights.abs().max() <= 0.08
    # The standard deviation of U(-a, a) is a / sqrt(3).
    assert float(weights.std()) == pytest.approx(0.08 / math.sqrt(3), rel=0.02)
    assert float(weights.mean()) == pytest.approx(0, abs=0.001)


def test_what_a_proposal_is_worth_does_not_depend_on_its_batch() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layer_types=ALL_TYPES))
    policy = make(space)
    proposals = policy.sample(6, 8, torch.Generator().manual_seed(0)).proposals
    proposals += policy.sample(2, 3, torch.Generator().manual_seed(1)).proposals

    together = policy.evaluate(proposals).log_probability
    alone = torch.cat([policy.evaluate([proposal]).log_probability for proposal in proposals])

    torch.testing.assert_close(together, alone)


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    policy = make(ConvNetSpace(spec.ConvNetSpace()))

    draws = [policy.sample(4, 6, torch.Generator().manual_seed(seed)).proposals for seed in (1, 1, 2)]

    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_a_network_of_a_hundred_layers_is_sampled_and_replayed() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(layers=spec.DepthSchedule(initial=100, max=100)))
    policy = make(space)

    samples = policy.sample(2, 100, torch.Generator().manual_seed(0))

    torch.testing.assert_close(
        policy.evaluate(samples.proposals).log_probability, samples.log_probability, rtol=1e-6, atol=0
    )


def test_decisions_of_another_space_are_refused() -> None:
    policy = make(ConvNetSpace(spec.ConvNetSpace()))

    with pytest.raises(ValueError, match=r"decision 2 \(filters\) is 4, not one of 0\.\.3"):
        policy.evaluate([Proposal((0, 0, 4, 0), 1)])


def test_torchs_global_generator_is_not_touched() -> None:
    before = torch.random.get_rng_state()

    policy = make(ConvNetSpace(spec.ConvNetSpace()))
    policy.evaluate(policy.sample(4, 6, torch.Generator().manual_seed(0)).proposals)

    assert torch.equal(torch.random.get_rng_state(), before)


@settings(deadline=None, max_examples=40)
@given(spaces, policies, st.integers(1, 4), st.integers(0, 1000))
def test_alternatives_are_all_single_edits_with_their_probability_given_the_decisions_before(
    space: ConvNetSpace, policy_settings: spec.Policy, count: int, seed: int
) -> None:
    policy = make(space, policy_settings, seed)
    proposals = policy.sample(count, space.depth(10**6), torch.Generator().manual_seed(seed)).proposals

    for proposal, found in zip(proposals, policy.alternatives(proposals), strict=True):
        steps, _ = space.trace(proposal.decisions, proposal.depth)
        assert set(found.decisions) == {
            (place, decision)
            for place, step in enumerate(steps)
            for decision in alternatives(space, step, proposal.decisions[place])
        }
        for (place, decision), probability in zip(found.decisions, found.probabilities, strict=True):
            if space.kinds[steps[place].kind].anchor:
                continue  # the probability of one bit, whatever the others are
            other = edited(space, proposal, place, decision)
            with torch.no_grad():
                expected = policy.evaluate([other]).decision_log_probability[place, 0].exp()
            assert probability == pytest.approx(float(expected), rel=1e-3, abs=1e-9)


def test_the_probability_of_another_bit_of_an_anchor_is_that_of_the_bit() -> None:
    """With two bits, the probabilities of the four masks are the products of those of the bits."""
    space = tiny_space()
    policy = make(space, spec.Policy(init_scale=2.0))
    proposal = next(
        each for each in every_proposal(space, 3) if space.trace(each.decisions, 3)[0][-1].predecessors == 2
    )
    (found,) = policy.alternatives([proposal])
    place = len(proposal.decisions) - 1
    flips = {
        decision ^ proposal.decisions[place]: probability
        for (at, decision), probability in zip(found.decisions, found.probabilities, strict=True)
        if at == place
    }

    both = edited(space, proposal, place, proposal.decisions[place] ^ 0b11)
    with torch.no_grad():
        probability = float(policy.evaluate([both]).decision_log_probability[place, 0].exp())

    assert probability == pytest.approx(flips[0b01] * flips[0b10], rel=1e-4)
