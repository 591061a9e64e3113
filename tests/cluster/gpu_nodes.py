"""Simulated nodes with GPUs: kwok keeps them ready, and says that their pods run."""

from collections.abc import Container
from itertools import count, islice
from pathlib import Path
from typing import Any

from tests.cluster.processes import Processes
from tests.cluster.programs import Programs

STAGES = Path(__file__).parent / "gpu_nodes.yaml"

# What sends a pod to a simulated node: nothing lands there that does not ask for it.
NODE_SELECTOR = {"kubenas.dev/simulated": "true"}
TAINT = {"key": "kubenas.dev/simulated", "value": "true", "effect": "NoSchedule"}
TOLERATION = {"key": "kubenas.dev/simulated", "operator": "Exists", "effect": "NoSchedule"}


def start_kwok(programs: Programs, processes: Processes, kubeconfig: Path) -> None:
    """Starts the simulator. It looks after the nodes of `NODE_SELECTOR` and no others."""
    selector = ",".join(f"{key}={value}" for key, value in NODE_SELECTOR.items())
    processes.start(
        "kwok",
        [
            programs.path("kwok"),
            f"--kubeconfig={kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-label-selector={selector}",
            "--node-lease-duration-seconds=40",
            "--cidr=198.18.0.0/16",  # addresses of pods, which nothing can reach: the range set aside for benchmarks
            "--node-ip=198.19.0.1",
        ],
    )


def new_nodes(number: int, gpus_per_node: int, taken: Container[str] = ()) -> list[dict[str, Any]]:
    """Nodes `gpu-0000`, `gpu-0001`, ..., leaving out the names that are taken."""
    names = (name for i in count() if (name := f"gpu-{i:04d}") not in taken)
    return [_node(name, gpus_per_node) for name in islice(names, number)]


def takes_pods(node: dict[str, Any]) -> bool:
    """Whether it is ready and has no taint but ours. Kubernetes takes away that of a node not ready up to 5 s later."""
    conditions = node["status"].get("conditions", ())
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and node["spec"].get("taints") == [TAINT]


def _node(name: str, gpus: int) -> dict[str, Any]:
    resources = {"cpu": "192", "memory": "2Ti", "ephemeral-storage": "1Ti", "pods": "250", "nvidia.com/gpu": str(gpus)}
    labels = {
        **NODE_SELECTOR,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "nvidia.com/gpu.present": "true",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": resources, "allocatable": resources},
    }
