"""LimitRanges of a namespace: what they add to pods, and whether pods and the journal's claim are within them."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.amounts import amounts, limits, requests, written
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown
from nas_cli.cluster.preflight.demand import Demand

_NAME = "limit ranges"


def with_defaults(pod: Object, limit_ranges: Sequence[Object]) -> Object:
    """A pod as it is once it is made: a container that says nothing takes what a LimitRange says."""
    containers = [_container(container, limit_ranges) for container in pod["spec"]["containers"]]
    return pod | {"spec": pod["spec"] | {"containers": containers}}


def check_limit_ranges(demand: Demand, limit_ranges: Sequence[Object] | Unread) -> Check:
    """Whether every pod and the journal's volume are within the bounds of the namespace.

    Args:
        demand: with pods as the operator makes them.
        limit_ranges: v1 LimitRange, those of the namespace.
    """
    if isinstance(limit_ranges, Unread):
        return unknown(_NAME, limit_ranges)
    if not limit_ranges:
        return ok(_NAME, "the namespace has none")
    broken = [
        f"{name}: {words}"
        for limit_range in limit_ranges
        for item in limit_range["spec"].get("limits") or ()
        for name, words in _broken(demand, item, limit_ranges)
    ]
    if broken:
        return failed(
            _NAME, "; ".join(broken), "Change the resources there, or have the namespace's LimitRange changed."
        )
    return ok(_NAME, f"pods and volume are within {', '.join(each['metadata']['name'] for each in limit_ranges)}")


def _container(container: Object, limit_ranges: Sequence[Object]) -> Object:
    resources = container.get("resources") or {}
    least, most = dict(resources.get("requests") or {}), dict(resources.get("limits") or {})
    for name, amount in most.items():
        least.setdefault(name, amount)
    for item in _items(limit_ranges, "Container"):
        least = (item.get("defaultRequest") or {}) | least
        most = (item.get("default") or {}) | most
    return container | {"resources": {"requests": least, "limits": most}}


def _items(limit_ranges: Sequence[Object], kind: str) -> Iterator[Object]:
    for limit_range in limit_ranges:
        yield from (item for item in limit_range["spec"].get("limits") or () if item["type"] == kind)


def _broken(demand: Demand, item: Object, limit_ranges: Sequence[Object]) -> Iterator[tuple[str, str]]:
    """What is out of the bounds of an item, by the field of the manifest."""
    if item["type"] == "PersistentVolumeClaim":
        size = amounts(demand.claim["spec"]["resources"]["requests"])
        yield from (("spec.controller.storage.size", words) for words in _beyond(item, size, size))
    if item["type"] not in ("Container", "Pod"):  # a pod of a search has one container
        return
    for part in demand.parts:
        pod = with_defaults(part.pod, limit_ranges)
        least, most = requests(pod), limits(pod)
        yield from ((f"{part.field}.resources", words) for words in _beyond(item, least, most))


def _beyond(item: Object, least: dict[str, Decimal], most: dict[str, Decimal]) -> Iterator[str]:
    for name, bound in amounts(item.get("min")).items():
        if name not in least:
            yield f"no {name}, and at least {written(name, bound)} must be asked for"
        elif least[name] < bound:
            yield f"{name} {written(name, least[name])} is below the least, {written(name, bound)}"
    for name, bound in amounts(item.get("max")).items():
        if name not in most:
            yield f"no limit of {name}, and one of at most {written(name, bound)} must be set"
        elif most[name] > bound:
            yield f"{name} {written(name, most[name])} is above the most, {written(name, bound)}"
    for name, bound in amounts(item.get("maxLimitRequestRatio")).items():
        if least.get(name) and most.get(name, Decimal(0)) / least[name] > bound:
            yield f"the limit of {name} is more than {bound} times what is asked for"
