"""ResourceQuotas of a namespace, against all that a search would make there."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.amounts import amounts, limits, requests, times, total, written
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand, Part
from nas_cli.cluster.preflight.limit_ranges import with_defaults

_NAME = "quota"
_ADVICE = "Have the ResourceQuota raised, or lower spec.pools[].replicas or resources."
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_CLASS = ".storageclass.storage.k8s.io/"


def check_quotas(
    demand: Demand,
    quotas: Sequence[Object] | Unread,
    limit_ranges: Sequence[Object] | Unread,
    own: Sequence[Object],
    storage_class: str,
) -> list[Check]:
    """Whether each ResourceQuota has room for the search: for its least, and for all of it.

    Args:
        demand: of the search.
        quotas: v1 ResourceQuota, those of the namespace.
        limit_ranges: v1 LimitRange, which say what a container takes that says nothing.
        own: the pods that the search has already, whose share it would not take twice.
        storage_class: of the journal's volume. Empty: not known.
    """
    if isinstance(quotas, Unread):
        return [unknown(_NAME, quotas)]
    if not quotas:
        return [ok(_NAME, "the namespace has no ResourceQuota")]
    defaults = () if isinstance(limit_ranges, Unread) else limit_ranges
    return [_check(demand, quota, defaults, own, storage_class) for quota in quotas]


def _check(
    demand: Demand, quota: Object, defaults: Sequence[Object], own: Sequence[Object], storage_class: str
) -> Check:
    name = f"{_NAME} {quota['metadata']['name']}"
    hard = amounts(quota["spec"].get("hard"))
    counted = {part: _usage(with_defaults(part.pod, defaults)) for part in demand.parts if _in_scope(part.pod, quota)}
    for part, usage in counted.items():
        unsaid = [resource for resource in hard if _must_be_said(resource) and resource not in usage]
        if unsaid:
            return failed(
                name,
                f"the {part.name} says nothing of {', '.join(unsaid)}, which this quota wants of every pod",
                f"Say it in {part.field}.resources.",
            )
    used = amounts((quota.get("status") or {}).get("used"))
    for pod in own:
        if not _in_scope(pod, quota):
            continue
        used = {resource: amount - _usage(pod).get(resource, Decimal(0)) for resource, amount in used.items()}
    parts = [(part, part.count) for part in demand.parts]
    all_of_it = _need(demand, parts, counted, hard, storage_class)
    least = _need(demand, [(part, min(count, 1)) for part, count in parts], counted, hard, storage_class)
    if beyond := _beyond(least, hard, {}):
        return failed(name, f"not even one worker of each pool fits in it: {beyond}", _ADVICE)
    if beyond := _beyond(all_of_it, hard, {}):
        return warning(name, f"not all workers fit in it: {beyond}", _ADVICE)
    if beyond := _beyond(all_of_it, hard, used):
        return warning(name, f"not all workers fit beside what is there: {beyond}", f"Wait for room. {_ADVICE}")
    free = {resource: amount - used.get(resource, Decimal(0)) for resource, amount in hard.items()}
    free = {resource: amount - used.get(resource, Decimal(0)) for resource, amount in hard.items()}
    left = ", ".join(
        f"{resource} {written(resource, amount)} of {written(resource, free[resource])}"
        for resource, amount in all_of_it.items()
        if amount
    )
    return ok(name, f"takes of what is free: {left}" if left else "counts nothing that a search makes")


def _usage(pod: Object) -> dict[str, Decimal]:
    """What quotas count of a pod, by the names that they use."""
    asked, bound = requests(pod), limits(pod)
    usage = {"pods": Decimal(1), "count/pods": Decimal(1)}
    usage |= {name: asked[name] for name in _COMPUTE if name in asked}
    usage |= {f"requests.{name}": amount for name, amount in asked.items()}
    usage |= {f"limits.{name}": amount for name, amount in bound.items()}
    return usage


def _need(
    demand: Demand,
    parts: Sequence[tuple[Part, int]],
    counted: Mapping[Part, Mapping[str, Decimal]],
    hard: Mapping[str, Decimal],
    storage_class: str,
) -> dict[str, Decimal]:
    """Of the resources of a quota, what these parts take."""
    need = total(times(counted[part], count) for part, count in parts if part in counted)
    if not demand.exists:
        size = amounts(demand.claim["spec"]["resources"]["requests"])["storage"]
        need |= {"requests.storage": size, f"{storage_class}{_CLASS}requests.storage": size}
        need |= {f"{storage_class}{_CLASS}persistentvolumeclaims": Decimal(1)}
    for resource, count in demand.objects(parts).items():
        need |= {resource: Decimal(count), f"count/{resource}": Decimal(count)}
    return {resource: need.get(resource, Decimal(0)) for resource in hard}


def _beyond(need: Mapping[str, Decimal], hard: Mapping[str, Decimal], used: Mapping[str, Decimal]) -> str:
    """What there is not enough of. Empty: there is enough of everything."""
    return ", ".join(
        f"{resource} {written(resource, amount)} of {written(resource, left)}"
        for resource, amount in need.items()
        if amount > (left := max(hard[resource] - used.get(resource, Decimal(0)), Decimal(0)))
    )


def _must_be_said(resource: str) -> bool:
    """Whether the API server refuses pods that say nothing of it, where a quota counts it."""
    bare = resource.removeprefix("requests.").removeprefix("limits.")
    return bare in ("cpu", "memory")


def _in_scope(pod: Object, quota: Object) -> bool:
    """Whether a quota counts a pod of a search."""
    spec = quota["spec"]
    selected = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    selected += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_matches(pod, each) for each in selected)


def _matches(pod: Object, selected: Object) -> bool:
    priority = pod["spec"].get("priorityClassName") or ""
    match selected["scopeName"]:
        case "Terminating" | "CrossNamespacePodAffinity" | "VolumeAttributesClass":
            return False
        case "BestEffort":
            return not _said(pod)
        case "NotBestEffort":
            return _said(pod)
        case "PriorityClass":
            values = selected.get("values") or ()
            match selected["operator"]:
                case "In":
                    return priority in values
                case "NotIn":
                    return priority not in values
                case "DoesNotExist":
                    return not priority
                case _:
                    return bool(priority)
    return True


def _said(pod: Object) -> bool:
    return any(name in requests(pod) or name in limits(pod) for name in ("cpu", "memory"))
