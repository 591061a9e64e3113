"""Counts what somebody writes, by the API server's own count of requests."""

import re

from tests.cluster.cluster import Cluster

_WRITES = ["create", "update", "patch", "delete", "deletecollection"]


class WriteCount:
    """How often a service account has asked the API server to write anything.

    The API server counts requests by flow schema (API Priority and Fairness), so the writes of the account get one of
    their own.
    """

    def __init__(self, cluster: Cluster, namespace: str, account: str) -> None:
        """Begins to count.

        Args:
            cluster: Whose API server counts.
            namespace: Of the service account.
            account: Its name.
        """
        self._cluster = cluster
        self._name = f"writes-{namespace}"
        subject = {"kind": "ServiceAccount", "serviceAccount": {"name": account, "namespace": namespace}}
        everything = {"apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
        cluster.apply(
            {
                "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
                "kind": "FlowSchema",
                "metadata": {"name": self._name},
                "spec": {
                    "matchingPrecedence": 50,
                    "priorityLevelConfiguration": {"name": "workload-low"},
                    "rules": [{"subjects": [subject], "resourceRules": [everything | {"verbs": _WRITES}]}],
                },
            }
        )
        cluster.wait_for(self._is_in_use, "the API server to count")

    def __call__(self) -> int:
        """The count so far."""
        metrics = self._cluster.kubectl("get", "--raw", "/metrics")
        found = re.search(
            rf'^apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{self._name}",[^}}]*}} (\S+)$',
            metrics,
            re.M,
        )
        return int(float(found[1])) if found else 0

    def _is_in_use(self) -> bool:
        status = self._cluster.kubectl_json("get", "flowschema", self._name).get("status", {})
        return any(condition["type"] == "Dangling" for condition in status.get("conditions", ()))
