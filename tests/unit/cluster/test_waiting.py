"""Waiting for a condition, and saying what was seen if it does not come."""

import pytest

from tests.cluster.command import CommandError, run
from tests.cluster.waiting import wait_for


def test_gives_what_the_condition_gave() -> None:
    answers = iter([None, "", 0, "ready"])
    assert wait_for(lambda: next(answers), "an answer") == "ready"


def test_looks_once_even_without_time() -> None:
    assert wait_for(lambda: 1, "an answer", timeout=0) == 1


def test_says_what_it_waited_for_and_saw_last() -> None:
    with pytest.raises(TimeoutError, match=r"timed out after 0 s waiting for the moon; last seen: \[\]"):
        wait_for(list, "the moon", timeout=0)


def test_a_command_that_fails_is_asked_again_and_reported() -> None:
    with pytest.raises(TimeoutError, match="not yet there"):
        wait_for(lambda: run("sh", "-c", "echo not yet there >&2; exit 1"), "a file", timeout=0)


def test_other_errors_are_not_waited_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0, "infinity")


def test_a_command_that_fails_says_what_was_run_and_what_it_said() -> None:
    with pytest.raises(CommandError, match=r"^sh -c echo no >&2; exit 3\nno$"):
        run("/bin/sh", "-c", "echo no >&2; exit 3")
