"""Reads of a cluster what the checks are about, with the user's rights. Nothing is changed."""

from collections.abc import Mapping, Sequence

from nas_api.spec import NASSearch
from nas_api.spec.nassearch import API_GROUP, API_VERSION
from nas_operator.names import OPERATOR_LABELS, SEARCH_LABEL

from nas_cli.cluster.cluster import Cluster, Forbidden, NotFound, Object
from nas_cli.cluster.preflight.admission import Tried
from nas_cli.cluster.preflight.check import Unread
from nas_cli.cluster.preflight.demand import Demand, demand_of
from nas_cli.cluster.preflight.installation import operator_of, settings_of
from nas_cli.cluster.preflight.references import Listed
from nas_cli.cluster.preflight.rights import RIGHTS, Right
from nas_cli.cluster.preflight.room import Nodes
from nas_cli.cluster.preflight.seen import Seen
from nas_cli.cluster.preflight.storage import Storage

# Where the documentation installs the operator: for those who may not look everywhere.
_USUAL_HOME = "kubenas-system"
_SCHEMA = "dev.kubenas.v1alpha1.NASSearch"
_TRIED = "preflight-"
_STORAGE = "storage.k8s.io/v1"
_PROMETHEUS, _KUEUE, _KARPENTER = "monitoring.coreos.com", "kueue.x-k8s.io", "karpenter.sh"


def look(cluster: Cluster, search: NASSearch) -> Seen:
    """Everything that the checks of a search are about.

    Args:
        cluster: with the namespace that the search would be in.
        search: in that namespace.

    Raises:
        Failure: the API server does not answer.
    """
    groups = _groups(cluster)
    operators = _operators(cluster)
    at_home = None if isinstance(operators, Unread) else operator_of(operators, cluster.namespace)
    settings = settings_of(at_home)
    exists = API_GROUP in groups and _is_there(cluster, search.metadata.name)
    demand = demand_of(search, settings, exists=exists)
    limit_ranges = _list(cluster, cluster.path("limitranges"), "limit ranges")
    runtime_classes = _list(cluster, "/apis/node.k8s.io/v1/runtimeclasses", "runtime classes")
    account = _get(cluster, cluster.path("serviceaccounts", "default"), "the service account default")
    own = _list(cluster, cluster.path("pods"), "pods", labelSelector=f"{SEARCH_LABEL}={search.metadata.name}")
    return Seen(
        demand=demand,
        settings=settings,
        definition=_definition(cluster, groups),
        operators=operators,
        prometheus=_PROMETHEUS in groups,
        rights={right: _may(cluster, right) for right in RIGHTS},
        namespace=_get(cluster, f"/api/v1/namespaces/{cluster.namespace}", "the namespace"),
        manifest=_try_manifest(cluster, demand, groups),
        pods={part.name: _try(cluster, "pods", part.pod) for part in demand.parts},
        own=() if isinstance(own, Unread) else own,
        quotas=_list(cluster, cluster.path("resourcequotas"), "quotas"),
        limit_ranges=limit_ranges,
        nodes=_nodes(cluster, groups, limit_ranges, runtime_classes),
        storage=Storage(
            _list(cluster, f"/apis/{_STORAGE}/storageclasses", "storage classes"),
            _list(cluster, f"/apis/{_STORAGE}/csidrivers", "CSI drivers"),
            _list(cluster, "/api/v1/persistentvolumes", "volumes"),
            _list(cluster, cluster.path("persistentvolumeclaims"), "claims of volumes"),
        ),
        account=account,
        secrets=_secrets(cluster, search, account),
        priority_classes=_list(cluster, "/apis/scheduling.k8s.io/v1/priorityclasses", "priority classes"),
        runtime_classes=runtime_classes,
        queues=_queues(cluster, groups),
    )


def _get(cluster: Cluster, path: str, what: str) -> Object | Unread | None:
    try:
        return cluster.get(path, what)
    except NotFound:
        return None
    except Forbidden:
        return Unread(f"you may not get {what}")


def _list(cluster: Cluster, path: str, what: str, **query: str) -> Listed:
    try:
        return cluster.items(path, what, query)
    except NotFound:
        return ()
    except Forbidden:
        return Unread(f"you may not list {what}")


def _groups(cluster: Cluster) -> Mapping[str, str]:
    """The groups of the API that are served, each with the version to speak."""
    found = cluster.get("/apis", "the APIs of the cluster")
    return {group["name"]: group["preferredVersion"]["groupVersion"] for group in found["groups"]}


def _definition(cluster: Cluster, groups: Mapping[str, str]) -> Object | Unread | None:
    if API_GROUP not in groups:
        return None
    document = _get(cluster, f"/openapi/v3/apis/{API_VERSION}", "the definition of NASSearch")
    if document is None or isinstance(document, Unread):
        return document
    found: Object | None = document["components"]["schemas"].get(_SCHEMA)
    return found


def _operators(cluster: Cluster) -> Listed:
    selector = ",".join(f"{key}={value}" for key, value in OPERATOR_LABELS.items())
    everywhere = _list(cluster, "/api/v1/pods", "pods of other namespaces", labelSelector=selector)
    if not isinstance(everywhere, Unread):
        return everywhere
    for namespace in (_USUAL_HOME, cluster.namespace):
        found = _list(cluster, f"/api/v1/namespaces/{namespace}/pods", "pods", labelSelector=selector)
        if not isinstance(found, Unread) and found:
            return found
    return everywhere


def _is_there(cluster: Cluster, name: str) -> bool:
    found = _get(cluster, cluster.search_path(name), f"the search {name}")
    return found is not None and not isinstance(found, Unread)


def _may(cluster: Cluster, right: Right) -> bool:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = cluster.create(path, "a review of your rights", right.review(cluster.namespace))
    return bool(answer["status"]["allowed"])


def _try_manifest(cluster: Cluster, demand: Demand, groups: Mapping[str, str]) -> Tried:
    if API_GROUP not in groups:
        return Unread("the cluster knows no NASSearch")
    search = demand.search
    body = search.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"status"})
    body["metadata"] = {"name": search.metadata.name, "namespace": search.metadata.namespace}
    return _try(cluster, "nassearches", body, API_VERSION, name=search.metadata.name if demand.exists else "")


def _try(cluster: Cluster, resource: str, body: Object, version: str = "v1", *, name: str = "") -> Tried:
    if "name" not in body["metadata"]:
        body = body | {"metadata": body["metadata"] | {"generateName": _TRIED}}
    try:
        refused = cluster.dry_run(cluster.path(resource, version=version), resource, body, name=name)
    except Forbidden:
        return Unread(f"you may not create {resource}")
    # Without the name of an object that will never be.
    return refused and refused.removeprefix(f'{resource} "{_TRIED}" is forbidden: ')


def _nodes(cluster: Cluster, groups: Mapping[str, str], limit_ranges: Listed, runtime_classes: Listed) -> Nodes:
    scaled = _list(cluster, cluster.path("horizontalpodautoscalers", version="autoscaling/v2"), "autoscalers")
    return Nodes(
        nodes=_list(cluster, "/api/v1/nodes", "nodes"),
        pods=_list(cluster, "/api/v1/pods", "pods of other namespaces", fieldSelector="spec.nodeName!="),
        limit_ranges=_known(limit_ranges),
        runtime_classes=_known(runtime_classes),
        autoscaler=_autoscaler(cluster, groups),
        scaled=_known(scaled),
    )


def _autoscaler(cluster: Cluster, groups: Mapping[str, str]) -> str:
    """What adds nodes at need, if it can be seen."""
    if _KARPENTER in groups:
        return "Karpenter"
    path = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    found = _get(cluster, path, "the status of the cluster autoscaler")
    return "the cluster autoscaler" if isinstance(found, dict) else ""


def _secrets(cluster: Cluster, search: NASSearch, account: Object | Unread | None) -> dict[str, Object | Unread | None]:
    named = [each["name"] for each in account.get("imagePullSecrets") or ()] if isinstance(account, dict) else []
    if search.spec.trainer.environment_secret is not None:
        named.append(search.spec.trainer.environment_secret)
    return {name: _get(cluster, cluster.path("secrets", name), f"secret {name}") for name in named}


def _queues(cluster: Cluster, groups: Mapping[str, str]) -> Listed | None:
    if _KUEUE not in groups:
        return None
    return _list(cluster, cluster.path("localqueues", version=groups[_KUEUE]), "queues of Kueue")


def _known(found: Listed) -> Sequence[Object]:
    return () if isinstance(found, Unread) else found
