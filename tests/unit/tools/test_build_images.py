"""tools/build-images as users run it, and what it tells the engine that builds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.images.command import ROOT, TARGETS, revision, version

PROGRAM = ROOT / "tools/build-images"

# Answers as podman does, and notes how it was called.
_PODMAN = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$1 $2" in
'image inspect') [ "$3" = --format ] && echo sha256:1 5000000;;
build*) [ -z "$BROKEN" ] || { echo "no such host"; exit 125; };;
esac
"""


@pytest.fixture
def engine(tmp_path: Path) -> dict[str, str]:
    """An environment with a podman of ours, and no docker."""
    for name, text in {"podman": _PODMAN, "runc": "#!/bin/sh\n", "docker": "#!/bin/sh\nexit 1\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "calls").touch()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_", "SSL_"))}
    return {**kept, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "BROKEN": ""}


def build(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def builds(environment: dict[str, str]) -> list[str]:
    return [call for call in Path(environment["CALLS"]).read_text().splitlines() if call.startswith("build")]


def test_every_image_is_built_under_its_name(engine: dict[str, str]) -> None:
    done = build(engine, "--tag", "1.2")
    assert done.returncode == 0, done.stderr
    for call, target in zip(builds(engine), TARGETS, strict=True):
        assert f"--tag localhost/kubenas/{target}:1.2" in call
        assert f"--target {target}" in call
        assert f"--build-arg=VERSION={version()}" in call
    assert "(3 of 3)" in done.stdout


def test_only_the_images_asked_for_are_built(engine: dict[str, str]) -> None:
    assert build(engine, "child", "--repository", "example/nas").returncode == 0
    (call,) = builds(engine)
    assert "--tag example/nas/child:dev" in call


def test_the_base_image_is_that_of_the_dockerfile_unless_told(engine: dict[str, str]) -> None:
    build(engine, "child")
    build(engine, "child", "--base", "example/python:3.11")
    default, told = builds(engine)
    assert "PYTHON_IMAGE" not in default
    assert "--build-arg=PYTHON_IMAGE=example/python:3.11" in told


def test_indexes_and_certificates_come_from_options_and_environment(engine: dict[str, str]) -> None:
    build(engine, "child")
    build(engine, "child", "--pytorch-index", "https://torch.example", "--ca-bundle", "/ca.pem")
    build({**engine, "UV_DEFAULT_INDEX": "https://packages.example", "SSL_CERT_FILE": "/own.pem"}, "child")
    nothing, options, environment = builds(engine)
    assert "INDEX" not in nothing
    assert "--secret" not in nothing
    assert "--build-arg=PYTORCH_INDEX=https://torch.example" in options
    assert "--secret=id=ca-bundle,src=/ca.pem" in options
    assert "--build-arg=PACKAGE_INDEX=https://packages.example" in environment
    assert "--secret=id=ca-bundle,src=/own.pem" in environment


def test_a_failed_build_shows_what_the_engine_said_and_the_way_without_a_registry(engine: dict[str, str]) -> None:
    done = build({**engine, "BROKEN": "yes"})
    assert done.returncode == 1
    assert "no such host" in done.stderr
    assert "--base local" in done.stderr
    assert "Traceback" not in done.stderr


def test_docker_that_does_not_answer_is_not_replaced_when_asked_for(engine: dict[str, str]) -> None:
    done = build(engine, "--engine", "docker")
    assert done.returncode == 1
    assert "daemon does not answer" in done.stderr


def test_an_unknown_image_is_refused(engine: dict[str, str]) -> None:
    done = build(engine, "chld")
    assert done.returncode == 2
    assert "there is no image 'chld', only operator, controller, child" in done.stderr


def test_the_revision_is_a_commit_where_there_is_history() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision())


def test_every_pinned_package_of_an_image_is_one_that_was_tested() -> None:
    tested = set((ROOT / "requirements/dev.txt").read_text().splitlines())
    for target in TARGETS:
        assert set((ROOT / f"requirements/{target}.txt").read_text().splitlines()) <= tested


def test_the_operator_needs_no_torch() -> None:
    assert "torch" not in (ROOT / "requirements/operator.txt").read_text()
