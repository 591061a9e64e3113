"""Reads the material of a report from a state directory, whether or not the search is running."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas_child.trained import METRICS, load_metrics
from nas_controller.journal.journal import TrialRecord, TrialState

from nas_cli.comparing.reading import incomparable
from nas_cli.failure import Failure
from nas_cli.random_twin import twin_directory
from nas_cli.reporting.material import Material, Twin
from nas_cli.results import Results, open_results


def read_material(results: Results, top: int, now: float, warn: Callable[[str], None]) -> Material:
    """The material of a report.

    Args:
        results: of the search.
        top: number of architectures to show.
        now: the time, in Unix seconds.
        warn: is told of what had to be left out.
    """
    finished = results.finished()
    return Material(
        search=results.search,
        read_at=now,
        where=f"-s {shlex.quote(str(results.state.path))}",
        finished=finished,
        top=[results.trial(str(record.sampled.trial)) for record in best_architectures(finished, top)],
        updates=results.updates(),
        leases=results.lease_spans(),
        final_trainings=results.final_trainings(),
        trained=_trained(results, warn),
        progress=results.progress(),
        verdict=results.verdict(),
        remarks=tuple(results.remarks().values()),
        data_shape=results.data_shape(),
        twin=_twin(results, warn),
    )


def best_architectures(finished: Sequence[TrialRecord], limit: int) -> list[TrialRecord]:
    """The trials with the highest rewards, best first, of each architecture the best one alone."""
    succeeded = [r for r in finished if r.state is TrialState.SUCCEEDED and r.replay_of is None]
    best: dict[str, TrialRecord] = {}
    for record in sorted(succeeded, key=lambda r: (-(r.reward or 0.0), r.sequence)):
        best.setdefault(record.sampled.digest, record)
    return list(best.values())[:limit]


def _twin(results: Results, warn: Callable[[str], None]) -> Twin | None:
    directory = twin_directory(results.state.path)
    if not (directory / "search.yaml").is_file():
        return None
    try:
        with open_results(directory) as twin:
            for problem in incomparable({str(results.state.path): results.search, str(directory): twin.search}):
                warn(f"the random twin is left out: {problem}")
                return None
            return Twin(twin.name, finished) if (finished := twin.finished()) else None
    except Failure as failure:
        warn(f"the random twin is left out: {failure}")
        return None


def _trained(results: Results, warn: Callable[[str], None]) -> list[Mapping[str, Any]]:
    trained: list[Mapping[str, Any]] = []
    for path in sorted(results.state.path.glob(f"trained/*/{METRICS}")):
        try:
            metrics = load_metrics(path.parent)
        except (OSError, ValueError) as error:
            warn(f"{path} is left out: {error}")
            continue
        if metrics is not None:
            trained.append(metrics)
    return trained
