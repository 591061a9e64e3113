"""Nodes: which of them a pod may go to, and how many pods of a kind there is room for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.amounts import amounts, requests

# Extended resources that DRA stands for: nodes do not list them, devices do.
DRA_PREFIX = "deviceclass.resource.kubernetes.io/"
_UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True)
class Node:
    """A node that takes pods.

    Attributes:
        name: of it.
        labels: of it.
        taints: those that keep pods away that do not tolerate them.
        free: what is left of each resource. Of what is not in it there is nothing.
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    free: Mapping[str, Decimal]

    @classmethod
    def of(cls, node: Object, pods: Iterable[Object] = ()) -> Self:
        """A v1 Node, with these pods on it."""
        free = amounts((node.get("status") or {}).get("allocatable"))
        for pod in pods:
            for name, amount in _taken(pod).items():
                free[name] = free.get(name, Decimal(0)) - amount
        taints = [
            taint for taint in node["spec"].get("taints") or () if taint.get("effect") in ("NoSchedule", "NoExecute")
        ]
        return cls(node["metadata"]["name"], node["metadata"].get("labels") or {}, tuple(taints), free)

    def room_for(self, pod: Object) -> int:
        """How many of these pods it has room for, whether they may go there or not."""
        wanted = _taken(pod)
        return min(
            (math.floor(max(self.free.get(name, Decimal(0)), Decimal(0)) / amount)
             for name, amount in wanted.items() if amount),
            default=_UNBOUNDED,
        )  # fmt: skip

    def with_pods(self, pod: Object, count: int) -> Self:
        """With so many more of these pods on it."""
        taken = _taken(pod)
        free = {name: amount - taken.get(name, Decimal(0)) * count for name, amount in self.free.items()}
        return type(self)(self.name, self.labels, self.taints, free)

    @property
    def extended(self) -> Decimal:
        """How much it has of what only some nodes have, such as GPUs: pods that need none of it go elsewhere first."""
        return sum((amount for name, amount in self.free.items() if "/" in name), Decimal(0))


def is_at_work(node: Object) -> bool:
    """Whether a node takes pods at all: it is ready, and not cordoned."""
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (node.get("status") or {}).get("conditions") or ()
    )
    return ready and not node["spec"].get("unschedulable")


def selects(pod: Object, node: Node) -> bool:
    """Whether a node has the labels that a pod asks for."""
    wanted = pod["spec"].get("nodeSelector") or {}
    return all(node.labels.get(name) == value for name, value in wanted.items())


def not_tolerated(pod: Object, node: Node) -> list[str]:
    """The taints of a node that keep a pod away, as `KEY=VALUE:EFFECT`."""
    tolerations = pod["spec"].get("tolerations") or ()
    return [
        f"{taint['key']}{'=' if taint.get('value') else ''}{taint.get('value') or ''}:{taint['effect']}"
        for taint in node.taints
        if not any(_tolerates(toleration, taint) for toleration in tolerations)
    ]


def place(pod: Object, count: int, nodes: Sequence[Node]) -> tuple[int, list[Node]]:
    """Puts as many of these pods on nodes as there is room for, at most `count`.

    Returns:
        how many, and the nodes with them.
    """
    left, placed = count, []
    for node in sorted(nodes, key=lambda node: node.extended):
        fit = min(node.room_for(pod), left) if selects(pod, node) and not not_tolerated(pod, node) else 0
        placed.append(node.with_pods(pod, fit) if fit else node)
        left -= fit
    return count - left, placed


def _taken(pod: Object) -> dict[str, Decimal]:
    known = {name: amount for name, amount in requests(pod).items() if not name.startswith(DRA_PREFIX)}
    return known | {"pods": Decimal(1)}


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")
