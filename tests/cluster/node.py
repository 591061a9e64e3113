"""A real node: containerd, kubelet, kube-proxy, DNS, volumes and network policies."""

from pathlib import Path

from tests.cluster import node_configuration
from tests.cluster.cluster import Cluster
from tests.cluster.command import run
from tests.cluster.debian import cni_plugins, require
from tests.cluster.images import write_image
from tests.cluster.layout import Layout
from tests.cluster.machine import BRIDGE, CGROUP, NODE_ADDRESS, PODS
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs

NAME = "node0"
_MANIFESTS = Path(__file__).parent / "node.yaml"


def start_node(layout: Layout, programs: Programs, processes: Processes, cluster: Cluster) -> None:
    """Starts a node in the cluster and waits until it is ready."""
    _write_configuration(layout)
    configuration = layout.configuration
    processes.start("containerd", [programs.path("containerd"), f"--config={configuration}/containerd.toml"])
    cluster.kubectl("apply", "--server-side", "-f", _MANIFESTS)
    pause = layout.directory / "pause.tar"
    write_image(pause, node_configuration.PAUSE_IMAGE, {"/pause": programs.path("pause")}, ["/pause"])
    cluster.wait_for(lambda: run_ctr(layout, programs, "version"), "containerd to answer")
    load_image(layout, programs, pause)
    processes.start(
        "kubelet",
        [
            programs.path("kubelet"),
            f"--config={configuration}/kubelet.yaml",
            f"--kubeconfig={layout.kubeconfigs}/kubelet",
            f"--root-dir={layout.directory}/kubelet",
            f"--cert-dir={layout.directory}/kubelet/pki",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ],
    )
    processes.start("kube-proxy", [programs.path("kube-proxy"), f"--config={configuration}/kube-proxy.yaml"])
    processes.start("coredns", [programs.path("coredns"), "-conf", configuration / "Corefile"])
    processes.start(
        "volume-provisioner",
        [
            programs.path("volume-provisioner"),
            f"-kubeconfig={layout.kubeconfig}",
            f"-directory={layout.volumes}",
            f"-node={NAME}",
        ],
    )
    processes.start(
        "network-policies",
        [
            programs.path("network-policies"),
            f"-kubeconfig={layout.kubeconfig}",
            f"-node={NAME}",
            f"-dns={NODE_ADDRESS}",
        ],
    )
    ready = f'jsonpath={{.items[?(@.metadata.name=="{NAME}")].status.conditions[?(@.type=="Ready")].status}}'

    def is_ready() -> bool:
        processes.check()
        return cluster.kubectl("get", "nodes", "-o", ready) == "True"

    cluster.wait_for(is_ready, "the node to be ready", timeout=120)


def load_image(layout: Layout, programs: Programs, archive: Path) -> None:
    """Brings the images of an archive to the node."""
    run_ctr(layout, programs, "images", "import", str(archive))


def run_ctr(layout: Layout, programs: Programs, *arguments: str) -> str:
    """Asks the node's containerd."""
    return run(programs.path("ctr"), f"--address={layout.containerd_socket}", "--namespace=k8s.io", *arguments)


def _write_configuration(layout: Layout) -> None:
    plugins = cni_plugins()
    assert plugins is not None
    files = {
        "containerd.toml": node_configuration.containerd(layout, Path(require("runc")), plugins),
        "cni/10-pods.conflist": node_configuration.cni(BRIDGE, PODS, NODE_ADDRESS),
        "kubelet.yaml": node_configuration.kubelet(layout, NODE_ADDRESS, CGROUP),
        "kube-proxy.yaml": node_configuration.kube_proxy(layout, NAME, NODE_ADDRESS, PODS),
        "Corefile": node_configuration.corefile(layout, NODE_ADDRESS),
        "resolv.conf": "",
    }
    for name, content in files.items():
        path = layout.configuration / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    layout.volumes.mkdir()
