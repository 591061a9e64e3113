"""The command line, as far as it needs no cluster."""

from pathlib import Path

import pytest

from tests.cluster.__main__ import main
from tests.cluster.fixtures import namespace_name
from tests.cluster.layout import Layout
from tests.cluster.machine import check_networks


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("c")))


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "python -m tests.cluster up" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["status"], ["env"], ["load", "image.tar"], ["add-gpu-nodes", "3"]])
def test_what_needs_a_cluster_says_how_to_start_one(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 1
    assert "the cluster default is not up; start it with: python -m tests.cluster up" in capsys.readouterr().err


def test_ending_a_cluster_that_is_not_there_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--name", "other"]) == 0
    assert "There is no cluster other" in capsys.readouterr().err


def test_a_directory_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Set XDG_CACHE_HOME"):
        Layout(tmp_path / ("x" * 100))


@pytest.mark.parametrize("network", ["10.217.3.0/24", "10.0.0.0/8", "10.218.0.1"])
def test_a_network_that_the_machine_uses_is_refused(network: str) -> None:
    with pytest.raises(RuntimeError, match=f"a route to {network} \\(eth0\\)"):
        check_networks([{"dst": "default", "dev": "eth0"}, {"dst": network, "dev": "eth0"}])


def test_other_networks_are_no_obstacle() -> None:
    check_networks([{"dst": "default", "dev": "eth0"}, {"dst": "172.17.0.0/16", "dev": "docker0"}])


def test_namespaces_are_named_after_the_test() -> None:
    name = namespace_name("test_Something[case-1] that has a name much longer than a namespace can be")
    assert name.startswith("something-case-1-that-has-a-name-")
    assert len(name) < 63
    assert name != namespace_name("test_Something[case-1] that has a name much longer than a namespace can be")
