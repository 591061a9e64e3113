"""What the training of a trial printed, out of the log of the worker's pod."""

import re
from collections.abc import Iterator

from nas_cli.cluster.cluster import Cluster, NotFound
from nas_cli.failure import Failure

# The first line that a worker writes of every training (`nas_child.trial_run`).
_HEADER = re.compile(r"--- (?:final training \d+, of )?trial (\d+), attempt \d+, worker .* ---")


def trial_log(cluster: Cluster, worker: str, trial: int) -> str:
    """The part of a worker's log that is about one trial.

    Args:
        cluster: where the worker is.
        worker: its pod.
        trial: number of the trial.

    Raises:
        Failure: the log is gone, the user may not read it, or the cluster does not answer.
    """
    path = cluster.path("pods", worker) + "/log"
    try:
        text = cluster.text(path, f"the log of pod {worker}", {})
    except NotFound:
        raise Failure(
            f"the pod {worker} that trained trial {trial} is gone, and its log with it: what collects the logs of your "
            "cluster may have it"
        ) from None
    part = "".join(part_of(text, trial))
    if not part:
        raise Failure(
            f"the log of pod {worker} has nothing of trial {trial} (any more): nodes keep the last 10 MiB of a log"
        )
    return part


def part_of(log: str, trial: int) -> Iterator[str]:
    """The lines of a log from the header of a trial to that of the next one, of all its attempts and trainings."""
    inside = False
    for line in log.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header is not None:
            inside = int(header[1]) == trial
        if inside:
            yield line
