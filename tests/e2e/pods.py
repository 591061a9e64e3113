"""Pods that run once."""

from typing import Any

from tests.cluster.cluster import Cluster


def run_to_the_end(cluster: Cluster, namespace: str, made: dict[str, Any], timeout: float = 300) -> str:
    """Runs a pod until it has succeeded, in so many seconds. Returns its log."""
    name = made["metadata"]["name"]
    cluster.apply(made, namespace=namespace)

    def phase() -> str | None:
        seen = cluster.kubectl("--namespace", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}")
        return seen if seen in ("Succeeded", "Failed") else None

    ended = cluster.wait_for(phase, f"pod {name} to end", timeout=timeout)
    log = cluster.kubectl("--namespace", namespace, "logs", name)
    assert ended == "Succeeded", log
    return log
