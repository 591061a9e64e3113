"""The ledger: which trial goes out next, which batch is learnt next, and the bound on the version lag."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from nas_controller.journal.journal import SampledTrial
from nas_controller.ledger import Batch, Ledger, OpenTrial
from nas_controller.proposal import Proposal


def batch(number: int, version: int, size: int = 2) -> Batch:
    trials = [
        OpenTrial(SampledTrial(number * 100 + i, number, Proposal((i,), 1), "{}", f"{number}-{i}")) for i in range(size)
    ]
    return Batch(number, version, trials)


def finish_all(ledger: Ledger, opened: Batch) -> None:
    for trial in opened.trials:
        ledger.finish(trial, 0.5)


def test_the_batch_nearest_to_completion_goes_out_first() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    older, newer = batch(1, 0, size=3), batch(2, 0, size=3)
    ledger.add(older)
    ledger.add(newer)
    ledger.finish(newer.trials[0], 1.0)

    assert ledger.next_pending() is newer.trials[1]


def test_among_batches_equally_near_the_older_one_goes_out_first() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    older, newer = batch(1, 0), batch(2, 0)
    ledger.add(newer)
    ledger.add(older)

    assert ledger.next_pending() is older.trials[0]


def test_a_trial_given_back_goes_out_again_before_the_others_of_its_batch() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    opened = batch(1, 0, size=3)
    ledger.add(opened)
    ledger.hold(opened.trials[0], "lease")

    ledger.give_back(opened.trials[0], lost=True)

    assert ledger.next_pending() is opened.trials[0]
    assert opened.trials[0].lost == 1


def test_trials_given_back_go_out_in_the_order_of_their_numbers_as_after_a_restart() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    opened = batch(1, 0, size=3)
    ledger.add(opened)
    for trial in opened.trials:
        ledger.hold(trial, "lease")

    for index in (2, 0, 1):
        ledger.give_back(opened.trials[index], lost=True)

    assert list(opened.pending) == opened.trials


def test_a_trial_given_back_and_not_lost_has_lost_no_attempt() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    opened = batch(1, 0)
    ledger.add(opened)
    ledger.hold(opened.trials[0], "lease")

    ledger.give_back(opened.trials[0], lost=False)

    assert opened.trials[0].lost == 0


def test_batches_are_learnt_in_the_order_in_which_they_were_completed() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    first, second = batch(1, 0), batch(2, 0)
    ledger.add(first)
    ledger.add(second)
    finish_all(ledger, second)
    finish_all(ledger, first)

    assert ledger.next_complete(version=0) == [second]
    ledger.remove(second.number)
    assert ledger.next_complete(version=1) == [first]


def test_an_incomplete_batch_is_not_learnt() -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    opened = batch(1, 0)
    ledger.add(opened)
    ledger.finish(opened.trials[0], 0.5)

    assert ledger.next_complete(version=0) == []


def test_no_more_batches_are_open_than_there_are_replicas() -> None:
    ledger = Ledger(replicas=2, max_version_lag=None)
    ledger.add(batch(1, 0))
    assert ledger.room()
    ledger.add(batch(2, 0))
    assert ledger.room() == 0


def test_a_lag_of_zero_allows_one_batch_at_a_time() -> None:
    ledger = Ledger(replicas=None, max_version_lag=0)
    assert ledger.room()
    ledger.add(batch(1, 0))
    assert ledger.room() == 0


@pytest.mark.parametrize("pending_first", [True, False])
def test_counts_follow_what_happens(pending_first: bool) -> None:
    ledger = Ledger(replicas=None, max_version_lag=None)
    opened = batch(1, 0)
    ledger.add(opened)
    assert (ledger.pending, ledger.held) == (2, 0)
    ledger.hold(opened.trials[0], "lease")
    assert (ledger.pending, ledger.held) == (1, 1)
    finish_all(ledger, opened) if pending_first else [ledger.finish(t, 0.1) for t in reversed(opened.trials)]
    assert (ledger.pending, ledger.held, ledger.complete) == (0, 0, 1)


@given(max_lag=st.integers(0, 5), data=st.data())
def test_no_update_lags_by_more_than_the_bound_and_none_is_stuck(max_lag: int, data: st.DataObject) -> None:
    """Whatever the order in which batches open and finish."""
    ledger = Ledger(replicas=None, max_version_lag=max_lag)
    version = 0
    unfinished: list[Batch] = []
    for number in range(1, 30):
        if ledger.room() and data.draw(st.booleans(), label="open"):
            opened = batch(number, version, size=1)
            ledger.add(opened)
            unfinished.append(opened)
        if unfinished and data.draw(st.booleans(), label="finish"):
            finish_all(ledger, unfinished.pop(data.draw(st.integers(0, len(unfinished) - 1), label="which")))
        while data.draw(st.booleans(), label="learn") and (complete := ledger.next_complete(version)):
            assert version - complete[0].version <= max_lag
            ledger.remove(complete[0].number)
            version += 1
    for opened in unfinished:
        finish_all(ledger, opened)
    while complete := ledger.next_complete(version):
        assert version - complete[0].version <= max_lag
        ledger.remove(complete[0].number)
        version += 1
    assert not list(ledger.batches)


def test_a_bound_on_the_lag_that_was_lowered_makes_no_batch_wait_for_ever() -> None:
    """Three batches were opened at version 0, and then the bound became 0: two of them cannot keep it."""
    ledger = Ledger(replicas=None, max_version_lag=0)
    opened = [batch(number, version=0) for number in (1, 2, 3)]
    for one in opened:
        ledger.add(one)
        finish_all(ledger, one)

    learnt = []
    for version in range(3):
        (complete,) = ledger.next_complete(version)
        learnt.append(complete)
        ledger.remove(complete.number)

    assert learnt == opened
