"""What every backend of `Journal` does. Written against the interface alone: a new backend is one more parameter."""

import asyncio
import math
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from nas_controller.history import History
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    EndedLease,
    FactLearned,
    FinalTrainingFinished,
    FinalTrainingsPlanned,
    Journal,
    JournalError,
    LeaseEnded,
    LeaseGranted,
    LeaseSpan,
    Measurement,
    OpenLease,
    PlannedTraining,
    PolicyUpdated,
    Record,
    Recovered,
    SampledTrial,
    SearchStateChanged,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.journal.wakeup import CommitWaiter
from nas_controller.leases import make_token
from nas_controller.proposal import Proposal

from .study import Study, random_writes

BACKENDS: dict[str, Callable[[Path], Journal]] = {
    "file": lambda directory: SqliteJournal(directory / "journal.sqlite", "default/digits"),
    "memory": lambda _: SqliteJournal(":memory:", "default/digits"),
}


@pytest.fixture(params=list(BACKENDS))
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    try:
        opened.close()
    except JournalError:
        assert opened.problem() != ""


def sampled(trial: int, batch: int = 1) -> SampledTrial:
    return SampledTrial(trial, batch, Proposal((3, 1), depth=1), "{}", f"digest-{trial}", 10, 20)


def batch(number: int, *trials: int, version: int = 0) -> BatchSampled:
    return BatchSampled(number, version, tuple(sampled(trial, number) for trial in trials), 1.0)


def twins(trials: int) -> BatchSampled:
    """Batch 1, of so many trials of one architecture."""
    return BatchSampled(1, 0, tuple(replace(sampled(trial, 1), digest="twin") for trial in range(1, trials + 1)), 1.0)


def lease(name: str, trial: int, attempt: int = 1) -> LeaseGranted:
    return LeaseGranted(name, trial, "worker", f"request-{name}", attempt, 2.0)


def finished(
    trial: int,
    sequence: int,
    lease: str | None = None,
    state: TrialState = TrialState.SUCCEEDED,
    reward: float = 0.5,
    measurements: tuple[Measurement, ...] = (),
) -> TrialFinished:
    return TrialFinished(trial, sequence, lease, "worker", state, reward, "", "", measurements, 1.0, 2.0, 3.0)


def updated(version: int, batch: int, kept: frozenset[int] | None = None) -> PolicyUpdated:
    mark = b"%d" % version
    kept = frozenset({version}) if kept is None else kept
    return PolicyUpdated(version, batch, 0, 0.1, None, 0.3, 0.4, b"snapshot" + mark, b"state" + mark, kept, 5.0)


# Writing. -----------------------------------------------------------------------------------------------------------


def test_a_new_journal_has_nothing_to_recover(journal: Journal) -> None:
    nothing = Recovered(counts={TrialState.SUCCEEDED: 0, TrialState.FAILED: 0, TrialState.STOPPED_EARLY: 0})

    assert journal.recover() == nothing
    assert journal.trials() == journal.finished() == journal.best() == []
    assert list(journal.updates()) == []
    assert journal.history() == History([], [], [], [])
    assert journal.trial(1) is None
    assert journal.ended_lease("1.1") is None
    assert journal.problem() == ""


@pytest.mark.parametrize("backend", BACKENDS)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
@settings(deadline=None)
def test_any_sequence_of_valid_writes_reads_back_as_it_was_written(
    backend: str, seed: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study = Study()
    with BACKENDS[backend](tmp_path_factory.mktemp("journal")) as journal:
        for records in islice(random_writes(study, seed), count):
            journal.write(*records)
        journal.write().result()
        study.check(journal)


def test_writes_become_durable_in_the_order_in_which_they_were_made(journal: Journal) -> None:
    durable: list[int] = []
    for number in range(500):
        future = journal.write(FactLearned("last", str(number)))
        future.add_done_callback(lambda _, number=number: durable.append(number))  # type: ignore[misc]
    journal.write().result()

    assert durable == list(range(500))
    assert journal.recover().facts == {"last": "499"}


def test_a_write_without_records_is_done_when_all_before_it_are(journal: Journal) -> None:
    first = journal.write(ControllerStarted(1, 1.0))
    journal.write().result()

    assert first.done()


def test_many_threads_may_write_and_read_and_see_whole_transactions_only(journal: Journal) -> None:
    torn: list[dict[str, str]] = []
    stop = threading.Event()

    def write(thread: int) -> None:
        for number in range(50):
            journal.write(
                FactLearned(f"a{thread}", str(number)),
                FactLearned(f"b{thread}", str(number)),
            ).result()

    def read() -> None:
        while not stop.is_set():
            facts = journal.recover().facts
            torn.extend(facts for t in range(4) if facts.get(f"a{t}") != facts.get(f"b{t}"))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(t,)) for t in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()

    assert torn == []
    assert journal.recover().facts == {f"{k}{t}": "49" for k in "ab" for t in range(4)}


def test_a_write_cannot_be_cancelled(journal: Journal) -> None:
    future = journal.write(FactLearned("shape", "1x8x8"))

    assert not future.cancel()
    future.result()
    assert journal.recover().facts == {"shape": "1x8x8"}


def test_a_closed_journal_takes_no_more_writes(journal: Journal) -> None:
    journal.close()
    journal.close()

    with pytest.raises(JournalError, match="is closed"):
        journal.write(FactLearned("shape", "1x8x8")).result()


def test_closing_makes_everything_durable_that_was_written(journal: Journal) -> None:
    futures = [journal.write(FactLearned("last", str(n))) for n in range(200)]
    journal.close()

    assert all(future.done() and future.exception() is None for future in futures)


async def test_an_event_loop_waits_for_many_writes_and_may_stop_waiting_for_one(journal: Journal) -> None:
    commits = CommitWaiter()
    waiters = [commits.wrap(journal.write(FactLearned(str(n), ""))) for n in range(100)]
    waiters[0].cancel()

    results = await asyncio.gather(*waiters, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None] * 99
    assert len(journal.recover().facts) == 100


async def test_an_event_loop_is_told_of_a_write_that_failed(journal: Journal) -> None:
    with pytest.raises(JournalError, match="trial=7"):
        await CommitWaiter().wrap(journal.write(lease("1.1", trial=7)))


# Records that contradict the journal. -------------------------------------------------------------------------------

BEFORE: tuple[Record, ...] = (
    ControllerStarted(1, 1.0),
    batch(1, 1, 2),
    batch(2, 3),
    lease("held", 1),
    lease("ended", 2),
    LeaseEnded("ended", 2, "Released", 2.0),
    finished(3, 1),
    updated(1, 2),
    batch(3, 4, version=1),
)

CONTRADICTIONS: dict[str, Record] = {
    "an epoch that is not greater": ControllerStarted(1, 2.0),
    "a batch of a number that is there": batch(2, 9),
    "a batch without trials": batch(9),
    "a trial of a number that is there": batch(9, 1),
    "a trial of another batch": BatchSampled(9, 0, (sampled(9, batch=8),), 1.0),
    "a batch of a version that was never made": batch(9, 9, version=8),
    "a lease on a trial that is not there": lease("new", 9),
    "a lease on a trial that is held": lease("new", 1),
    "a lease on a trial that has finished": lease("new", 3),
    "a lease that is held already": lease("held", 1),
    "a lease that ended, on another trial": lease("ended", 4),
    "the end of a lease that is not there": LeaseEnded("new", 1, "Released", 2.0),
    "the end of a lease on another trial": LeaseEnded("held", 2, "Released", 2.0),
    "the end of a lease that has ended": LeaseEnded("ended", 2, "Expired", 2.0),
    "the end of a lease for an unknown reason": LeaseEnded("held", 1, "Bored", 2.0),
    "the end of a lease as finished, without a result": LeaseEnded("held", 1, "Finished", 2.0),
    "a result of a trial that is not there": finished(9, 2),
    "a second result of a trial": finished(3, 2),
    "a result that is not the next": finished(1, 3, "held"),
    "a result of a sequence that is there": finished(1, 1, "held"),
    "a result of a lease that never was": finished(2, 2, "new"),
    "a result of a lease on another trial": finished(2, 2, "held"),
    "a result of a trial that another lease holds": finished(1, 2, "ended"),
    "a result without a lease of a trial that is held": finished(1, 2),
    "a result that is not final": finished(2, 2, state=TrialState.LEASED),
    "a reward that is not a number": finished(2, 2, reward=math.nan),
    "a reward without bound": finished(2, 2, reward=math.inf),
    "an update that is not the next": updated(3, 3),
    "a second update from a batch": updated(2, 2),
    "an update from a batch that is not there": updated(2, 9),
    "an update from a batch with unfinished trials": updated(2, 1),
    "something that cannot be stored": FactLearned("key", object()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_fails_its_write_whole_and_all_later_ones_but_none_before(
    journal: Journal, contradiction: Record
) -> None:
    before = [journal.write(record) for record in BEFORE]
    wrong = journal.write(FactLearned("beside", "it"), contradiction)
    after = journal.write(FactLearned("after", "it"))

    with pytest.raises(JournalError, match=type(contradiction).__name__) as error:
        wrong.result()
    with pytest.raises(JournalError):
        after.result()
    with pytest.raises(JournalError):
        journal.write().result()
    assert [future.exception() for future in before] == [None] * len(before)
    assert journal.recover().facts == {}
    assert journal.recover().last_sequence == 1
    assert journal.problem() == str(error.value)


@pytest.mark.parametrize("state", [TrialState.SUCCEEDED, TrialState.STOPPED_EARLY])
def test_a_replay_has_the_state_and_the_reward_of_a_trained_twin(journal: Journal, state: TrialState) -> None:
    journal.write(twins(4), finished(1, 1, state=state, reward=0.4))
    journal.write(replace(finished(2, 2, state=state, reward=0.4), replay_of=1)).result()

    assert [record.replay_of for record in journal.finished()] == [None, 1]
    assert (journal.recover().replayed, journal.recover().replayed_in_a_row) == (1, 1)
    journal.write(replace(finished(3, 3, state=state, reward=0.4), replay_of=1)).result()
    assert journal.recover().replayed_in_a_row == 2
    journal.write(finished(4, 4, reward=0.5)).result()
    assert (journal.recover().replayed, journal.recover().replayed_in_a_row) == (2, 0)
    assert [(each.trial, each.state, each.reward) for each in journal.trained_results()] == [
        (1, state, 0.4),
        (4, TrialState.SUCCEEDED, 0.5),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        finished(3, 3, reward=0.4),
        finished(3, 3, state=TrialState.STOPPED_EARLY, reward=0.5),
        finished(3, 3, state=TrialState.FAILED, reward=0.4),
        replace(finished(3, 3, state=TrialState.STOPPED_EARLY, reward=0.4), replay_of=2),
        finished(5, 3, state=TrialState.STOPPED_EARLY, reward=0.4),
    ],
    ids=["another state", "another reward", "as a failure", "of a replay", "of another architecture"],
)
def test_what_is_no_replay_of_a_trained_twin_is_refused(journal: Journal, wrong: TrialFinished) -> None:
    stopped = finished(1, 1, state=TrialState.STOPPED_EARLY, reward=0.4)
    journal.write(twins(4), batch(2, 5), stopped, replace(stopped, trial=2, sequence=2, replay_of=1)).result()

    with pytest.raises(JournalError, match="not a replay of a result of the same architecture"):
        journal.write(wrong if wrong.replay_of else replace(wrong, replay_of=1)).result()


def test_an_update_must_keep_the_snapshots_that_open_batches_need(journal: Journal) -> None:
    journal.write(batch(1, 1), finished(1, 1), updated(1, 1))
    journal.write(batch(2, 2, version=1), batch(3, 3, version=1), finished(2, 2))

    with pytest.raises(JournalError, match="kept_versions"):
        journal.write(updated(2, 2, kept=frozenset({2}))).result()


# What records mean. -------------------------------------------------------------------------------------------------


def test_starts_count_epochs_and_the_first_tells_when_the_search_began(journal: Journal) -> None:
    journal.write(ControllerStarted(1, 100.0))
    journal.write(ControllerStarted(2, 200.0)).result()

    recovered = journal.recover()
    assert (recovered.epoch, recovered.started_at) == (2, 100.0)


def test_an_open_batch_comes_back_with_its_rewards_and_lost_attempts(journal: Journal) -> None:
    journal.write(batch(1, 1, 2, 3))
    journal.write(lease("a", 1), LeaseEnded("a", 1, "Lost", 2.0), lease("b", 1, attempt=2))
    journal.write(LeaseEnded("b", 1, "Expired", 2.0), lease("c", 1, attempt=3), LeaseEnded("c", 1, "Released", 2.0))
    journal.write(finished(2, 1, reward=0.25)).result()

    recovered = journal.recover()
    (opened,) = recovered.batches
    assert opened.trials == (sampled(1), sampled(2), sampled(3))
    assert opened.rewards == {2: 0.25}
    assert opened.attempts == {1: 2, 2: 0, 3: 0}
    assert (recovered.last_batch, recovered.last_trial, recovered.last_sequence) == (1, 3, 1)
    assert (recovered.leases, recovered.leases_expired) == ((), 1)


def test_a_lease_is_open_until_it_ends(journal: Journal) -> None:
    journal.write(batch(1, 1, 2), lease("a", 1), lease("b", 2)).result()
    assert journal.recover().leases == (
        OpenLease("a", 1, "worker", "request-a", 1, 2.0),
        OpenLease("b", 2, "worker", "request-b", 1, 2.0),
    )
    assert journal.ended_lease("a") is None

    journal.write(LeaseEnded("a", 1, "Released", 3.0), finished(2, 1, "b")).result()
    assert journal.recover().leases == ()
    assert journal.ended_lease("a") == EndedLease(1, "worker", "Released")
    assert journal.ended_lease("b") == EndedLease(2, "worker", "Finished")


def test_a_lease_that_ended_without_result_can_be_taken_up_again_and_its_loss_still_counts(journal: Journal) -> None:
    journal.write(batch(1, 1), lease("a", 1), LeaseEnded("a", 1, "Expired", 3.0), lease("a", 1)).result()

    recovered = journal.recover()
    assert recovered.leases == (OpenLease("a", 1, "worker", "request-a", 1, 2.0),)
    assert recovered.batches[0].attempts == {1: 1}
    assert journal.ended_lease("a") is None


def test_a_late_result_makes_its_expired_lease_a_finished_one(journal: Journal) -> None:
    journal.write(batch(1, 1), lease("a", 1), LeaseEnded("a", 1, "Expired", 3.0), finished(1, 1, "a")).result()

    assert journal.ended_lease("a") == EndedLease(1, "worker", "Finished")


def test_spans_of_leases_tell_who_trained_when_and_what_came_of_it(journal: Journal) -> None:
    tokens = [make_token(1, number, pool) for number, pool in enumerate(("gpu", "gpu", "spot"), 1)]
    grants = [LeaseGranted(token, number, "worker", token, 1, float(number)) for number, token in enumerate(tokens, 1)]
    journal.write(batch(1, 1, 2, 3), *grants).result()
    lost = LeaseEnded(tokens[2], 3, "Lost", 5.0)
    journal.write(replace(finished(1, 1, tokens[0]), device_seconds=8.0, at=9.0), lost).result()

    assert journal.lease_spans() == [
        LeaseSpan(1, 0, "worker", "gpu", 1.0, 9.0, "Finished", 8.0),
        LeaseSpan(2, 0, "worker", "gpu", 2.0, None, "", 0.0),
        LeaseSpan(3, 0, "worker", "spot", 3.0, 5.0, "Lost", 0.0),
    ]


def test_the_span_of_a_final_training_is_beside_that_of_its_trial(journal: Journal) -> None:
    journal.write(batch(1, 1), lease("a", 1), finished(1, 1, "a")).result()
    journal.write(
        FinalTrainingsPlanned((PlannedTraining(1, 1, "{}", 0),)),
        replace(lease("b", 1), at=4.0, training=1),
        FinalTrainingFinished(
            1, "b", "worker", TrialState.SUCCEEDED, 0.5, "", "", (), 2.0, 7.0, 0, 6.0
        ),
    ).result()  # fmt: skip

    assert journal.lease_spans()[1:] == [LeaseSpan(1, 1, "worker", "", 4.0, 6.0, "Finished", 7.0)]


def test_spans_of_leases_come_by_trial_and_in_pages_of_trials(journal: Journal) -> None:
    begun = {1: (9.0, 2.0), 3: (5.0,), 4: (1.0, 3.0, 2.0)}  # trial 2 has none
    journal.write(batch(1, 1, 2, 3, 4))
    for trial, times in begun.items():
        for number, at in enumerate(times):
            token = f"{trial}-{number}"
            journal.write(replace(lease(token, trial), at=at), LeaseEnded(token, trial, "Released", 10.0))
    journal.write().result()

    def spans(**page: int) -> list[tuple[int, float]]:
        return [(span.trial, span.granted_at) for span in journal.lease_spans(**page)]

    assert spans() == [(1, 2.0), (1, 9.0), (3, 5.0), (4, 1.0), (4, 2.0), (4, 3.0)]
    assert spans(limit=2) == [(1, 2.0), (1, 9.0), (3, 5.0)]
    assert spans(after=3, limit=2) == [(4, 1.0), (4, 2.0), (4, 3.0)]
    assert spans(after=4, limit=2) == spans(after=2**64 - 1) == []


def test_a_fact_is_what_was_written_down_last(journal: Journal) -> None:
    journal.write(FactLearned("shape", "1x8x8"), FactLearned("other", "x"))
    journal.write(FactLearned("shape", "3x8x8")).result()

    assert (journal.fact("shape"), journal.fact("other"), journal.fact("nothing")) == ("3x8x8", "x", "")


def test_results_are_counted(journal: Journal) -> None:
    journal.write(batch(1, 1, 2, 3, 4, 5))
    states = (TrialState.FAILED, TrialState.SUCCEEDED, TrialState.STOPPED_EARLY, TrialState.FAILED, TrialState.FAILED)
    for number, state in enumerate(states, start=1):
        journal.write(finished(number, number, state=state))
    journal.write().result()

    recovered = journal.recover()
    assert recovered.counts == {TrialState.SUCCEEDED: 1, TrialState.FAILED: 3, TrialState.STOPPED_EARLY: 1}
    assert recovered.consecutive_failures == 2
    assert recovered.device_seconds == 10.0


def test_to_run_again_after_failure_forgives_the_failures_so_far(journal: Journal) -> None:
    journal.write(batch(1, 1), finished(1, 1, state=TrialState.FAILED))
    journal.write(SearchStateChanged("SUSPENDED", "Asked", "by a person", 1.0))
    journal.write(SearchStateChanged("RUNNING", "", "", 1.0)).result()
    assert journal.recover().consecutive_failures == 1

    journal.write(SearchStateChanged("FAILED", "TooManyFailures", "1 in a row", 2.0)).result()
    recovered = journal.recover()
    assert (recovered.search_state, recovered.search_reason, recovered.search_message) == (
        "FAILED",
        "TooManyFailures",
        "1 in a row",
    )

    journal.write(SearchStateChanged("RUNNING", "", "", 3.0)).result()
    assert journal.recover().consecutive_failures == 0


def test_an_update_closes_its_batch_and_drops_what_it_does_not_keep(journal: Journal) -> None:
    journal.write(batch(1, 1), batch(2, 2), finished(1, 1), updated(1, 1, frozenset({0, 1})))
    journal.write(batch(3, 3, version=1), finished(2, 2), updated(2, 2, frozenset({1, 2}))).result()
    recovered = journal.recover()
    assert recovered.version == 2
    assert recovered.state == b"state2"
    assert recovered.snapshots == {1: b"snapshot1", 2: b"snapshot2"}
    assert [opened.batch for opened in recovered.batches] == [3]

    journal.write(finished(3, 3), updated(3, 3)).result()
    assert journal.recover().snapshots == {3: b"snapshot3"}
    assert [update.trials_finished for update in journal.updates()] == [1, 2, 3]
    assert [update.version for update in journal.updates(after=1, limit=1)] == [2]


# Reading. -----------------------------------------------------------------------------------------------------------


def test_measurements_come_back_as_they_were_also_if_not_finite(journal: Journal) -> None:
    series = (
        Measurement(1, {"loss": math.inf, "accuracy": 0.1 + 0.2}, 0.5),
        Measurement(2, {"loss": -math.inf, "größe": 5e-324}, 1e300),
        Measurement(3, {}, 0.0),
    )
    journal.write(batch(1, 1, 2), finished(1, 1, measurements=series))
    journal.write(finished(2, 2, measurements=(Measurement(1, {"loss": math.nan}, 0.5),))).result()

    first, second = journal.trial(1), journal.trial(2)
    assert first is not None
    assert second is not None
    assert first.measurements == series
    assert math.isnan(second.measurements[0].metrics["loss"])
    assert [record.measurements for record in journal.trials()] == [(), ()]
    assert journal.finished(limit=1, measurements=True)[0].measurements == series
    assert journal.best(limit=1, measurements=True)[0].measurements == series


def test_pages_of_trials_follow_one_another(journal: Journal) -> None:
    journal.write(batch(1, *range(1, 11)))
    order = random.Random(1).sample(range(1, 11), 7)
    for sequence, trial in enumerate(order, start=1):
        journal.write(finished(trial, sequence))
    journal.write().result()

    by_number = [journal.trials(after=after, limit=4) for after in (0, 4, 8, 10)]
    assert [[r.sampled.trial for r in page] for page in by_number] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10], []]
    by_sequence = [journal.finished(after=after, limit=4) for after in (0, 4, 7)]
    assert [[r.sampled.trial for r in page] for page in by_sequence] == [order[:4], order[4:], []]


def test_the_best_are_those_that_succeeded_with_the_earlier_one_first_among_equals(journal: Journal) -> None:
    journal.write(batch(1, 1, 2, 3, 4, 5))
    journal.write(finished(3, 1, reward=0.9))
    journal.write(finished(1, 2, reward=0.9))
    journal.write(finished(2, 3, reward=0.95, state=TrialState.STOPPED_EARLY))
    journal.write(finished(4, 4, reward=-1.0))
    journal.write(finished(5, 5, reward=0.99)).result()

    assert [record.sampled.trial for record in journal.best()] == [5, 3, 1, 4]
    assert [record.sampled.trial for record in journal.best(offset=1, limit=2)] == [3, 1]


def test_there_is_nothing_beyond_the_largest_number_that_a_message_can_hold(journal: Journal) -> None:
    journal.write(batch(1, 1, 2)).result()

    assert journal.trials(after=2**64 - 1) == journal.finished(after=2**64 - 1) == journal.best(offset=2**64 - 1) == []
    assert journal.trial(2**64 - 1) is None


def test_a_trial_tells_where_it_stands(journal: Journal) -> None:
    def standing() -> tuple[TrialState, int, str]:
        record = journal.trial(1)
        assert record is not None
        return record.state, record.attempts, record.worker

    journal.write(batch(1, 1)).result()
    assert standing() == (TrialState.PENDING, 0, "")
    journal.write(lease("a", 1)).result()
    assert standing() == (TrialState.LEASED, 1, "worker")
    journal.write(LeaseEnded("a", 1, "Lost", 1.0)).result()
    assert standing() == (TrialState.PENDING, 1, "")
    journal.write(lease("b", 1, attempt=2), finished(1, 1, "b", state=TrialState.FAILED)).result()
    assert standing() == (TrialState.FAILED, 2, "worker")
