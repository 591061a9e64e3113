"""Workers that wait for room: for a node that has what they ask for, or for their turn in a queue."""

from nas_operator.observed import Object
from nas_operator.planning.objects import status_of
from nas_operator.planning.worker_jobs import WorkerJob


def waits_for_room(job: WorkerJob) -> bool:
    """Whether nothing is known to keep a worker from starting but that there is no room for it."""
    if job.up:
        return False
    return job.suspended or (bool(job.pods) and is_unscheduled(job.pods[-1]))


def is_unscheduled(pod: Object) -> bool:
    """Whether no node has been found for a pod yet."""
    return unscheduled_because(pod) is not None


def unscheduled_because(pod: Object) -> tuple[str, str] | None:
    """The scheduler's reason and words about a pod that has no node. None: it has one, or was not looked at yet."""
    for condition in status_of(pod).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason") or ""), str(condition.get("message") or "")
    return None
