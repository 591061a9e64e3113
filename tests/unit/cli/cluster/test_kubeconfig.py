"""Where the cluster is: what the command line and the kubeconfig say, and what is wrong with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nas_cli.cluster.kubeconfig import ClusterOptions, load_access
from nas_cli.failure import BadInput
from typer.testing import Result

Nas = Callable[..., Result]


def write_kubeconfig(path: Path, server: str = "http://127.0.0.1:1") -> Path:
    """A kubeconfig with the contexts `one` (the current one, namespace team) and `two`."""
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "two", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_kubeconfig(tmp_path / "config")
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_the_current_context_and_its_namespace_are_the_default(kubeconfig: Path) -> None:
    access = load_access(ClusterOptions())
    assert (access.context, access.namespace, access.configuration.host) == ("one", "team", "http://127.0.0.1:1")


def test_the_command_line_comes_first(kubeconfig: Path, tmp_path: Path) -> None:
    assert load_access(ClusterOptions(context="two")).namespace == "default"
    assert load_access(ClusterOptions(namespace="mine")).namespace == "mine"
    other = write_kubeconfig(tmp_path / "other", "http://127.0.0.2:2")
    assert load_access(ClusterOptions(kubeconfig=other)).configuration.host == "http://127.0.0.2:2"


def test_a_missing_or_useless_kubeconfig_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(BadInput, match="there is no kubeconfig to say where the cluster is"):
        load_access(ClusterOptions())
    with pytest.raises(BadInput, match=r"--kubeconfig .*absent: there is no such file"):
        load_access(ClusterOptions(kubeconfig=tmp_path / "absent"))
    (tmp_path / "none").write_text("a: [")
    with pytest.raises(BadInput, match="none cannot be used"):
        load_access(ClusterOptions())
    (tmp_path / "none").write_text("")
    with pytest.raises(BadInput, match="none cannot be used"):
        load_access(ClusterOptions())


def test_an_unknown_context_is_told_with_those_that_there_are(kubeconfig: Path) -> None:
    with pytest.raises(BadInput, match="has no context three; it has one, two"):
        load_access(ClusterOptions(context="three"))


@pytest.mark.parametrize(
    "arguments", [["get"], ["trials", "digits"], ["best", "-n", "team"], ["compare", "a", "b", "--context", "one"]]
)
def test_a_cluster_that_cannot_be_reached_is_told_in_a_line(nas: Nas, kubeconfig: Path, arguments: list[str]) -> None:
    failed = nas(*arguments)
    assert failed.exit_code == 1
    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    assert "cannot reach the cluster at http://127.0.0.1:1 (context one): Connection refused" in line


def test_a_search_is_in_one_place(nas: Nas, state: Path, kubeconfig: Path) -> None:
    failed = nas("best", "digits", "--state", state)
    assert failed.exit_code == 2
    assert "give one or the other" in failed.stderr
