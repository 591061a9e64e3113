"""The queue of searches: against a model that remembers everything, and by example."""

import math
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from nas_operator.work_queue import WorkQueue

KEYS = st.sampled_from("abc")
SECONDS = st.floats(0, 50)
INTERVAL, FIRST, LONGEST, JITTER = 1.0, 2.0, 20.0, 0.2


class Queue(RuleBasedStateMachine):
    """Whatever is asked, in whatever order and at whatever times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.queue: WorkQueue[str] = WorkQueue(INTERVAL, FIRST, LONGEST, JITTER, seed=0)
        self.wanted: dict[str, float] = {}  # when work was asked for, earliest
        self.working: set[str] = set()
        self.taken: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        self.held: dict[str, float] = {}  # back-off at least until

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=KEYS, after=st.sampled_from([0.0, 3.0, 30.0]))
    def add(self, key: str, after: float) -> None:
        self.queue.add(key, self.now, after)
        self.wanted[key] = min(self.wanted.get(key, math.inf), self.now + after)

    @rule(key=KEYS)
    def retry_now(self, key: str) -> None:
        self.queue.retry_now(key, self.now)
        self.wanted[key] = min(self.wanted.get(key, math.inf), self.now)
        self.failures.pop(key, None)
        self.held.pop(key, None)
        self.taken.pop(key, None)

    @rule()
    def take(self) -> None:
        key = self.queue.take(self.now)
        if key is None:
            assert not [ready for ready in self.wanted if self.may_be_taken(ready, LONGEST * (1 + JITTER))]
            return
        assert key not in self.working
        assert self.may_be_taken(key, 0)
        self.working.add(key)
        self.taken[key] = self.now
        del self.wanted[key]

    @precondition(lambda self: self.working)
    @rule(data=st.data(), again_after=st.sampled_from([None, 0.0, 5.0]))
    def done(self, data: st.DataObject, again_after: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.done(key, self.now, again_after)
        self.working.remove(key)
        self.failures.pop(key, None)
        if again_after is not None:
            self.wanted[key] = min(self.wanted.get(key, math.inf), self.now + again_after)
        elif key not in self.wanted:
            self.taken.pop(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        delay = self.queue.failed(key, self.now)
        self.working.remove(key)
        expected = min(FIRST * 2 ** self.failures.get(key, 0), LONGEST)
        assert expected <= delay <= expected * (1 + JITTER)
        self.failures[key] = self.failures.get(key, 0) + 1
        self.held[key] = self.now + expected
        self.wanted[key] = min(self.wanted.get(key, math.inf), self.now)

    @invariant()
    def it_says_when_there_is_work(self) -> None:
        due = self.queue.next_due()
        waiting = self.wanted.keys() - self.working
        assert (due is not None) == bool(waiting)
        assert self.queue.working_since().keys() == self.working

    def may_be_taken(self, key: str, slack: float) -> bool:
        begins = self.taken.get(key, -math.inf) + INTERVAL
        return key not in self.working and self.now >= max(self.wanted[key], begins, self.held.get(key, 0)) + slack


TestQueue = Queue.TestCase


def test_a_key_that_is_added_twice_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 0)
    queue.add("a", 0)
    assert queue.take(0) == "a"
    queue.done("a", 0)
    assert queue.take(100) is None


def test_a_key_that_is_added_while_it_is_worked_on_is_worked_on_again() -> None:
    queue: WorkQueue[str] = WorkQueue(least_interval=1)
    queue.add("a", 0)
    assert queue.take(0) == "a"
    queue.add("a", 0.1)
    assert queue.take(50) is None
    queue.done("a", 50)
    assert queue.take(50) == "a"


def test_a_key_that_is_never_left_alone_is_worked_on_at_the_least_interval() -> None:
    queue: WorkQueue[str] = WorkQueue(least_interval=1)
    begins = []
    for tick in range(100):
        now = tick / 10
        queue.add("a", now)
        if queue.take(now) == "a":
            begins.append(now)
            queue.done("a", now, again_after=60)
    assert len(begins) == 10
    assert all(later - earlier >= 1 for earlier, later in pairwise(begins))


def test_the_key_that_has_waited_for_longest_comes_first() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for second, key in enumerate("bca"):
        queue.add(key, second)
    assert [queue.take(10) for _ in range(4)] == ["b", "c", "a", None]


def test_failures_in_a_row_are_tried_later_and_later_and_a_success_ends_the_row() -> None:
    queue: WorkQueue[str] = WorkQueue(least_interval=0, first_delay=1, longest_delay=8, jitter=0)
    delays = []
    now = 0.0
    queue.add("a", now)
    for _ in range(6):
        assert queue.take(now) == "a"
        delays.append(queue.failed("a", now))
        queue.add("a", now)  # what is heard meanwhile does not cut it short
        assert queue.take(now + delays[-1] - 0.01) is None
        now += delays[-1]
    assert delays == [1, 2, 4, 8, 8, 8]
    assert queue.take(now) == "a"
    queue.done("a", now)
    queue.add("a", now)
    assert queue.take(now) == "a"
    assert queue.failed("a", now) == 1


def test_what_failed_together_does_not_come_back_together() -> None:
    queue: WorkQueue[int] = WorkQueue(jitter=0.2, seed=1)
    for number in range(100):
        queue.add(number, 0)
    while (failed := queue.take(0)) is not None:
        queue.failed(failed, 0)
    times = []
    while (due := queue.next_due()) is not None:
        key = queue.take(due)
        assert key is not None
        times.append(due)
        queue.done(key, due)
    assert len(set(times)) > 90
    assert max(times) - min(times) > 0.1


def test_only_what_is_worked_on_can_be_ended() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 0)
    with pytest.raises(ValueError, match="is not being worked on"):
        queue.done("a", 0)
