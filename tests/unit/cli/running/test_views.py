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
from nas_cli.running.figures import sparkline
from nas_cli.running.live_view import LiveView
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


def live(state: Path, run: LocalRun, course: Course | None, *overrides: str, width: int = 110, height: int = 25) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    view = LiveView(load_manifest(state / "search.yaml", overrides), "runs/digits", console)
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


def with_workers(pools: dict[str, int], busy: int, **summary: object) -> LocalRun:
    """A run with so many workers in each pool, of which `busy` train and the others have not been heard of."""
    process = SimpleNamespace(running=True, ended=False, hopeless="")
    names = [(pool, f"{pool}-{number}") for pool, count in pools.items() for number in range(count)]
    known = [pb.Worker(worker_id=name, pool=pool, device="cpu", trial_id=9, alive=True) for pool, name in names[:busy]]
    values = {"trials_finished": 8, "workers": known} | summary
    return a_run(workers={name: process for _, name in names}, summary=pb.Summary(**values))  # type: ignore[arg-type]


def rows(shown: str) -> list[list[str]]:
    return [line.split() for line in shown.splitlines()]


def test_many_workers_are_told_by_their_pools(state: Path, course: Course) -> None:
    shown = live(state, with_workers({"on-demand": 24, "spot": 40}, 60), course)
    assert "64 workers" in shown
    assert ["on-demand", "24", "24", "0", "0"] in rows(shown)
    assert ["spot", "40", "36", "0", "4"] in rows(shown)


def test_many_pools_are_told_by_the_largest(state: Path, course: Course) -> None:
    shown = live(state, with_workers({f"pool-{number}": number + 1 for number in range(30)}, 465), course)
    assert ["pool-29", "30", "30", "0", "0"] in rows(shown)
    assert [row for row in rows(shown) if "more" in row]
    assert (
        sum(int(row[-4]) for row in rows(shown) if len(row) > 4 and (row[0].startswith("pool-") or "more" in row))
        == 465
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (120, 24), (200, 24), (200, 60)])
@pytest.mark.parametrize(
    "pools", [{}, {"a": 2}, {"a": 16}, {"a-pool-of-a-long-name" * 3: 9}, dict.fromkeys("abcdef", 9)]
)
def test_the_live_view_fits_on_the_terminal(
    state: Path, course: Course, width: int, height: int, pools: dict[str, int]
) -> None:
    finish_trial_9(state, 0.95)
    fail_trial_10(state)
    course.read()
    run = with_workers(pools, 20, trials_failed=3, journal_problem="the disk is full", final_trainings=3)
    shown = live(
        state, run, course, f"metadata.name={'n' * 52}", "spec.budget.maxDuration=100h", width=width, height=height
    )
    lines = shown.splitlines()
    assert len(lines) < height  # the cursor is in the last one
    assert max(map(len, lines)) <= width
    assert "trouble" in shown
    assert "Ctrl-C" in lines[-1]
    assert any(line.split()[:2] == ["finished", "reward"] for line in lines) or width >= 150


def test_a_wide_terminal_has_the_trials_beside_the_rest_with_what_went_wrong(state: Path, course: Course) -> None:
    finish_trial_9(state, 0.95)
    fail_trial_10(state)
    course.read()
    shown = live(state, a_run(), course, width=200, height=50)
    best = next(line for line in shown.splitlines() if line.startswith("best"))
    assert best.split()[-4:] == ["took", "worker", "or", "error"]  # the header of the other table
    assert next(line for line in shown.splitlines() if "TimedOut" in line).rstrip().endswith("after 60s")


def test_what_has_finished_before_is_shown_at_once(state: Path, course: Course) -> None:
    assert [trial.record.sequence for trial in course.last] == list(range(1, 9))
    assert not course.new
    assert "val_accuracy" in live(state, a_run(), course)


def test_a_pause_does_not_count(state: Path, course: Course) -> None:
    finish_trial_9(state, 0.95)
    course.read()
    paused = a_run(summary=pb.Summary(state=pb.Summary.SUSPENDED, trials_finished=9, elapsed_seconds=100), workers={})
    shown = live(state, paused, course)
    assert "paused" in shown
    assert "left" not in shown
    view = PlainView(load_manifest(state / "search.yaml"), "runs/digits", Console(file=io.StringIO()))
    view.update(paused, course, [])
    assert view.elapsed() == 100


def test_a_search_without_workers_says_that_it_waits(state: Path, course: Course) -> None:
    assert "no worker is there: the search waits for one" in live(state, with_workers({}, 0), course)


def test_a_budget_in_seconds_is_told_with_what_is_spent_of_it(state: Path, course: Course) -> None:
    shown = live(state, a_run(), course, "spec.budget.maxDuration=12h")
    assert "8/12 trials  1m 40s of 12h 00m elapsed" in shown


def test_the_second_stage_is_told_with_its_best(state: Path, course: Course) -> None:
    summary = pb.Summary(trials_finished=12, final_trainings=10, final_trainings_finished=4)
    summary.final_best.trial_id = 3
    summary.final_best.final_result.reward = 0.97
    shown = live(state, a_run(summary=summary), course)
    assert "4 of 10 trainings finished   best 0.9700, trial 3" in shown


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
