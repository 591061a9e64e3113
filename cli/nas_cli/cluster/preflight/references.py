"""What a manifest names that has to be there: a Secret, priority and runtime classes, queues."""

from collections.abc import Iterator, Mapping, Sequence

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand

Listed = Sequence[Object] | Unread

# Those that every cluster has.
_SYSTEM = "system-"


def check_secret(demand: Demand, secrets: Mapping[str, Object | Unread | None]) -> Iterator[Check]:
    """The Secret that workers take environment variables of."""
    wanted = demand.search.spec.trainer.environment_secret
    if wanted is None:
        return
    name, found = f"secret {wanted}", secrets.get(wanted)
    if isinstance(found, Unread):
        yield unknown(name, found)
    elif found is None:
        yield failed(name, "is not there", "Make it, or correct spec.trainer.environmentSecret.")
    else:
        yield ok(name, f"is there, with {', '.join(sorted(found.get('data') or ())) or 'nothing in it'}")


def check_classes(demand: Demand, priority_classes: Listed, runtime_classes: Listed) -> Iterator[Check]:
    """The priority and runtime classes that the manifest names."""
    controller = demand.search.spec.controller
    priorities: dict[str | None, str] = {controller.priority_class_name: "spec.controller"}
    runtimes: dict[str | None, str] = {}
    for part in demand.pools:
        assert part.pool is not None
        priorities.setdefault(part.pool.priority_class_name, part.field)
        runtimes.setdefault(part.pool.runtime_class_name, part.field)
    for kind, field, wanted, there in (
        ("priority class", "priorityClassName", priorities, priority_classes),
        ("runtime class", "runtimeClassName", runtimes, runtime_classes),
    ):
        for name, part_field in wanted.items():
            if name is not None and not name.startswith(_SYSTEM):
                yield _named(kind, name, f"{part_field}.{field}", there)


def check_queues(demand: Demand, queues: Listed | None) -> Iterator[Check]:
    """The queues of Kueue that the manifest names.

    Args:
        demand: of the search.
        queues: kueue.x-k8s.io LocalQueue, those of the namespace. None: there is no Kueue.
    """
    wanted: dict[str, str] = {}
    for part in demand.pools:
        assert part.pool is not None
        if part.pool.queue is not None:
            wanted.setdefault(part.pool.queue, f"{part.field}.queue")
    for name, field in wanted.items():
        if queues is None:
            yield warning(
                f"queue {name}",
                "the cluster has no Kueue: nothing reads the queue, and workers start at once",
                f"Install Kueue, or leave {field} out.",
            )
        else:
            check = _named("queue", name, field, queues)
            found = [] if isinstance(queues, Unread) else [q for q in queues if q["metadata"]["name"] == name]
            yield _inactive(check, found[0]) if found else check


def _named(kind: str, name: str, field: str, there: Listed) -> Check:
    title = f"{kind} {name}"
    if isinstance(there, Unread):
        return unknown(title, there, "The dry run of pods tells, if it is done.")
    names = [each["metadata"]["name"] for each in there]
    if name in names:
        return ok(title, "is there")
    return failed(title, f"is not there; there are {', '.join(names) or 'none'}", f"Make it, or correct {field}.")


def _inactive(check: Check, queue: Object) -> Check:
    for condition in (queue.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Active" and condition["status"] != "True":
            return warning(
                check.name,
                f"is there, and not active: {condition.get('message') or condition.get('reason')}",
                "Workers wait until it is.",
            )
    return check
