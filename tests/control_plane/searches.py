"""Searches on simulated nodes, and what the operator has made of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_api.manifest import load_manifest

from tests.cluster.cluster import Cluster
from tests.cluster.gpu_nodes import NODE_SELECTOR, TOLERATION
from tests.control_plane.custom_resources import ROOT, Object

SAMPLE = ROOT / "manifests" / "samples" / "digits.yaml"
SIMULATED = {"nodeSelector": NODE_SELECTOR, "tolerations": [TOLERATION]}
SEARCH_LABEL = "kubenas.dev/search"
# Everything that belongs to a search.
KINDS = "nassearches,naspools,statefulsets,services,jobs,pods,secrets,configmaps,networkpolicies"
MADE = "naspools,statefulsets,services,jobs,secrets,configmaps,networkpolicies"


def digits(replicas: int = 3, **more: Any) -> Object:
    """The digits sample with a pool of simulated GPUs.

    Args:
        replicas: Workers of the pool `gpu`.
        more: Parts of the spec to add.
    """
    manifest = load_manifest(SAMPLE).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    spec = manifest["spec"]
    spec["controller"] = spec["controller"] | SIMULATED
    pool = {"name": "gpu", "replicas": replicas, "resources": {"nvidia.com/gpu": "1"}, "drainTimeout": "1s"}
    spec |= {"pools": [pool | SIMULATED]} | more
    return manifest | {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "digits"}}


@dataclass(frozen=True)
class Namespace:
    """A namespace with searches.

    Attributes:
        cluster: Where it is.
        name: Of the namespace.
    """

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str | Path) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    def json(self, *arguments: str) -> Any:
        return self.cluster.kubectl_json("--namespace", self.name, *arguments)

    def apply(self, *manifests: Object) -> None:
        self.cluster.apply(*manifests, namespace=self.name)

    def add_volume(self, search: str = "digits") -> None:
        """A volume for the journal: nobody makes volumes in a control plane without nodes."""
        claim = {"namespace": self.name, "name": f"journal-{search}-controller-0"}
        spec = {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": claim,
        }
        name = f"{self.name}-{search}"
        self.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})

    def made(self, kinds: str = MADE, search: str = "digits") -> dict[str, Object]:
        """What there is of a search, by `Kind/name`."""
        items = self.json("get", kinds, "-l", f"{SEARCH_LABEL}={search}")["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def jobs(self, search: str = "digits") -> list[str]:
        """Names of the Jobs that are there, and are not going."""
        jobs = self.made("jobs", search).values()
        return sorted(job["metadata"]["name"] for job in jobs if "deletionTimestamp" not in job["metadata"])

    def running_pods(self, component: str, search: str = "digits") -> list[str]:
        """Names of the pods of a component that run."""
        selector = f"{SEARCH_LABEL}={search},app.kubernetes.io/component={component}"
        pods = self.json("get", "pods", "-l", selector)["items"]
        return sorted(pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running")

    def status(self, search: str = "digits") -> Object:
        """The status of a search."""
        found: Object = self.json("get", "nassearch", search).get("status", {})
        return found

    def condition(self, type_: str, search: str = "digits") -> Object:
        """A condition of a search."""
        conditions = self.status(search).get("conditions", ())
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def all_is_told(self, search: str = "digits") -> bool:
        """Whether the status says what there is to say of simulated pods: workers run, and no controller answers."""
        unreachable = "connection refused" in self.condition("ControllerAvailable", search).get("message", "")
        return unreachable and self.condition("PoolsReady", search).get("status") == "True"

    def wait_for_workers(self, count: int, search: str = "digits") -> list[str]:
        """Waits until as many workers run as Jobs that there should be, and one controller. Returns the Jobs."""

        def settled() -> list[str] | None:
            jobs = self.jobs(search)
            pods = {pod.rpartition("-")[0] for pod in self.running_pods("worker", search)}
            controllers = self.running_pods("controller", search)
            return jobs if len(jobs) == count and pods == set(jobs) and len(controllers) == 1 else None

        if count == 0:
            self.cluster.wait_for(lambda: not self.jobs(search), "all workers to be gone")
            return []
        return self.cluster.wait_for(settled, f"{count} workers to run", timeout=120)
