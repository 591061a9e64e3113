"""`kubectl nas` as a user runs it, by the rights that a role gives."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.cluster.cluster import Cluster

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def kubectl_nas(cluster: Cluster, namespace: str) -> Run:
    """Runs the plugin, found by kubectl on the PATH, in a namespace."""

    def run(*arguments: str, kubeconfig: Path | None = None) -> "subprocess.CompletedProcess[str]":
        environment = environment_of(cluster)
        if kubeconfig is not None:
            environment["KUBECONFIG"] = str(kubeconfig)
        command = [str(cluster.programs.path("kubectl")), "nas", *arguments, "--namespace", namespace]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)

    return run


def environment_of(cluster: Cluster) -> dict[str, str]:
    """That of the cluster's kubectl, with the plugin of this checkout on the PATH."""
    environment = dict(cluster.environment)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment


def succeeded(ran: "subprocess.CompletedProcess[str]") -> str:
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def failed(ran: "subprocess.CompletedProcess[str]", exit_status: int) -> str:
    """The one line of its error."""
    assert ran.returncode == exit_status, ran
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def user_kubeconfig(cluster: Cluster, namespace: str, role: str, path: Path) -> Path:
    """A kubeconfig of a service account that has a ClusterRole in the namespace, or (empty) none."""
    name = f"user-{role or 'nobody'}"
    account = f"--serviceaccount={namespace}:{name}"
    cluster.kubectl("--namespace", namespace, "create", "serviceaccount", name)
    if role:
        cluster.kubectl("--namespace", namespace, "create", "rolebinding", name, f"--clusterrole={role}", account)
    token = cluster.kubectl("--namespace", namespace, "create", "token", name).strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path.write_text(yaml.safe_dump(config))
    return path
