"""Best-first local search: climbs to a local optimum, neighbour by neighbour, and starts afresh elsewhere."""

from nas_api import spec
from nas_controller.algorithms import LocalSearch
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.spaces.neighbors import neighbors

from .line import LINE

AROUND = {proposal: set(neighbors(LINE, proposal)) for proposal in LINE.all()}
TOP = Proposal((2, 2, 2), 1)


def build(initial_samples: int = 1) -> LocalSearch:
    settings = spec.LocalSearch(initial_samples=initial_samples)
    return LocalSearch(LINE, spec.Controller(algorithm=spec.Algorithm(local_search=settings)))


def finish(search: LocalSearch, *results: tuple[Proposal, float]) -> None:
    for proposal, reward in results:
        search.recorded([proposal])
        search.learn(search.snapshot(), [Rewarded(proposal, reward)])


def proposed(search: LocalSearch) -> set[Proposal]:
    """All that it may propose next."""
    return {proposal for seed in range(200) for proposal in search.propose(1, 1, seed)}


def test_after_a_random_start_the_neighbours_of_the_best_are_tried_in_any_order() -> None:
    search = build()
    assert len(proposed(search)) > 50

    finish(search, (TOP, 0.5))

    assert proposed(search) == AROUND[TOP]


def test_the_first_that_is_better_takes_its_place() -> None:
    search = build()
    better = Proposal((2, 2, 3), 1)

    finish(search, (TOP, 0.5), (Proposal((2, 2, 1), 1), 0.4), (better, 0.6))

    assert proposed(search) == AROUND[better] - {TOP, Proposal((2, 2, 1), 1)}


def test_a_climb_begins_at_the_best_of_the_first_samples() -> None:
    search = build(initial_samples=3)
    finish(search, (Proposal((0, 0, 0), 1), 0.1), (TOP, 0.5))
    assert len(proposed(search)) > 50

    finish(search, (Proposal((4, 4, 4), 1), 0.3))

    assert proposed(search) == AROUND[TOP]


def test_when_no_neighbour_is_better_a_new_climb_begins_with_random_architectures() -> None:
    search = build()
    finish(search, (TOP, 0.5), *((neighbor, 0.1) for neighbor in AROUND[TOP]))

    afresh = proposed(search)

    assert len(afresh) > 50
    assert afresh.isdisjoint({TOP, *AROUND[TOP]})


def test_with_many_open_at_once_those_around_the_next_best_follow_and_nothing_is_proposed_twice() -> None:
    search = build()
    second = Proposal((2, 2, 3), 1)
    finish(search, (second, 0.4), (TOP, 0.5))

    proposals = search.propose(18, 1, seed=0)

    nearest = AROUND[TOP] - {second}
    assert set(proposals[: len(nearest)]) == nearest
    assert set(proposals[len(nearest) :]) <= AROUND[second]
    assert len(set(proposals)) == 18
    search.recorded(proposals[:15])
    assert set(search.propose(20, 1, seed=1)).isdisjoint(proposals[:15])


def test_a_climb_ends_when_as_many_results_came_in_without_an_improvement_as_there_are_neighbours() -> None:
    """Those that break the constraints never come in."""
    search = build()
    elsewhere = [proposal for proposal in LINE.all() if proposal not in {TOP, *AROUND[TOP]}]
    finish(search, (TOP, 0.5), *((proposal, 0.1) for proposal in elsewhere[: len(AROUND[TOP])]))

    assert len(proposed(search)) > 50


def test_a_late_result_of_an_earlier_climb_does_not_start_the_new_one() -> None:
    search = build()
    late = Proposal((2, 2, 3), 1)
    finish(search, (TOP, 0.5))
    search.recorded([late, *AROUND[TOP] - {late}])
    others = [Rewarded(neighbor, 0.1) for neighbor in AROUND[TOP] - {late}]
    elsewhere = [p for p in LINE.all() if p not in {TOP, *AROUND[TOP]}]
    search.learn(search.snapshot(), others)
    finish(search, (elsewhere[0], 0.1))  # as many results as there are neighbours: this climb is over

    search.learn(search.snapshot(), [Rewarded(late, 0.2)])

    assert len(proposed(search)) > 50


def test_a_late_result_that_is_the_best_of_all_is_climbed_from() -> None:
    search = build()
    late = Proposal((2, 2, 3), 1)
    finish(search, (TOP, 0.5))
    search.recorded([late])
    finish(search, *((neighbor, 0.1) for neighbor in AROUND[TOP] - {late}), (Proposal((0, 0, 0), 1), 0.1))

    search.learn(search.snapshot(), [Rewarded(late, 0.9)])

    assert proposed(search) == AROUND[late] - AROUND[TOP] - {TOP}


def test_in_a_space_that_is_exhausted_it_goes_on_all_the_same() -> None:
    search = build()
    finish(search, *((proposal, 0.5) for proposal in LINE.all()))

    assert len(search.propose(5, 1, seed=0)) == 5
