"""Regularized evolution: the best of a tournament among the youngest is mutated (Real et al. 2019)."""

import pytest
from nas_api import spec
from nas_controller.algorithms import RegularizedEvolution
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces.neighbors import neighbors

from .line import LINE, Line


def build(population_size: int = 4, tournament_size: int = 100, space: Line = LINE) -> RegularizedEvolution:
    settings = spec.RegularizedEvolution(population_size=population_size, tournament_size=tournament_size)
    return RegularizedEvolution(space, spec.Controller(algorithm=spec.Algorithm(regularized_evolution=settings)))


def finish(evolution: RegularizedEvolution, decisions: tuple[int, ...], reward: float) -> None:
    proposal = Proposal(decisions, 1)
    evolution.recorded([proposal])
    evolution.learn(evolution.snapshot(), [Rewarded(proposal, reward)])


def parents(evolution: RegularizedEvolution) -> list[tuple[int, ...]]:
    """Which of all architectures may be the parents of what it proposes."""
    children = {child for seed in range(100) for child in evolution.propose(1, 1, seed)}
    return [parent.decisions for parent in LINE.all() if children <= set(neighbors(LINE, parent))]


def test_children_are_mutations_of_the_best_of_the_population() -> None:
    evolution = build()
    for number, reward in enumerate([0.1, 0.4, 0.9, 0.2]):
        finish(evolution, (number, number, number), reward)

    assert parents(evolution) == [(2, 2, 2)]


def test_members_die_of_age_and_not_for_being_bad() -> None:
    evolution = build()
    for number, reward in enumerate([0.1, 0.9, 0.4, 0.2, 0.3]):
        finish(evolution, (number, number, number), reward)
    assert parents(evolution) == [(1, 1, 1)]

    finish(evolution, (0, 1, 2), 0.05)

    assert parents(evolution) == [(2, 2, 2)]


def test_a_small_tournament_gives_all_but_the_worst_a_chance() -> None:
    evolution = build(tournament_size=1)
    for number, reward in enumerate([0.1, 0.4, 0.9, 0.2]):
        finish(evolution, (number, number, number), reward)
    around = [set(neighbors(LINE, Proposal((number,) * 3, 1))) for number in range(4)]

    children = [evolution.propose(1, 1, seed)[0] for seed in range(100)]

    assert all(any(child in near for child in children) for near in around)


def test_the_first_proposals_are_random_until_a_population_is_recorded() -> None:
    evolution = build(population_size=30, tournament_size=2000)
    for number, proposal in enumerate(evolution.propose(29, 1, seed=0)):
        finish(evolution, proposal.decisions, number)
    best = set(neighbors(LINE, Proposal(proposal.decisions, 1)))

    proposals = [evolution.propose(10, 1, seed) for seed in range(100)]

    assert len({first for first, *_ in proposals}) > 50
    assert {child for _, *children in proposals for child in children} <= best


def test_with_more_workers_than_members_and_no_result_proposals_are_random() -> None:
    proposals = build(population_size=2).propose(20, 1, seed=0)

    assert len(set(proposals)) == 20


@pytest.mark.parametrize("open_", [True, False])
def test_nothing_is_proposed_again_that_is_open_or_has_finished(open_: bool) -> None:
    evolution = build()
    for number in range(4):
        finish(evolution, (number, number, number), number)
    known = list(neighbors(LINE, Proposal((3, 3, 3), 1)))[:-1]
    evolution.recorded(known)
    if not open_:
        evolution.learn(evolution.snapshot(), [Rewarded(proposal, 0.0) for proposal in known[:3]])

    assert {evolution.propose(1, 1, seed)[0] for seed in range(20)}.isdisjoint(known)


def test_in_a_space_that_is_exhausted_it_goes_on_all_the_same() -> None:
    evolution = build()
    for proposal in LINE.all():
        finish(evolution, proposal.decisions, sum(proposal.decisions))

    assert len(evolution.propose(5, 1, seed=0)) == 5
