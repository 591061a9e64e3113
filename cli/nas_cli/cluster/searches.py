"""Finds searches in a cluster."""

import shlex

from nas_api.spec import NASSearch

from nas_cli.cluster.cluster import Cluster, NotFound, Object
from nas_cli.failure import BadInput, Failure

WEIGHTS_IN_CLUSTER = (
    "Weights that a second stage (spec.finalTraining) has trained are on the volume of the controller: "
    "docs/final-training.md says how to get them."
)


def list_searches(cluster: Cluster, *, everywhere: bool = False) -> list[Object]:
    """The searches of the namespace, or of all namespaces.

    Raises:
        NotFound: the cluster has no KubeNAS.
        Failure: it cannot be asked, or does not answer.
    """
    what = "searches" if everywhere else f"searches in namespace {cluster.namespace}"
    try:
        return cluster.items(cluster.search_path(everywhere=everywhere), what)
    except NotFound:
        raise _not_installed(cluster) from None


def find_search(cluster: Cluster, name: str | None) -> Object:
    """The search of a name, or the only one of the namespace.

    Raises:
        NotFound: there is none.
        BadInput: there are several, and no name says which is meant.
        Failure: the cluster cannot be asked, or does not answer.
    """
    if name is None:
        return _only(cluster, list_searches(cluster))
    try:
        return cluster.get(cluster.search_path(name), f"the search {name} in namespace {cluster.namespace}")
    except NotFound:
        there = [each["metadata"]["name"] for each in list_searches(cluster)]
        listed = f"there are {', '.join(there)}" if there else "there is none; `kubectl nas get -A` lists all"
        raise NotFound(f"namespace {cluster.namespace} has no search {name}: {listed}") from None


def search_of(found: Object) -> NASSearch:
    """The search in an object.

    Raises:
        Failure: it has what this version does not know.
    """
    try:
        return NASSearch.model_validate(found)
    except ValueError as error:
        name = found["metadata"]["name"]
        raise Failure(
            f"the search {name} has what this version of KubeNAS does not know; take that of the cluster: {error}"
        ) from error


def has_ended(found: Object) -> bool:
    """Whether a search says so."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(each["type"] in ("Succeeded", "Failed") and each["status"] == "True" for each in conditions)


def arguments_of(search: NASSearch) -> str:
    """What names a search of a cluster on the command line."""
    return shlex.join([search.metadata.name, "--namespace", search.metadata.namespace])


def _only(cluster: Cluster, found: list[Object]) -> Object:
    if not found:
        raise NotFound(f"there is no search in namespace {cluster.namespace}: `kubectl nas get -A` lists all")
    if len(found) > 1:
        names = ", ".join(each["metadata"]["name"] for each in found)
        raise BadInput(f"there are several searches in namespace {cluster.namespace}, say which one you mean: {names}")
    return found[0]


def _not_installed(cluster: Cluster) -> NotFound:
    return NotFound(
        f"the cluster at {cluster.access.configuration.host} (context {cluster.access.context}) knows no NASSearch: "
        "KubeNAS is not installed there. helm/nas-operator installs it"
    )
