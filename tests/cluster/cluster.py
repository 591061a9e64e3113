"""A Kubernetes cluster as tests see it, the project's own or any other."""

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster import gpu_nodes, waiting
from tests.cluster.command import run
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs

_T = TypeVar("_T")


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster.

    Attributes:
        kubeconfig: The administrator's kubeconfig.
        programs: kubectl, helm and kwok are taken from here.
        processes: Where processes that the cluster needs, such as kwok, are started.
        image_loader: Gets the path of an image archive and brings its images into the cluster; None where no real
            node runs containers.
    """

    kubeconfig: Path
    programs: Programs
    processes: Processes
    image_loader: Callable[[Path], None] | None = None
    environment: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", {**os.environ, "KUBECONFIG": str(self.kubeconfig)})

    @property
    def is_ours(self) -> bool:
        """Whether this project has started it with a node of its own, and knows its volumes and its network."""
        return "node/node0" in self.kubectl("get", "nodes", "-o", "name").split()

    def kubectl(self, *arguments: str | Path, input: str | None = None, timeout: float = 600) -> str:
        """Runs kubectl and returns its output.

        Args:
            arguments: As on the command line.
            input: For its standard input, as in `kubectl("apply", "-f", "-", input=manifest)`.
            timeout: Seconds it may take.

        Raises:
            CommandError: kubectl failed; its message says why.
        """
        program = self.programs.path("kubectl")
        return run(program, *arguments, stdin=input, environment=self.environment, timeout=timeout)

    def kubectl_json(self, *arguments: str | Path) -> Any:
        """Runs kubectl with `-o json` and returns what it says, parsed."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def helm(self, *arguments: str | Path, timeout: float = 600) -> str:
        """Runs helm and returns its output.

        Raises:
            CommandError: helm failed; its message says why.
        """
        return run(self.programs.path("helm"), *arguments, environment=self.environment, timeout=timeout)

    def apply(self, *manifests: dict[str, Any], namespace: str | None = None) -> None:
        """Applies objects, server-side."""
        items = {"apiVersion": "v1", "kind": "List", "items": manifests}
        where = ["--namespace", namespace] if namespace else []
        self.kubectl("apply", "--server-side", *where, "-f", "-", input=json.dumps(items))

    def load_image(self, archive: Path) -> None:
        """Brings the images of an archive (`docker save`, `buildah push docker-archive:`, OCI) to the nodes.

        Raises:
            RuntimeError: The cluster has no real node, or is one that we do not know how to load images into.
        """
        if self.image_loader is None:
            raise RuntimeError("this cluster has no node that runs containers, so no image can be loaded into it")
        self.image_loader(archive)

    def add_gpu_nodes(self, count: int, gpus_per_node: int = 8) -> list[str]:
        """Adds simulated nodes and waits until they take pods. Returns their names.

        Pods get there only if they tolerate the taint of `gpu_nodes.TOLERATION`, and can be sent there with
        `gpu_nodes.NODE_SELECTOR`. They run, without running anything, until they are deleted.
        """
        if "kwok" not in self.processes.all():
            gpu_nodes.start_kwok(self.programs, self.processes, self.kubeconfig)
        taken = set(self.kubectl("get", "nodes", "-o", "name").split())
        nodes = gpu_nodes.new_nodes(count, gpus_per_node, taken={name.removeprefix("node/") for name in taken})
        self.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
        names = [node["metadata"]["name"] for node in nodes]
        selector = ",".join(f"{key}={value}" for key, value in gpu_nodes.NODE_SELECTOR.items())

        def all_take_pods() -> bool:
            self.processes.check()
            found = self.kubectl_json("get", "nodes", "-l", selector)["items"]
            return set(names) <= {node["metadata"]["name"] for node in found if gpu_nodes.takes_pods(node)}

        self.wait_for(all_take_pods, f"{count} simulated nodes to take pods")
        return names

    def remove_nodes(self, names: list[str]) -> None:
        """Removes simulated nodes, and with them the pods that they run."""
        self.kubectl("delete", "node", "--ignore-not-found", *names)
        pods: dict[str, list[str]] = {}
        for pod in self.kubectl_json("get", "pods", "--all-namespaces")["items"]:
            if pod["spec"].get("nodeName") in names:
                pods.setdefault(pod["metadata"]["namespace"], []).append(pod["metadata"]["name"])
        for namespace, of_namespace in pods.items():
            self.kubectl("delete", "pod", "--namespace", namespace, "--ignore-not-found", "--force", *of_namespace)

    def set_gpus(self, node: str, gpus: int) -> None:
        """Lets a real node offer GPUs, without a device plugin. Pods that ask for them get none to see."""
        # The kubelet makes what is allocatable of the capacity, but only the next time it reports.
        paths = [f"/status/{field}/nvidia.com~1gpu" for field in ("capacity", "allocatable")]
        patch = [{"op": "add", "path": path, "value": str(gpus)} for path in paths]
        self.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(patch))

    def wait_for(self, condition: Callable[[], _T | None], what: str, timeout: float = waiting.PATIENCE) -> _T:
        """Waits until a condition gives something true, and returns that. See `waiting.wait_for`."""
        return waiting.wait_for(condition, what, timeout)


def loader_from_command(template: str) -> Callable[[Path], None]:
    """A loader that runs a command such as `kind load image-archive {archive}`, with the archive filled in."""

    def load(archive: Path) -> None:
        command = [word.replace("{archive}", str(archive)) for word in shlex.split(template)]
        run(command[0], *command[1:])

    return load
