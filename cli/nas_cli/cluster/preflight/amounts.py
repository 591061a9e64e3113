"""What pods take: quantities of Kubernetes, added up as its scheduler and its quotas do."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from nas_cli.cluster.cluster import Object

Amounts = Mapping[str, Decimal]

# Of these a limit is no bound of another kind: limits.cpu may be above requests.cpu.
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_IN_BYTES = ("memory", "storage", "hugepages-")


def amounts(resources: Mapping[str, object] | None) -> dict[str, Decimal]:
    """A list of resources, such as `{"cpu": "200m"}`, as numbers."""
    parse: Callable[[str], Decimal] = parse_quantity
    return {name: parse(str(amount)) for name, amount in (resources or {}).items()}


def requests(pod: Object) -> dict[str, Decimal]:
    """What a pod asks for, and thereby takes of its node."""
    return _of_pod(pod, "requests")


def limits(pod: Object) -> dict[str, Decimal]:
    """What a pod may take."""
    return _of_pod(pod, "limits")


def total(each: Iterable[Amounts]) -> dict[str, Decimal]:
    """All of them together."""
    found: dict[str, Decimal] = {}
    for some in each:
        for name, amount in some.items():
            found[name] = found.get(name, Decimal(0)) + amount
    return found


def times(one: Amounts, count: int) -> dict[str, Decimal]:
    """So many of them."""
    return {name: amount * count for name, amount in one.items()}


def written(name: str, amount: Decimal) -> str:
    """An amount of a resource for a person: `12`, `0.5`, `64Gi`."""
    unit = ""
    if any(part in name for part in _IN_BYTES):
        for larger in _BINARY:
            if abs(amount) < 1024:
                break
            amount, unit = amount / 1024, larger
    rounded = f"{amount:.1f}" if amount < 100 else f"{amount:.0f}"
    return (rounded.rstrip("0").rstrip(".") if "." in rounded else rounded) + unit


def list_of(some: Amounts) -> str:
    """Amounts in a list: `cpu 4, memory 16Gi`. Nothing is `nothing`."""
    return ", ".join(f"{name} {written(name, amount)}" for name, amount in some.items()) or "nothing"


def _of_pod(pod: Object, field: str) -> dict[str, Decimal]:
    spec = pod["spec"]
    running = total(amounts((each.get("resources") or {}).get(field)) for each in spec.get("containers") or ())
    # Those run one after the other, before the others; sidecars, which stay, run beside them.
    staying: dict[str, Decimal] = {}
    for each in spec.get("initContainers") or ():
        wanted = amounts((each.get("resources") or {}).get(field))
        if each.get("restartPolicy") == "Always":
            staying = total([staying, wanted])
            running = total([running, wanted])
        else:
            beside = total([staying, wanted])
            running = {name: max(running.get(name, Decimal(0)), beside.get(name, Decimal(0)))
                       for name in running | beside}  # fmt: skip
    return total([running, amounts(spec.get("overhead"))])
