"""The program as a whole: quick to answer, helpful, with errors that scripts can tell apart."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nas_cli.main import app
from typer.main import get_command
from typer.testing import Result

from tests.unit.cli.cluster.test_kubeconfig import write_kubeconfig

COMMANDS = [
    "get",
    "run",
    "validate",
    "watch",
    "trials",
    "best",
    "show",
    "plot",
    "preflight",
    "report",
    "compare",
    "bootstrap",
    "train",
    "export",
    "logs",
    "pause",
    "resume",
    "scale",
]


def test_help_imports_nothing_heavy() -> None:
    program = """
import sys
sys.argv = ["nas", "--help"]
from nas_cli.main import app
try:
    app()
except SystemExit as stop:
    assert stop.code == 0
heavy = {"torch", "matplotlib", "numpy", "grpc", "onnx", "onnxruntime", "pydantic", "kubernetes"} & set(sys.modules)
assert not heavy, heavy
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for command in COMMANDS:
        assert command in ran.stdout


def test_listing_results_does_not_import_torch(state: Path) -> None:
    program = f"""
import sys
sys.argv = ["nas", "show", "best", "--state", {str(state)!r}]
from nas_cli.main import app
try:
    app()
except SystemExit as stop:
    assert stop.code == 0
assert "torch" not in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_asking_a_cluster_imports_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    program = """
import sys
sys.argv = ["kubectl-nas", "get"]
from nas_cli.main import kubectl_plugin
try:
    kubectl_plugin()
except SystemExit as stop:
    assert stop.code == 1
import kubernetes
heavy = {"torch", "matplotlib", "numpy", "grpc", "onnx", "kopf", "kubernetes.client.models.v1_pod"} & set(sys.modules)
assert not heavy, heavy
"""
    kubeconfig = write_kubeconfig(tmp_path / "config")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "cannot reach the cluster" in ran.stderr


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run([sys.executable, "-m", "nas_cli", "--version"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith("nas 0.")


def test_all_commands_are_known_here() -> None:
    assert sorted(COMMANDS) == sorted(get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(nas: Callable[..., Result], command: str) -> None:
    shown = nas(command, "--help")
    assert shown.exit_code == 0
    assert "Examples:" in shown.stdout
    assert f"nas {command}" in shown.stdout[shown.stdout.index("Examples:") :]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["fly"], "No such command 'fly'. See `nas --help`"),
        (["--fly"], "No such option: --fly. See `nas --help`"),
        (["run"], "Missing argument 'FILE'. See `nas run --help`"),
        (["run", "a.yaml", "--workers", "0"], "'--workers'"),
        (["show"], "Missing argument 'TRIAL'. See `nas show --help`"),
        (["plot"], "Missing option '--output' / '-o'. See `nas plot --help`"),
        (["trials", "-o", "wide"], "'wide' is not one of 'table', 'json', 'yaml', 'csv'. See `nas trials --help`"),
    ],
)
def test_bad_usage_exits_with_2_and_says_why_in_one_line_on_stderr(
    nas: Callable[..., Result], arguments: list[str], why: str
) -> None:
    failed = nas(*arguments)
    assert failed.exit_code == 2
    assert failed.stdout == ""
    [line] = failed.stderr.splitlines()
    assert line.startswith("error: ")
    assert why in line


def test_without_arguments_there_is_help(nas: Callable[..., Result]) -> None:
    shown = nas()
    assert "Usage: nas" in shown.stdout + shown.stderr
    assert "bootstrap" in shown.stdout + shown.stderr
