"""The pods of a cluster for a Prometheus that cannot ask Kubernetes itself, which Debian's is built without."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cluster.cluster import Cluster

Object = dict[str, Any]


@contextmanager
def pod_discovery(cluster: Cluster) -> Iterator[str]:
    """Tells in the words of `kubernetes_sd_configs` with the role `pod`, for the duration of the context.

    Yields:
        The URL for `http_sd_configs`: a target for each port of each pod. `?NAMESPACE` at its end: of that namespace.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, namespace = self.path.partition("?")
            where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
            pods = cluster.kubectl_json("get", "pods", *where)["items"]
            answer = json.dumps([target for pod in pods for target in targets(pod)]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            with suppress(ConnectionError):  # it was ended while it waited
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def targets(pod: Object) -> Iterator[Object]:
    """A target for each port of a pod that has an address."""
    address = pod["status"].get("podIP")
    if not address:
        return
    metadata = pod["metadata"]
    of_pod = {"name": metadata["name"], "ip": address, "phase": pod["status"]["phase"]}
    for label, value in metadata.get("labels", {}).items():
        of_pod |= {f"label_{sanitized(label)}": value, f"labelpresent_{sanitized(label)}": "true"}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            of_port = {"name": port.get("name", ""), "number": str(port["containerPort"])}
            of_container = {"name": container["name"], **{f"port_{key}": value for key, value in of_port.items()}}
            labels = of_pod | {f"container_{key}": value for key, value in of_container.items()}
            yield {
                "targets": [f"{address}:{port['containerPort']}"],
                "labels": {
                    "__meta_kubernetes_namespace": metadata["namespace"],
                    **{f"__meta_kubernetes_pod_{key}": value for key, value in labels.items()},
                },
            }


def sanitized(label: str) -> str:
    """The name of a label of Kubernetes as a part of one of Prometheus."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)
