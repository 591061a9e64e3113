"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.layout import Layout
from tests.cluster.processes import Processes
from tests.cluster.programs import Programs

_PATIENCE = 120.0  # seconds a component may take to start: usually 5, but machines can be busy
# The client rates of controllers (20 and 50 requests a second by default) would be what large tests measure.
_RATE = "300"
# A file "peer:0" in the cluster's directory, where processes start: a peer's URL must look like host:port.
_ETCD_PEER = "unix://peer:0"


@dataclass(frozen=True)
class Network:
    """Addresses of a cluster.

    Attributes:
        api_address: Where the API server listens.
        api_port: Its port.
        pods: The network that pods get their addresses from.
        services: The network that services get theirs from.
        advertise: Whether the service `kubernetes` leads to the API server; only where pods can reach it.
    """

    api_address: str
    api_port: int
    pods: str
    services: str
    advertise: bool

    @property
    def api_url(self) -> str:
        """URL of the API server."""
        return f"https://{self.api_address}:{self.api_port}"

    @property
    def api_service(self) -> str:
        """Address of the service `kubernetes`: the first of the services' network."""
        return self.services.partition("/")[0].rpartition(".")[0] + ".1"

    @property
    def api_names(self) -> list[str]:
        """What the API server's certificate is valid for."""
        service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        return ["localhost", *service, "127.0.0.1", self.api_address, self.api_service]


@contextmanager
def free_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port that nobody else is given while the context is open, but that a server with SO_REUSEPORT can listen on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((address, 0))
        yield holder.getsockname()[1]


def start_control_plane(layout: Layout, programs: Programs, processes: Processes, network: Network) -> None:
    """Starts the four and waits until a namespace gets its service account, which takes all but the scheduler.

    Raises:
        RuntimeError: One of them ended, or did not get ready in time; the message has the end of its log.
    """
    processes.start("etcd", _etcd(layout, programs))
    processes.start("kube-apiserver", _apiserver(layout, programs, network))
    api = Api(layout, network)
    _wait(processes, "kube-apiserver", lambda: api.answers("/readyz"))
    processes.start("kube-controller-manager", _controller_manager(layout, programs, network))
    processes.start("kube-scheduler", _scheduler(layout, programs))
    _wait(
        processes,
        "kube-controller-manager",
        lambda: api.answers("/api/v1/namespaces/default/serviceaccounts/default"),
    )


class Api:
    """The API server, asked as its administrator without the weight of kubectl."""

    def __init__(self, layout: Layout, network: Network) -> None:
        self._url = network.api_url
        self._context = ssl.create_default_context(cafile=layout.pki / "ca.crt")
        self._context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")

    def answers(self, path: str) -> bool:
        """Whether GET of the path succeeds."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=10, context=self._context):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _wait(processes: Processes, name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready():
        processes.check()
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{name} was not ready after {_PATIENCE:.0f} s. The end of its log:\n{processes.end_of_log(name)}"
            )
        time.sleep(0.1)


def _etcd(layout: Layout, programs: Programs) -> list[str | Path]:
    return [
        programs.path("etcd"),
        "--name=etcd",
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls=unix://{layout.etcd_socket}",
        f"--advertise-client-urls={_ETCD_PEER}",  # nobody asks for it
        f"--listen-peer-urls={_ETCD_PEER}",
        f"--initial-advertise-peer-urls={_ETCD_PEER}",
        f"--initial-cluster=etcd={_ETCD_PEER}",
        "--unsafe-no-fsync",  # a cluster that does not outlive the machine's next crash need not survive it
        "--quota-backend-bytes=4294967296",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def _apiserver(layout: Layout, programs: Programs, network: Network) -> list[str | Path]:
    pki = layout.pki
    return [
        programs.path("kube-apiserver"),
        f"--etcd-servers=unix://{layout.etcd_socket}",
        f"--bind-address={network.api_address}",
        f"--secure-port={network.api_port}",
        "--permit-port-sharing",  # we hold the port until it listens, see free_port
        f"--advertise-address={network.api_address}",
        *([] if network.advertise else ["--endpoint-reconciler-type=none"]),
        f"--service-cluster-ip-range={network.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",  # no DNS knows the node's name
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        "--enable-aggregator-routing",
        "--max-requests-inflight=800",
        "--max-mutating-requests-inflight=400",
        "--profiling=false",
    ]


def _controller_manager(layout: Layout, programs: Programs, network: Network) -> list[str | Path]:
    pki = layout.pki
    return [
        programs.path("kube-controller-manager"),
        f"--kubeconfig={layout.kubeconfigs / 'kube-controller-manager'}",
        "--secure-port=0",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--cluster-cidr={network.pods}",
        f"--service-cluster-ip-range={network.services}",
        "--leader-elect=false",
        f"--kube-api-qps={_RATE}",
        f"--kube-api-burst={_RATE}",
        "--concurrent-job-syncs=10",
        "--profiling=false",
    ]


def _scheduler(layout: Layout, programs: Programs) -> list[str | Path]:
    return [
        programs.path("kube-scheduler"),
        f"--kubeconfig={layout.kubeconfigs / 'kube-scheduler'}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--kube-api-qps={_RATE}",
        f"--kube-api-burst={_RATE}",
        "--profiling=false",
    ]
