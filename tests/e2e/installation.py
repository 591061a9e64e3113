"""The operator in a real cluster: images built from this checkout, installed by the chart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.layout import Layout
from tests.cluster.machine import HOST_ADDRESS, NODE_ADDRESS
from tests.cluster.progress import say

ROOT = Path(__file__).parents[2]
REPOSITORY = "localhost/kubenas"
# The same code under two tags: two versions of the operator, as far as Kubernetes is concerned.
TAG, NEXT_TAG = "e2e", "e2e-next"


@dataclass(frozen=True)
class Installation:
    """A release of the chart.

    Attributes:
        cluster: where.
        namespace: of the operator.
        release: its name.
    """

    cluster: Cluster
    namespace: str = "kubenas-system"
    release: str = "kubenas"

    @property
    def deployment(self) -> str:
        """Of the operator."""
        return f"{self.release}-nas-operator"

    def install(self, tag: str = TAG) -> None:
        """Installs or upgrades the operator, and waits until it is ready."""
        self._helm("upgrade", "--install", "--create-namespace", "--wait", "--timeout=600s", f"--set=images.tag={tag}")

    def pod_monitors(self) -> list[dict[str, Any]]:
        """Those that the chart has for the Prometheus operator. They are not installed: it is not there."""
        enabled = "--set=metrics.podMonitor.enabled=true,metrics.podMonitor.interval=1s"
        rendered = self._helm("template", "--show-only=templates/podmonitors.yaml", enabled)
        return list(yaml.safe_load_all(rendered))

    def _helm(self, command: str, *options: str) -> str:
        settings = [f"--set=images.repository={REPOSITORY}", "--set=crds.keep=false"]
        settings += ["--set=settings.pollSeconds=1,settings.statusSeconds=1,settings.resyncSeconds=10"]
        if self.cluster.is_ours:  # its network enforces policies, and knows no IPv6
            peers = [{"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}}]
            policy = {"enabled": True, "apiServer": {"cidrs": [f"{NODE_ADDRESS}/32"]}}
            settings += ["--set-json", f"metrics.peers={json.dumps(peers)}"]
            settings += ["--set-json", f"networkPolicy={json.dumps(policy)}"]
        else:  # kind's volumes, and those of others, may come from no CSI driver
            settings += ["--set=settings.storageAccessMode=ReadWriteOnce"]
        chart = ROOT / "helm" / "nas-operator"
        where = ("--namespace", self.namespace)
        return self.cluster.helm(command, self.release, chart, *where, *options, *settings, timeout=660)

    def uninstall(self) -> None:
        """Takes everything away."""
        self.cluster.helm("uninstall", self.release, "--namespace", self.namespace, "--wait")
        self.cluster.kubectl("delete", "namespace", self.namespace)

    def test(self) -> str:
        """Runs `helm test`. Returns what it says."""
        return self.cluster.helm("test", self.release, "--namespace", self.namespace)

    def image(self) -> str:
        """Of the operator."""
        spec = self.cluster.kubectl_json("--namespace", self.namespace, "get", "deployment", self.deployment)["spec"]
        image: str = spec["template"]["spec"]["containers"][0]["image"]
        return image

    def kill(self) -> None:
        """Kills the operator's pod and waits for the next."""
        pods = ["--namespace", self.namespace, "delete", "pods", "-l", "app.kubernetes.io/name=nas-operator"]
        self.cluster.kubectl(*pods, "--force", "--grace-period=0")
        rollout = ["--namespace", self.namespace, "rollout", "status", f"deployment/{self.deployment}"]
        self.cluster.kubectl(*rollout, "--timeout=600s", timeout=660)

    @contextmanager
    def upgraded(self) -> Iterator[None]:
        """The next version of the operator, and at the end this one again."""
        self.install(NEXT_TAG)
        try:
            yield
        finally:
            self.install(TAG)


def build_images(tag: str, *arguments: str) -> None:
    """Builds the images of this checkout.

    Args:
        tag: of all three.
        arguments: of tools/build-images, that say where to bring them.
    """
    base = [] if _docker_answers() else ["--base=local"]
    program = [sys.executable, str(ROOT / "tools" / "build-images")]
    subprocess.run([*program, f"--tag={tag}", f"--repository={REPOSITORY}", *base, *arguments], check=True)


def load_images(cluster: Cluster, directory: Path) -> None:
    """Builds the images of this checkout, twice named, and brings them into the cluster.

    Args:
        cluster: where.
        directory: for an archive, where there is no other way.
    """
    own = Layout(cluster.kubeconfig.parents[1])
    for tag in (TAG, NEXT_TAG):
        if own.containerd_socket.exists():
            build_images(tag, f"--containerd={own.containerd_socket}", f"--ctr={cluster.programs.path('ctr')}")
        else:
            archive = directory / f"{tag}.tar"
            build_images(tag, f"--output={archive}")
            say(f"Loading {archive.name} into the cluster")
            cluster.load_image(archive)
            archive.unlink()


def _docker_answers() -> bool:
    try:
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
