"""`RewardModel`: what it expects of architectures that were not trained, and how sure it is of it."""

import itertools
import random

import numpy as np
import pytest
import torch
from nas_api import spec
from nas_controller.proposal import Proposal
from nas_controller.reward_model import Features, RewardModel, by_expected_improvement, normal_scores
from nas_controller.reward_model.features import squared_distances
from nas_controller.reward_model.gaussian_process import Prediction
from nas_controller.spaces import ConvNetSpace
from nas_controller.spaces.neighbors import random_proposal

from ..algorithms.line import Line

torch.set_num_threads(1)

SPACE = Line(length=4, choices=5)
ALL = SPACE.all()


def fitted(known: list[Proposal], worth: dict[Proposal, float]) -> tuple[RewardModel, torch.Tensor]:
    scores = normal_scores(np.array([worth[each] for each in known]))
    model = RewardModel(SPACE)
    model.fit(known, scores)
    return model, scores


def expected(predictions: list[Prediction]) -> np.ndarray:
    return sum((each.weight * each.mean for each in predictions), torch.zeros(())).numpy()


@pytest.mark.parametrize(
    "worth",
    [
        {
            each: float(sum(w for w, made in zip((8, 4, 2, 1), each.decisions, strict=True) if made == 3))
            for each in ALL
        },
        {each: -sum((made - 2.5) ** 2 for made in each.decisions) for each in ALL},
    ],
    ids=["choices are names", "choices are points on a scale"],
)
def test_from_a_tenth_of_a_space_it_tells_the_order_of_the_rest(worth: dict[Proposal, float]) -> None:
    generator = random.Random(1)
    known = generator.sample(ALL, 62)
    others = [each for each in ALL if each not in set(known)]
    model, scores = fitted(known, worth)

    means = expected(model.predict(known, scores, [], others))

    truth = np.array([worth[each] for each in others])
    assert np.corrcoef(np.argsort(np.argsort(means)), np.argsort(np.argsort(truth)))[0, 1] > 0.8


def test_the_form_that_fits_the_rewards_is_believed() -> None:
    """Of rewards that follow a scale, the member that knows the scale has nearly all of the weight."""
    worth = {each: -sum((made - 2.5) ** 2 for made in each.decisions) for each in ALL}
    known = random.Random(2).sample(ALL, 60)
    model, _ = fitted(known, worth)

    weights = {member.ordinal: member.weight for member in model.members}

    assert weights[True] > 0.9


def test_names_are_never_taken_for_points_on_a_scale() -> None:
    """Not even when the rewards of a few architectures happen to follow the order in which a manifest lists them."""
    names = Line(length=4, choices=5, ordered=False)
    worth = {each: -sum((made - 2.5) ** 2 for made in each.decisions) for each in ALL}
    known = random.Random(2).sample(ALL, 60)
    model = RewardModel(names)
    model.fit(known, normal_scores(np.array([worth[each] for each in known])))

    assert [(member.ordinal, member.weight) for member in model.members] == [(False, 1.0)]


def test_it_is_surer_near_what_was_trained_and_near_what_is_in_training() -> None:
    worth = {each: float(each.decisions[0]) for each in ALL}
    known = random.Random(3).sample(ALL, 30)
    model, scores = fitted(known, worth)
    far = max(ALL, key=lambda each: min(sum(map(int.__ne__, each.decisions, other.decisions)) for other in known))

    def variance(candidate: Proposal, pending: list[Proposal]) -> float:
        return sum(
            each.weight * float(each.covariance[0, 0]) for each in model.predict(known, scores, pending, [candidate])
        )

    assert variance(known[0], []) < 0.1 * variance(far, [])
    assert variance(far, [far]) < 0.1 * variance(far, [])


def test_what_is_in_training_does_not_change_what_is_expected() -> None:
    worth = {each: float(sum(each.decisions)) for each in ALL}
    known, pending, candidates = ALL[::20], ALL[5::60], ALL[7::50]
    model, scores = fitted(known, worth)

    without = expected(model.predict(known, scores, [], candidates))

    assert expected(model.predict(known, scores, pending, candidates)) == pytest.approx(without)


@pytest.mark.parametrize("known", [1, 2, 5])
def test_few_or_equal_rewards_give_finite_expectations(known: int) -> None:
    model, scores = fitted(ALL[:known], dict.fromkeys(ALL, 0.5))

    for prediction in model.predict(ALL[:known], scores, [], ALL[-50:]):
        assert prediction.mean.isfinite().all()
        assert prediction.covariance.isfinite().all()


def test_scores_are_normal_quantiles_of_ranks_and_equal_for_equal_rewards() -> None:
    scores = normal_scores(np.array([3.0, 1.0, 2.0, 2.0, 1e9]))

    assert scores[1] < scores[2] == scores[3] < scores[0] < scores[4]
    assert float(scores.mean()) == pytest.approx(0, abs=0.01)
    assert normal_scores(np.array([0.3, 0.3])).tolist() == [0, 0]


def test_distances_count_the_decisions_that_differ() -> None:
    proposals = [Proposal(made, 1) for made in itertools.product(range(5), repeat=2)]
    space = Line(length=2, choices=5)

    def distance(ordinal: bool) -> np.ndarray:
        return sum(squared_distances(each) for each in Features(space, proposals).vectors(ordinal=ordinal)).numpy()

    pairs = itertools.product(proposals, repeat=2)
    differing = [sum(a != b for a, b in zip(p.decisions, q.decisions, strict=True)) for p, q in pairs]
    pairs = itertools.product(proposals, repeat=2)
    apart = [sum(abs(a - b) / 4 for a, b in zip(p.decisions, q.decisions, strict=True)) for p, q in pairs]

    assert distance(ordinal=False).flatten() == pytest.approx(differing)
    assert distance(ordinal=True).flatten() == pytest.approx(apart)


def test_layers_and_bits_of_anchors_that_only_one_network_has_count_as_different() -> None:
    space = ConvNetSpace(spec.ConvNetSpace(filter_heights=(1, 3), filter_widths=(3,), filters=(8,)))
    shallow, deep = Proposal((0, 0, 1, 1), 2), Proposal((0, 0, 1, 1, 1, 0), 3)

    features = Features(space, [shallow, deep])

    # The third layer's filter height, and whether it takes the first, and the second.
    total = sum(squared_distances(each) for each in features.vectors(ordinal=False))
    assert float(total[0, 1]) == pytest.approx(3 * 1.0)


def test_length_scales_hold_for_deeper_networks_whose_slots_are_many() -> None:
    """At a step of the depth schedule what was learnt of the layers that there were goes on to count."""
    space = ConvNetSpace(spec.ConvNetSpace(layers=spec.DepthSchedule(initial=4, max=8)))
    generator = random.Random(1)
    shallow = [random_proposal(space, 4, generator) for _ in range(30)]
    deep = [random_proposal(space, 8, generator) for _ in range(5)]
    fitted_to = Features(space, shallow)

    groups = Features(space, [*shallow, *deep], single=fitted_to.single).groups

    assert fitted_to.single
    assert not Features(space, deep).single
    assert set(fitted_to.groups) < set(groups)


def test_candidates_come_in_the_order_of_expected_improvement_each_given_those_before() -> None:
    """Of twins, the second has nothing left to tell, though it is as good: what is unlike them comes first."""
    covariance = torch.tensor([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    mean = torch.tensor([0.5, 0.5, 0.2], dtype=torch.float64)

    order = list(by_expected_improvement([Prediction(1.0, mean, covariance, 1e-3)], best=1.0))

    assert order == [0, 2, 1]
