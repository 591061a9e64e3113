"""Whether the nodes have room for the controller and for the workers of each pool: now, and at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_operator.names import pool_name

from nas_cli import wording
from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.amounts import list_of, requests
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand, Part, is_of
from nas_cli.cluster.preflight.limit_ranges import with_defaults
from nas_cli.cluster.preflight.nodes import DRA_PREFIX, Node, is_at_work, not_tolerated, place, selects

_ENDED = ("Succeeded", "Failed")
_ALL = 10**6


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is known of the nodes.

    Attributes:
        nodes: v1 Node.
        pods: v1 Pod, those of all namespaces.
        limit_ranges: of the namespace.
        runtime_classes: node.k8s.io/v1 RuntimeClass, which may add to what a pod takes and where it may go.
        autoscaler: what adds nodes at need, in words. Empty: nothing that is known.
        scaled: autoscaling/v2 HorizontalPodAutoscaler, those of the namespace.
    """

    nodes: Sequence[Object] | Unread
    pods: Sequence[Object] | Unread
    limit_ranges: Sequence[Object] = ()
    runtime_classes: Sequence[Object] = ()
    autoscaler: str = ""
    scaled: Sequence[Object] = ()


def check_room(demand: Demand, known: Nodes) -> list[Check]:
    """A check for the controller, and one for each pool.

    Pods that can go to few nodes are placed first, as a person would: what is said to fit now fits together.
    """
    if isinstance(known.nodes, Unread):
        return [unknown("nodes", known.nodes)]
    at_work = [node for node in known.nodes if is_at_work(node)]
    pods = {part.name: _as_made(part.pod, known) for part in demand.parts}
    empty = [Node.of(node) for node in at_work]
    at_all = {part.name: place(pods[part.name], _ALL, empty)[0] for part in demand.parts}
    now = None if isinstance(known.pods, Unread) else _now(demand, pods, at_work, known.pods)
    return [_check(demand, part, pods[part.name], empty, at_all, now, known) for part in demand.parts]


def _now(
    demand: Demand, pods: Mapping[str, Object], nodes: Sequence[Object], there: Sequence[Object]
) -> dict[str, int]:
    on_node: dict[str, list[Object]] = {}
    for pod in there:
        ended = (pod.get("status") or {}).get("phase") in _ENDED
        if not ended and not is_of(demand.search, pod):
            on_node.setdefault(pod["spec"].get("nodeName") or "", []).append(pod)
    left = [Node.of(node, on_node.get(node["metadata"]["name"], ())) for node in nodes]
    fits = {}
    choosy = sorted(demand.parts, key=lambda part: (part.pool is not None, _open_to(pods[part.name], left)))
    for part in choosy:
        fits[part.name], left = place(pods[part.name], part.count, left)
    return fits


def _open_to(pod: Object, nodes: Sequence[Node]) -> int:
    return sum(selects(pod, node) and not not_tolerated(pod, node) and node.room_for(pod) > 0 for node in nodes)


def _check(
    demand: Demand,
    part: Part,
    pod: Object,
    nodes: Sequence[Node],
    at_all: Mapping[str, int],
    now: Mapping[str, int] | None,
    known: Nodes,
) -> Check:
    name = f"nodes for the {part.name}"
    most = at_all[part.name]
    if most == 0:
        words = _why_none(pod, nodes)
        if known.autoscaler:
            return warning(name, f"{words}; {known.autoscaler} may add some that do", _advice(part))
        return failed(name, words, _advice(part))
    fit = min(most, part.count) if now is None else now[part.name]
    pods = wording.number(part.count, "pod" if part.pool is None else "worker")
    parts = [f"{fit} of {pods} fit now" if now is not None else f"how many fit now {_not_told(known)}",
             f"{most} if the nodes were empty", _scaled(demand, part, known.scaled), _unseen(pod)]  # fmt: skip
    message = "; ".join(filter(None, parts))
    if fit < part.count:
        adds = f" {known.autoscaler} may add nodes." if known.autoscaler else ""
        return warning(name, message, f"The rest waits for room, and the search runs with fewer.{adds}")
    return ok(name, message)


def _not_told(known: Nodes) -> str:
    assert isinstance(known.pods, Unread)
    return f"cannot be told: {known.pods.why}"


def _why_none(pod: Object, nodes: Sequence[Node]) -> str:
    """Why no node takes the pod, were they all empty: the first thing that rules out those that are left."""
    if not nodes:
        return "there is no node that is ready"
    selected = [node for node in nodes if selects(pod, node)]
    selector = ", ".join(f"{key}={value}" for key, value in (pod["spec"].get("nodeSelector") or {}).items())
    of_them = f" of those with {selector}" if selector else ""
    if not selected:
        return f"none of {wording.number(len(nodes), 'node')} has the labels {selector}"
    tolerated = [node for node in selected if not not_tolerated(pod, node)]
    if not tolerated:
        taints = sorted({taint for node in selected for taint in not_tolerated(pod, node)})
        return f"no node{of_them} is without a taint that is not tolerated: {', '.join(taints)}"
    return f"no node{of_them} has {list_of(requests(pod))}, even when it is empty"


def _advice(part: Part) -> str:
    return f"Correct {part.field}: resources, nodeSelector or tolerations; or add such nodes."


def _scaled(demand: Demand, part: Part, scaled: Sequence[Object]) -> str:
    """What an autoscaler may make of a pool."""
    if part.pool is None:
        return ""
    name = pool_name(demand.search.metadata.name, part.pool.name)
    for autoscaler in scaled:
        target = autoscaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == ("NASPool", name):
            least, most = autoscaler["spec"].get("minReplicas", 1), autoscaler["spec"]["maxReplicas"]
            return f"{autoscaler['metadata']['name']} scales it from {least} to {most}"
    return ""


def _unseen(pod: Object) -> str:
    devices = [name for name in requests(pod) if name.startswith(DRA_PREFIX)]
    return f"devices of {', '.join(devices)} are not counted" if devices else ""


def _as_made(pod: Object, known: Nodes) -> Object:
    """The pod as its admission makes it."""
    made = with_defaults(pod, known.limit_ranges)
    spec = made["spec"]
    for runtime_class in known.runtime_classes:
        if runtime_class["metadata"]["name"] == spec.get("runtimeClassName"):
            scheduling = runtime_class.get("scheduling") or {}
            spec = spec | {
                "overhead": (runtime_class.get("overhead") or {}).get("podFixed") or {},
                "nodeSelector": (spec.get("nodeSelector") or {}) | (scheduling.get("nodeSelector") or {}),
                "tolerations": [*(spec.get("tolerations") or ()), *(scheduling.get("tolerations") or ())],
            }
    return made | {"spec": spec}
