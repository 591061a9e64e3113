"""A search for a Prometheus to scrape: `nas run --metrics`, which goes on for longer than any test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.nas_program import Workplace


@contextmanager
def running_search(directory: Path) -> Iterator[str]:
    """The search `default/tiny` on digits, for the duration of the context. Trials of it have finished.

    Yields:
        The URL of its metrics.
    """
    workplace = Workplace(directory)
    workplace.write_manifest(
        "  trainer: {epochs: 1, dataset: {path: digits}}",
        "  budget: {maxTrials: 100000, maxDuration: 1h}",
    )
    with _running(workplace) as url:
        yield url


@contextmanager
def search_in_final_training(directory: Path) -> Iterator[str]:
    """The search `default/tiny` of two trials, whose best is trained to the end twice; the second goes on and on.

    Yields:
        The URL of its metrics.
    """
    workplace = Workplace(directory)
    there, never = str(directory), str(directory / "never")
    workplace.write_task(trials=2, hold=there, says=str(directory / "held"))
    with workplace.manifest.open("a") as manifest:
        manifest.write(f"  finalTraining: {{top: 1, grid: {{parameters: {{hold: [{there!r}, {never!r}]}}}}}}\n")
    with _running(workplace) as url:
        yield url


@contextmanager
def _running(workplace: Workplace) -> Iterator[str]:
    try:
        program = workplace.start("--metrics", "127.0.0.1:0")
        workplace.wait_for_trials(2, program)
        yield workplace.metrics_url()
    finally:
        workplace.clean_up()
