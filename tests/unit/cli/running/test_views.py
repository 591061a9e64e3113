"""What a person sees while a search runs."""

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_api.manifest import load_manifest
from nas_api.rpc import trials_pb2 as pb
from nas_cli.results import open_results
from nas_cli.running.course import Course
from nas_cli.running.live_view import LiveView, sparkline
from nas_cli.running.local_run import LocalRun, Phase
from nas_cli.running.plain_view import PlainView
from nas_controller.journal.journal import LeaseGranted, Measurement, TrialFinished, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from rich.console import Console


def a_run(**changes: object) -> LocalRun:
    """A run with two workers, one of them idle, as a view sees it."""
    process = SimpleNamespace(running=True, ended=False, hopeless="")
    values = {
        "phase": Phase.RUNNING,
        "answering": True,
        "events": [],
        "workers": {"default-0": process, "default-1": process},
        "summary": pb.Summary(
            trials_finished=8,
            trials_failed=1,
            leases_expired=2,
            elapsed_seconds=100,
            workers=[
                pb.Worker(worker_id="default-0", device="cpu", trial_id=9, seconds_in_state=12, alive=True),
                pb.Worker(worker_id="default-1", device="cpu", alive=True),
            ],
        ),
    }
    return cast("LocalRun", SimpleNamespace(**values | changes))


@pytest.fixture
def course(state: Path) -> Iterator[Course]:
    with open_results(state) as results:
        yield Course(results)


def finish_trial_9(state: Path, accuracy: float) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        series = (Measurement(1, {"val_accuracy": accuracy}, 1.0),)
        journal.write(
            TrialFinished(
                9, 9, "1.9", "default-0", TrialState.SUCCEEDED, accuracy**3, "", "", series, 2.0, 2.0, 1_700_000_040.0
            )
        ).result()


def fail_trial_10(state: Path) -> None:
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(LeaseGranted("1.10", 10, "default-0", "request-10", 1, 1_700_000_041.0)).result()
        journal.write(
            TrialFinished(
                10, 10, "1.10", "default-0", TrialState.FAILED, 0.0, "TimedOut", "after 60s\nlonger", (), 60.0, 60.0,
                1_700_000_042.0,
            )
        ).result()  # fmt: skip


def test_the_course_starts_with_what_was_and_grows_with_what_finishes(state: Path, course: Course) -> None:
    assert len(course.rewards) == 8
    assert course.read() == []
    assert course.best is not None
    assert course.best.record.sampled.trial == 3
    assert course.best.metric == pytest.approx(0.9)
    assert course.update is not None
    assert course.update.baseline == 0.25

    finish_trial_9(state, 0.95)
    (new,) = course.read()
    assert new.record.sampled.trial == 9
    assert new.metric == pytest.approx(0.95)
    assert course.best is new
    assert course.recent_mean() == pytest.approx(sum(course.rewards) / 9)
    assert course.read() == []


def live(state: Path, run: LocalRun, course: Course | None) -> str:
    console = Console(file=io.StringIO(), width=110)
    view = LiveView(load_manifest(state / "search.yaml"), "runs/digits", console)
    view.update(run, course, [])
    console.print(view.render(run, course))
    return cast("io.StringIO", console.file).getvalue()


def test_the_live_view_shows_progress_rewards_workers_and_troubles(state: Path, course: Course) -> None:
    finish_trial_9(state, 0.95)
    course.read()
    shown = live(state, a_run(), course)
    for expected in (
        "8/12 trials", "1m 40s elapsed", "about 4.0s left", "0.8574   trial 9   val_accuracy 0.95",
        "mean of the last 9", "baseline 0.2500", "1.2000 nats a decision, after 1 update",
        "1 failed trial, 2 leases expired", "default-0  cpu     9      12s", "default-1  cpu     idle",
    ):  # fmt: skip
        assert expected in shown


def test_the_live_view_counts_the_replay_of_a_stopped_trial_once(replayed: Path, course: Course) -> None:
    shown = [" ".join(line.split()) for line in live(replayed, a_run(), course).splitlines()]
    assert "saved trials 2 replayed, 1 stopped early" in shown


def test_the_time_left_is_not_told_before_the_pace_of_this_run_is_known(state: Path, course: Course) -> None:
    search = load_manifest(state / "search.yaml", ["spec.budget.maxDuration=12h"])
    view = PlainView(search, "runs/digits", Console(file=io.StringIO()))
    run = a_run()
    assert view.remaining(run.summary, course) is None
    finish_trial_9(state, 0.95)
    course.read()
    assert view.remaining(run.summary, course) == pytest.approx(4.0)


def test_a_worker_that_was_told_to_go_is_not_shown_as_starting(state: Path, course: Course) -> None:
    summary = pb.Summary(workers=[pb.Worker(worker_id="default-0", device="cpu", alive=False)])
    shown = live(state, a_run(phase=Phase.DRAINING, summary=summary), course)
    assert "leaving" in shown
    assert "starting" not in shown


def test_the_live_view_of_many_workers_fits_on_a_terminal(state: Path, course: Course) -> None:
    process = SimpleNamespace(running=True, ended=False, hopeless="")
    names = [f"default-{number}" for number in range(64)]
    busy = [pb.Worker(worker_id=name, device="cpu", trial_id=9, alive=True) for name in names[:60]]
    run = a_run(workers=dict.fromkeys(names, process), summary=pb.Summary(trials_finished=8, workers=busy))
    shown = live(state, run, course)
    assert "64 workers" in shown
    assert "60 of 64 workers train" in shown
    assert len(shown.splitlines()) < 40


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"phase": Phase.DRAINING}, "Ctrl-C again: give it back now"),
        ({"phase": Phase.RELEASING}, "Ctrl-C again: kill them"),
        ({"answering": False}, "the controller does not answer"),
        ({"summary": pb.Summary(journal_problem="the disk is full")}, "the search waits: the disk is full"),
        ({"summary": None}, "starting the controller"),
    ],
)
def test_the_live_view_says_what_is_going_on(
    state: Path, course: Course, changes: dict[str, object], expected: str
) -> None:
    assert expected in live(state, a_run(**changes), course)


def test_the_plain_view_has_a_line_for_each_trial_event_and_phase(state: Path, course: Course) -> None:
    console = Console(file=io.StringIO(), width=60, soft_wrap=True)
    view = PlainView(load_manifest(state / "search.yaml"), "runs/digits", console)
    finish_trial_9(state, 0.95)
    view.update(a_run(events=["the controller died by signal SIGKILL"]), course, course.read())
    fail_trial_10(state)
    view.update(a_run(), course, course.read())
    view.update(a_run(phase=Phase.DRAINING), course, [])
    view.update(a_run(phase=Phase.DRAINING), course, [])
    lines = [line.split(" ", 1)[1] for line in cast("io.StringIO", console.file).getvalue().splitlines()]
    assert lines[0] == "the controller died by signal SIGKILL"
    assert lines[1].startswith("9/12 trial 9 reward 0.8574, val_accuracy 0.95, 5.18k parameters, 2.0s; best 0.8574")
    assert lines[2].startswith("10/12 trial 10 failed: TimedOut: after 60s; best 0.8574, about ")
    assert lines[3].startswith("workers finish what they train")
    assert len(lines) == 4


@given(st.lists(st.floats(-100, 100), max_size=200), st.integers(1, 60))
def test_a_sparkline_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set("▁▂▃▄▅▆▇█")


def test_a_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 10, 10], 2) == "▁█"
    assert sparkline([1, 1, 1], 3) == "▁▁▁"
