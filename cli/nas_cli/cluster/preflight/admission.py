"""What the API server itself says: of the namespace, of the manifest, and of pods as the operator would make them."""

from collections.abc import Mapping

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand

Tried = str | None | Unread
"""What came of a dry run: why it was refused, None if it was not."""

_ENFORCE = "pod-security.kubernetes.io/enforce"
_SECURITY = "violates PodSecurity"
_QUOTA = "exceeded quota"
_NO_DRY_RUN = "does not support dry run"


def check_namespace(namespace: Object | Unread | None, name: str) -> Check:
    """Whether the namespace is there."""
    title = "namespace"
    if isinstance(namespace, Unread):
        return unknown(title, namespace)
    if namespace is None:
        return failed(title, f"there is no namespace {name}", f"`kubectl create namespace {name}`")
    if (namespace.get("status") or {}).get("phase") == "Terminating":
        return failed(title, f"{name} is being deleted", "Wait until it has gone, and make it anew.")
    return ok(title, f"{name} is there")


def check_manifest(tried: Tried, *, exists: bool) -> Check:
    """Whether the API server would take the manifest."""
    title = "manifest"
    if isinstance(tried, Unread):
        return unknown(title, tried)
    if tried is not None:
        return failed(title, f"the cluster refuses it: {tried}", "Correct the manifest.")
    return ok(title, "the cluster would take it" + (", as a change of the search that is there" if exists else ""))


def check_pod_security(namespace: Object | Unread | None, pods: Mapping[str, Tried]) -> Check:
    """Whether pods of the search keep the Pod Security Standard of the namespace.

    Args:
        namespace: v1 Namespace.
        pods: what came of trying a pod of each part.
    """
    title = "pod security"
    refused = [words for words in pods.values() if isinstance(words, str) and _SECURITY in words]
    if refused:
        return failed(
            title,
            refused[0],
            "Pods of searches keep `restricted`: something in the cluster changes them, or it has another version.",
        )
    if isinstance(namespace, Unread):
        return unknown(title, namespace)
    level = ((namespace or {}).get("metadata", {}).get("labels") or {}).get(_ENFORCE)
    if level is None:
        return ok(title, "the namespace names no level; pods of searches keep `restricted`")
    return ok(title, f"the namespace enforces {level}, which pods of searches keep")


def check_pods(demand: Demand, pods: Mapping[str, Tried]) -> list[Check]:
    """Whether the API server would take a pod of each part. Quotas and pod security have checks of their own.

    Args:
        demand: of the search.
        pods: what came of trying one, by the name of the part.
    """
    checks = []
    for part in demand.parts:
        title, tried = f"pod of the {part.name}", pods[part.name]
        if isinstance(tried, Unread):
            checks.append(unknown(title, tried))
        elif tried is None:
            checks.append(ok(title, "the cluster would take it"))
        elif _QUOTA in tried:
            checks.append(warning(title, f"not now: {tried}", "See the check of the quota."))
        elif _NO_DRY_RUN in tried:
            checks.append(warning(title, f"cannot be tried: {tried}"))
        elif _SECURITY not in tried:
            checks.append(failed(title, f"the cluster refuses it: {tried}", f"Correct {part.field}."))
    return checks
