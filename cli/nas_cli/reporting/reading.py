"""Reads the material of a report, of a search that is running or has ended, wherever its results are kept."""

from collections.abc import Callable, Sequence

from nas_controller.journal.journal import TrialRecord, TrialState

from nas_cli.comparing.reading import incomparable
from nas_cli.failure import Failure
from nas_cli.reporting.material import Material, Twin
from nas_cli.search_results import SearchResults


def read_material(results: SearchResults, top: int, now: float, warn: Callable[[str], None]) -> Material:
    """The material of a report.

    Args:
        results: of the search.
        top: number of architectures to show.
        now: the time, in Unix seconds.
        warn: is told of what had to be left out.

    Raises:
        Failure: the results do not tell all that a report needs.
    """
    finished = results.finished()
    return Material(
        search=results.search,
        read_at=now,
        where=results.arguments,
        finished=finished,
        top=[results.trial(str(record.sampled.trial)) for record in best_architectures(finished, top)],
        updates=results.updates(),
        leases=sorted(results.lease_spans(), key=lambda span: span.granted_at),
        final_trainings=results.final_trainings(),
        trained=results.trained_here(warn),
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


def _twin(results: SearchResults, warn: Callable[[str], None]) -> Twin | None:
    try:
        with results.twin() as twin:
            if twin is None:
                return None
            for problem in incomparable({"the search": results.search, "its twin": twin.search}):
                warn(f"the random twin is left out: {problem}")
                return None
            return Twin(twin.name, finished) if (finished := twin.finished()) else None
    except Failure as failure:
        warn(f"the random twin is left out: {failure}")
        return None
