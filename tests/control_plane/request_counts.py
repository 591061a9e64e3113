"""Counts what somebody asks of the API server, by the API server's own count."""

import re
from collections.abc import Mapping

from tests.cluster.cluster import Cluster

READS = ("get", "list", "watch")
WRITES = ("create", "update", "patch", "delete", "deletecollection")


class RequestCounts:
    """How often a service account has asked the API server for something, by verb.

    The API server counts requests by flow schema (API Priority and Fairness), so each verb of the account gets one.
    """

    def __init__(self, cluster: Cluster, namespace: str, account: str) -> None:
        """Begins to count.

        Args:
            cluster: Whose API server counts.
            namespace: Of the service account.
            account: Its name.
        """
        self._cluster = cluster
        self._prefix = f"{namespace}-"
        subject = {"kind": "ServiceAccount", "serviceAccount": {"name": account, "namespace": namespace}}
        cluster.apply(*(self._schema(verb, subject) for verb in (*READS, *WRITES)))
        cluster.wait_for(self._are_in_use, "the API server to count")

    def __call__(self) -> dict[str, int]:
        """The counts so far."""
        metrics = self._cluster.kubectl("get", "--raw", "/metrics")
        name = "apiserver_flowcontrol_dispatched_requests_total"
        found = re.findall(rf'^{name}{{flow_schema="{self._prefix}(\w+)",[^}}]*}} (\S+)$', metrics, re.M)
        return dict.fromkeys((*READS, *WRITES), 0) | {verb: int(float(count)) for verb, count in found}

    def writes(self) -> int:
        """How much has been written so far."""
        return sum(count for verb, count in self().items() if verb in WRITES)

    def _schema(self, verb: str, subject: Mapping[str, object]) -> dict[str, object]:
        rule = {"apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"], "verbs": [verb]}
        return {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": f"{self._prefix}{verb}"},
            "spec": {
                "matchingPrecedence": 50,
                "priorityLevelConfiguration": {"name": "workload-low"},
                "rules": [{"subjects": [subject], "resourceRules": [rule]}],
            },
        }

    def _are_in_use(self) -> bool:
        schemas = self._cluster.kubectl_json("get", "flowschemas")["items"]
        seen = {schema["metadata"]["name"] for schema in schemas if schema.get("status", {}).get("conditions")}
        return {f"{self._prefix}{verb}" for verb in (*READS, *WRITES)} <= seen
