"""The operator as a real process, with the rights that the chart gives it and no more."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.processes import ProcessRecord
from tests.cluster.waiting import wait_for
from tests.control_plane.custom_resources import ROOT

_RELEASE = "test"
# Its service account.
ACCOUNT = "test-nas-operator"
# What every test wants: to hear soon of what is not watched, and volumes that can be had without a CSI driver.
_SETTINGS = {
    "controller_image": "controller:1",
    "child_image": "child:1",
    "storage_access_mode": "ReadWriteOnce",
    "resync_seconds": "2",
    "poll_seconds": "0.5",
    "health_port": "0",
}


@dataclass
class OperatorProcess:
    """An operator of one namespace, or with no `namespaces` of the cluster.

    Attributes:
        cluster: Where it works.
        home: Namespace of its service account.
        directory: For its kubeconfig and its log.
        namespaces: That it watches.
        settings: Beside those of every test, such as `{"workers": "1"}`.
    """

    cluster: Cluster
    home: str
    directory: Path
    namespaces: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    _begin: int = 0

    def __post_init__(self) -> None:
        values = ["--set", f"watchNamespaces={{{','.join(self.namespaces)}}}"] if self.namespaces else []
        templates = ["-s", "templates/rbac.yaml", "-s", "templates/serviceaccount.yaml"]
        chart: list[str | Path] = [_RELEASE, ROOT / "helm" / "nas-operator", "--namespace", self.home]
        manifests = self.cluster.helm("template", *chart, *templates, *values)
        self.cluster.kubectl("apply", "--namespace", self.home, "-f", "-", input=manifests)
        token = self.cluster.kubectl("create", "token", ACCOUNT, "--namespace", self.home, "--duration=24h").strip()
        self.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(self.cluster, token)))
        self.kubeconfig.chmod(0o600)

    @property
    def user(self) -> str:
        """Who it is to the API server."""
        return f"system:serviceaccount:{self.home}:{ACCOUNT}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "operator-kubeconfig"

    @property
    def log(self) -> Path:
        return self.directory / "operator.log"

    def start(self, *, wait: bool = True) -> None:
        """Starts it, and waits until it is ready."""
        settings = _SETTINGS | {"namespaces": ",".join(self.namespaces)} | self.settings
        variables = {f"KUBENAS_{name.upper()}": value for name, value in settings.items()}
        environment = {**os.environ, **variables, "KUBECONFIG": str(self.kubeconfig)}
        self.url = ""
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nas_operator"], env=environment, stdout=log, stderr=log
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Waits until it says that it is ready."""
        wait_for(lambda: self.ask("/readyz")[0] == 200, "the operator to be ready")

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of its health endpoint. 0: it does not listen yet."""
        assert self.process is not None
        assert self.process.poll() is None, f"the operator ended: {self.log.read_text()}"
        if not self.url:
            found = re.search(r'health endpoint on port (\d+)["\n]', self.log.read_text()[self._begin :])
            if not found:
                return 0, ""
            self.url = f"http://127.0.0.1:{found[1]}"
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> int:
        """Asks it to end as a kubelet does. Returns its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def resident_bytes(self) -> int:
        """The memory it holds."""
        assert self.process is not None
        record = ProcessRecord.of(self.process.pid)
        return record.resident_bytes if record else 0


@contextmanager
def running_operator(cluster: Cluster, directory: Path, *namespaces: str, **settings: str) -> Iterator[OperatorProcess]:
    """An operator of some namespaces, at home in the first of them, for the duration of the context."""
    operator = OperatorProcess(cluster, namespaces[0], directory, namespaces, settings)
    try:
        operator.start()
        yield operator
    finally:
        operator.kill()


def _kubeconfig(cluster: Cluster, token: str) -> dict[str, Any]:
    """The administrator's, but for who we are."""
    view = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": view["clusters"],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": view["clusters"][0]["name"], "user": "operator"}}],
        "current-context": "operator",
    }
