"""What is wrong with the controller of a search."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from nas_api.spec import NASSearch

from nas_operator.names import COMPONENT_LABEL, controller_name, journal_claim_name
from nas_operator.observed import Object, Observed
from nas_operator.planning.diagnosis.pod_problem import Part, pod_problem, refusal_problem
from nas_operator.planning.diagnosis.problem import Problem, sentence, shortened
from nas_operator.planning.objects import labels_of, parse_time, status_of

# Of a controller that runs and does not answer the operator.
UNREACHABLE = "ControllerUnreachable"
# After the start of a controller it takes the operator a look or two to ask it.
_PATIENCE = timedelta(seconds=30)

# A pod that is not on a node may wait for its volume. Which of the two it is depends on when volumes are bound.
_WAITING = ("VolumeClaimUnbound", "Unschedulable")


def controller_problem(search: NASSearch, observed: Observed, now: datetime) -> Problem | None:
    """Why the controller does not do what it should, if that can be told. Without pods listed, only some of it can."""
    problem = _refused(observed) or _journal(observed) or _pod(search, observed, now) or _unreachable(observed, now)
    return Problem(problem.reason, shortened(problem.message)) if problem else None


def controller_runs(observed: Observed) -> bool:
    """Whether the controller's container runs: without pods listed, whether it is ready."""
    return bool(status_of(observed.stateful_set).get("readyReplicas")) or any(
        "running" in (container.get("state") or {})
        for pod in _pods(observed)
        for container in status_of(pod).get("containerStatuses") or ()
    )


def _refused(observed: Observed) -> Problem | None:
    for refusal in observed.refusals:
        if refusal.kind not in ("Job", "NASPool"):
            words = f"{refusal.kind} {refusal.name}: {refusal.message}"
            return refusal_problem("ControllerRefused", words, "spec.controller.resources")
    return None


def _journal(observed: Observed) -> Problem | None:
    words = observed.summary.journal_problem if observed.summary is not None else ""
    if not words:
        return None
    return Problem(
        "JournalFull",
        f"The journal cannot be written: {sentence(words)} Nothing is lost, and the search goes on when it can be. "
        "If the volume is full, enlarge its PersistentVolumeClaim: spec.controller.storage.size counts at first only.",
    )


def _pod(search: NASSearch, observed: Observed, now: datetime) -> Problem | None:
    if observed.summary is not None:
        return None
    spec = search.spec.controller
    part = Part("Controller", "spec.controller.image", "spec.controller.resources", spec.resources)
    name = controller_name(search.metadata.name)
    about = [warning for warning in observed.warnings if _name_of_subject(warning) in (name, f"{name}-0")]
    problem = pod_problem(_pods(observed), about, part, now)
    return _unprovisioned(search, observed, problem) if problem and problem.reason in _WAITING else problem


def _unprovisioned(search: NASSearch, observed: Observed, problem: Problem) -> Problem:
    """The problem of a pod that waits for its volume, in the words of who should provide that, if they are known."""
    claim = journal_claim_name(search.metadata.name)
    for warning in reversed(observed.warnings):
        if warning.get("reason") == "ProvisioningFailed" and _name_of_subject(warning) == claim:
            words = f"No volume for the journal ({claim}): {sentence(str(warning.get('message') or ''))}"
            return Problem("VolumeClaimUnbound", f"{words} {problem.message}")
    return problem


def _pods(observed: Observed) -> list[Object]:
    return sorted(
        (pod for pod in observed.pods.values() if labels_of(pod).get(COMPONENT_LABEL) == "controller"),
        key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""),
    )


def _works_since(pod: Object, time: datetime) -> bool:
    for container in status_of(pod).get("containerStatuses") or ():
        started = parse_time(((container.get("state") or {}).get("running") or {}).get("startedAt"))
        if container.get("ready") and started is not None and started <= time:
            return True
    return False


def _unreachable(observed: Observed, now: datetime) -> Problem | None:
    """The pod runs and accepts connections, but the operator gets no answer."""
    if observed.summary is None and any(_works_since(pod, now - _PATIENCE) for pod in _pods(observed)):
        words = observed.summary_problem or "no reason is known"
        return Problem(
            UNREACHABLE,
            f"The controller runs, and the operator cannot ask it how the search stands: {sentence(words)} A "
            "NetworkPolicy may keep the operator out.",
        )
    return None


def _name_of_subject(warning: Mapping[str, object]) -> str:
    about = warning.get("involvedObject")
    return str(about.get("name") or "") if isinstance(about, dict) else ""
