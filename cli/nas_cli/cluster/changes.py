"""Changes searches in a cluster: pauses them, goes on with them, scales their pools."""

from nas_api.spec.nassearch import API_VERSION
from nas_operator.names import pool_name

from nas_cli.cluster.cluster import Cluster, NotFound, Object


def set_suspended(cluster: Cluster, found: Object, *, suspend: bool) -> bool:
    """Says whether a search pauses. Returns whether that was a change.

    Raises:
        Failure: the user may not, or the cluster does not answer.
    """
    if bool((found.get("spec") or {}).get("suspend")) is suspend:
        return False
    name = found["metadata"]["name"]
    cluster.patch(cluster.search_path(name), f"the search {name}", {"spec": {"suspend": suspend}})
    return True


def scale(cluster: Cluster, found: Object, pool: str, replicas: int) -> int:
    """Scales a pool of a search, as `kubectl scale` does. Returns the workers that were wanted before.

    Raises:
        NotFound: there is no such pool.
        Failure: the user may not, or the cluster does not answer.
    """
    search = found["metadata"]["name"]
    path = cluster.path("naspools", pool_name(search, pool), version=API_VERSION) + "/scale"
    what = f"the pool {pool} of {search}"
    try:
        before = cluster.get(path, what)["spec"].get("replicas", 0)
        cluster.patch(path, what, {"spec": {"replicas": replicas}})
    except NotFound:
        pools = [entry["name"] for entry in (found.get("spec") or {}).get("pools") or ()]
        if pool in pools:
            raise NotFound(f"{search} has no pool {pool} yet: the operator makes it; try again in a moment") from None
        raise NotFound(f"{search} has no pool {pool}; it has {', '.join(pools) or 'none'}") from None
    return int(before)
