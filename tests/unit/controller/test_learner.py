"""`Learner`: versions, what is kept for open batches, and a restart that changes nothing, bit for bit."""

from dataclasses import dataclass, field
from typing import get_args

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nas_api import spec
from nas_api.spec.controller import SEVERAL_STEPS
from nas_controller.algorithms import build_algorithm
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.history import History
from nas_controller.jobs import SampledBatch, Update
from nas_controller.learner import Learner
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.seeding import derived_seed
from nas_controller.spaces import ConvNetSpace

torch.set_num_threads(1)

SPACE = ConvNetSpace(
    spec.ConvNetSpace(
        layers=spec.DepthSchedule(initial=3, max=3), layer_types=("Convolution", "BatchNormalization"), filters=(8, 16)
    )
)


def start(algorithm: str = "REINFORCE", hidden_size: int = 5, gradients_per_update: int = 1) -> Learner:
    controller = spec.Controller(
        policy=spec.Policy(hidden_size=hidden_size, init_scale=0.5),
        algorithm=spec.Algorithm(
            type=algorithm,
            reinforce=spec.Reinforce(learning_rate=0.05, entropy_weight=0.01),
            ppo=spec.PPO(update_epochs=2),
            regularized_evolution=spec.RegularizedEvolution(population_size=5, tournament_size=2),
            local_search=spec.LocalSearch(initial_samples=2),
            editing=spec.Editing(initial_samples=3, candidates=12, parents=3),
        ),
        parallelism=spec.Parallelism(parameter_shards=3, gradients_per_update=gradients_per_update),
    )
    return Learner(build_algorithm(controller, SPACE, seed=7), seed=7)


def rewarded(batch: SampledBatch) -> list[Rewarded]:
    return [Rewarded(p, 1 / (1 + batch.batch + sum(p.decisions) + i)) for i, p in enumerate(batch.proposals)]


def learn(learner: Learner, batch: SampledBatch) -> Update:
    return learner.learn(batch.batch, batch.version, rewarded(batch))


@dataclass
class Journal:
    """What is durable of a learner: the newest state, and the snapshots of the versions that are kept."""

    version: int = 0
    state: bytes = b""
    snapshots: dict[int, bytes] = field(default_factory=dict)
    open: list[SampledBatch] = field(default_factory=list)
    learnt: list[Rewarded] = field(default_factory=list)
    learnt_known: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=lambda: [0])  # learnt at each version

    def record(self, update: Update, kept: set[int]) -> None:
        self.version, self.state = update.version, update.state
        self.snapshots[update.version] = update.snapshot
        self.snapshots = {version: snapshot for version, snapshot in self.snapshots.items() if version in kept}

    def history(self) -> History:
        return History(
            self.learnt,
            [proposal for batch in self.open for proposal in batch.proposals],
            self.learnt_known,
            [self.known[batch.version] for batch in self.open for _ in batch.proposals],
        )

    def restore(self, learner: Learner) -> None:
        learner.restore(
            self.version, self.state, self.snapshots, [batch.version for batch in self.open], self.history()
        )


def run(events: list[tuple[str, int]], algorithm: str, gradients_per_update: int, restarts: bool) -> list[object]:
    """Plays `events` and returns everything that came out."""
    learner, journal, results = start(algorithm, 5, gradients_per_update), Journal(), list[object]()
    for number, (event, choice) in enumerate(events):
        if event == "sample":
            batch = learner.sample(number, 1 + choice % 4, depth=1 + choice % 3)
            journal.open.append(batch)
            results.append(batch)
        elif event == "learn" and journal.open:
            batch = journal.open.pop(choice % len(journal.open))
            update = learn(learner, batch)
            journal.learnt += rewarded(batch)
            journal.learnt_known += [journal.known[batch.version]] * len(batch.proposals)
            journal.known.append(len(journal.learnt))
            journal.record(update, learner.versions())
            results.append(update)
        elif event == "restart" and restarts:
            learner = start(algorithm, 5, gradients_per_update)
            journal.restore(learner)
        results.append(learner.versions())
    return results


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["sample", "sample", "learn", "learn", "restart"]), st.integers(0, 11)),
        min_size=10,
        max_size=30,
    ),
    st.sampled_from(get_args(spec.Algorithm.model_fields["type"].annotation)),
    st.integers(1, 3),
)
def test_a_learner_that_is_restarted_at_any_points_does_the_same_bit_for_bit(
    events: list[tuple[str, int]], algorithm: str, gradients_per_update: int
) -> None:
    gradients_per_update = 1 if algorithm in SEVERAL_STEPS else gradients_per_update
    uninterrupted = run(events, algorithm, gradients_per_update, restarts=False)

    assert run(events, algorithm, gradients_per_update, restarts=True) == uninterrupted


def test_an_update_says_which_version_it_made_and_how_late_its_gradient_was() -> None:
    learner = start()
    first, second, third = (learner.sample(number, 2, 3) for number in (1, 2, 3))

    updates = [learn(learner, batch) for batch in (second, first, third)]

    assert [batch.version for batch in (first, second, third)] == [0, 0, 0]
    assert [(update.batch, update.version, update.lag) for update in updates] == [(2, 1, 0), (1, 2, 1), (3, 3, 2)]


def test_versions_are_kept_as_long_as_an_open_batch_was_sampled_there() -> None:
    learner = start()
    kept = []
    zero, other_zero = learner.sample(1, 2, 3), learner.sample(2, 2, 3)
    learn(learner, zero)
    kept.append(learner.versions())
    one = learner.sample(3, 2, 3)
    learn(learner, learner.sample(4, 2, 3))
    kept.append(learner.versions())
    learn(learner, other_zero)
    kept.append(learner.versions())
    learn(learner, one)
    kept.append(learner.versions())

    assert kept == [{0, 1}, {0, 1, 2}, {1, 3}, {4}]


def test_no_more_snapshots_are_held_than_versions_are_kept() -> None:
    learner = start()
    late = learner.sample(0, 2, 3)
    for number in range(1, 20):
        learn(learner, learner.sample(number, 2, 3))

    assert learner._snapshots.keys() == learner.versions() == {0, 19}
    learn(learner, late)
    assert learner._snapshots.keys() == learner.versions() == {20}


def test_a_batch_sampled_before_the_first_update_can_be_learnt_after_a_restart() -> None:
    """Version 0 is in no journal: it comes from the seed."""
    learner = start()
    early = learner.sample(1, 4, 3)
    update = learn(learner, learner.sample(2, 4, 3))
    restarted = start()

    restarted.restore(1, update.state, {1: update.snapshot}, [early.version], History())

    assert learn(restarted, early) == learn(learner, early)


def test_restoring_version_0_begins_anew() -> None:
    learner = start()
    first = learn(learner, learner.sample(1, 4, 3))

    learner.restore(0, b"", {}, [], History())

    assert learner.versions() == {0}
    assert learn(learner, learner.sample(1, 4, 3)) == first


def test_a_missing_snapshot_is_an_error() -> None:
    update = learn(learner := start(), learner.sample(1, 4, 3))

    with pytest.raises(ValueError, match="version 5 of the policy is needed by an open batch, but is not in the journ"):
        start().restore(1, update.state, {1: update.snapshot}, [5], History())


@pytest.mark.parametrize("of", ["newest", "open batch"])
def test_a_snapshot_of_another_policy_is_an_error(of: str) -> None:
    learner, other = start(), start(hidden_size=6)
    update, foreign = (learn(each, each.sample(1, 4, 3)) for each in (learner, other))
    snapshots = {2: foreign.snapshot} if of == "newest" else {1: foreign.snapshot, 2: update.snapshot}

    with pytest.raises(ValueError, match="it is of another policy or search space"):
        learner.restore(2, update.state, snapshots, [1] if of == "open batch" else [], History())


@pytest.mark.parametrize("state", [b"", b"no safetensors", b"\xff" * 100])
def test_a_state_that_cannot_be_read_is_an_error(state: bytes) -> None:
    update = learn(learner := start(), learner.sample(1, 4, 3))

    with pytest.raises(ValueError, match="the state of version 1 of the policy cannot be read"):
        learner.restore(1, state, {1: update.snapshot}, [], History())


def test_a_state_of_another_algorithm_is_an_error() -> None:
    update = learn(learner := start("Random"), learner.sample(1, 4, 3))

    with pytest.raises(ValueError, match="bytes where the manifest's policy has"):
        start("REINFORCE").restore(1, update.state, {1: update.snapshot}, [], History())


def without_skips(proposal: Proposal) -> bool:
    return all(not layer.inputs for layer in SPACE.decode(proposal.decisions, proposal.depth).layers)


def test_only_accepted_proposals_are_sampled() -> None:
    batch = start().sample(1, 5, 3, accept=without_skips)

    assert len(batch.proposals) == 5
    assert all(map(without_skips, batch.proposals))


def test_a_batch_of_accepted_proposals_depends_on_its_number_alone() -> None:
    one, other = start(), start()
    other.sample(1, 3, 3)

    assert one.sample(2, 5, 3, accept=without_skips) == other.sample(2, 5, 3, accept=without_skips)
    assert one.sample(3, 5, 3, accept=without_skips) != other.sample(4, 5, 3, accept=without_skips)


def test_accepting_everything_is_accepting_without_asking() -> None:
    assert start().sample(1, 5, 3, accept=lambda _: True) == start().sample(1, 5, 3)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_sampling_gives_up_after_a_thousand_candidates_in_a_row(count: int) -> None:
    learner, asked = start("Random"), list[Proposal]()

    def accept_none(proposal: Proposal) -> bool:
        asked.append(proposal)
        return False

    with pytest.raises(
        NoAcceptableArchitectureError, match=r"of 1,000 architectures of depth 3 .* none keeps the constr"
    ):
        learner.sample(1, count, 3, accept=accept_none)

    assert len(asked) == 1000
    learn(learner, learner.sample(1, count, 3))
    assert learner.versions() == {1}


def test_sampling_goes_on_as_long_as_one_in_a_thousand_is_accepted() -> None:
    asked = list[Proposal]()

    def every_900th(proposal: Proposal) -> bool:
        asked.append(proposal)
        return len(asked) % 900 == 0

    assert len(start("Random").sample(1, 3, 3, accept=every_900th).proposals) == 3


def test_derived_seeds_differ_and_stay_the_same_from_release_to_release() -> None:
    assert (derived_seed(0, 1), derived_seed(2**31 - 1, 12_800, 3)) == (4319954654705883726, 346465935342393926)
    assert len({derived_seed(a, b) for a in range(100) for b in range(100)}) == 10_000
