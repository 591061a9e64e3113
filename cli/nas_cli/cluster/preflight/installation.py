"""KubeNAS in the cluster: its definitions, its operator, and whether a Prometheus operator could watch it."""

from collections.abc import Iterator, Sequence

from nas_api.spec.nassearch import API_VERSION
from nas_operator.crd import nassearch_crd
from nas_operator.settings import Settings
from pydantic import ValidationError

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import UNKNOWN_IMAGE

_PREFIX = "KUBENAS_"
_SHOWN = 3


def check_definitions(served: Object | Unread | None) -> Check:
    """Whether the cluster knows NASSearch, and with the fields that this program knows.

    Args:
        served: OpenAPI schema of a NASSearch. None: there is none.
    """
    name = "definitions"
    if isinstance(served, Unread):
        return unknown(name, served)
    if served is None:
        return failed(name, f"the cluster knows no NASSearch of {API_VERSION}", "Install helm/nas-operator.")
    version = nassearch_crd()["spec"]["versions"][0]
    ours = set(_fields(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec"))
    theirs = set(_fields((served.get("properties") or {}).get("spec") or {}, "spec"))
    if ours == theirs:
        return ok(name, f"NASSearch of {API_VERSION}, with the fields that this program knows")
    parts = [
        f"{what} {_some(sorted(fields))}"
        for what, fields in (("it does not know", ours - theirs), ("this program does not know", theirs - ours))
        if fields
    ]
    return warning(
        name,
        f"NASSearch of {API_VERSION}, of another version of KubeNAS: {'; '.join(parts)}",
        "Take the program and helm/nas-operator of one version.",
    )


def check_operator(pods: Sequence[Object] | Unread, namespace: str) -> Check:
    """Whether the operator runs, and looks after the namespace.

    Args:
        pods: v1 Pod, those of operators.
        namespace: of the search.
    """
    name = "operator"
    if isinstance(pods, Unread):
        return unknown(name, pods)
    if not pods:
        return failed(name, "there is none", "Install helm/nas-operator.")
    at_home = operator_of(pods, namespace)
    if at_home is None:
        watched = sorted({each for pod in pods for each in settings_of(pod).namespaces})
        return failed(
            name,
            f"runs, and does not look after the namespace {namespace}, but {', '.join(watched)}",
            "Add it to the chart's watchNamespaces.",
        )
    where = f"{at_home['metadata']['namespace']}/{at_home['metadata']['name']}"
    if not _is_ready(at_home):
        return failed(name, f"{where} is not ready", f"See `kubectl describe pod` and `kubectl logs` of {where}.")
    return ok(name, f"{where}, {at_home['spec']['containers'][0]['image']}")


def operator_of(pods: Sequence[Object], namespace: str) -> Object | None:
    """The operator that looks after a namespace, the one that is ready first."""
    found = [pod for pod in pods if namespace in settings_of(pod).namespaces or not settings_of(pod).namespaces]
    return min(found, key=lambda pod: not _is_ready(pod), default=None)


def settings_of(operator: Object | None) -> Settings:
    """The settings of an operator, from the environment of its pod. None: those that it has if nobody sets any."""
    container = operator["spec"]["containers"][0] if operator is not None else {}
    given = {each["name"]: each.get("value") for each in container.get("env") or ()}
    read = ("namespaces", "controller_image", "child_image", "image_pull_policy", "storage_access_mode")
    values = {name: given.get(f"{_PREFIX}{name.upper()}") for name in read}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
        if not field.is_required()
    } | {"controller_image": UNKNOWN_IMAGE, "child_image": UNKNOWN_IMAGE}
    try:
        # All of them, so that none is taken from the environment of this process.
        return Settings(**(defaults | {name: value for name, value in values.items() if value}))
    except ValidationError:  # of another version, which knows other values
        return Settings(**defaults)


def check_prometheus(served: bool) -> Check:
    """Whether there is a Prometheus operator, which PodMonitors of the chart are for."""
    name = "prometheus operator"
    if served:
        return ok(name, "is there: the chart's metrics.podMonitor.enabled lets it scrape searches")
    return ok(name, "is not there, and not needed: docs/metrics.md says how any Prometheus finds searches")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _fields(schema: Object, path: str) -> Iterator[str]:
    """Paths of all fields of a schema, such as `spec.pools[].name`."""
    for name, property_ in (schema.get("properties") or {}).items():
        yield f"{path}.{name}"
        yield from _fields(property_, f"{path}.{name}")
    if isinstance(items := schema.get("items"), dict):
        yield from _fields(items, f"{path}[]")


def _some(fields: Sequence[str]) -> str:
    more = len(fields) - _SHOWN
    return ", ".join(fields[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
