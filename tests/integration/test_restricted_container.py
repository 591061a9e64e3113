"""Controller and worker under the restrictions of a hardened container: no name, no home, almost nothing writable."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from nas_api.certificates import channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.integration.controller_process import ControllerProcess
from tests.integration.read_only import TMP, VOLUME, restricted

SPEC = """\
  searchSpace:
    convNet: {layers: {initial: 2, increment: 0}, filters: [4, 8]}
  trainer: {epochs: 1}
  budget: {maxTrials: 3}
"""
PATIENCE = 240.0


class Container:
    """A module of ours that runs restricted, in a directory with its inputs."""

    def __init__(self, inputs: Path, log: Path, home: dict[str, str], module: str, *arguments: str) -> None:
        self.log = log
        command = restricted([sys.executable, "-m", module, *arguments], inputs, home)
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)

    def wait_for(self, pattern: str) -> str:
        """Waits until its log has the pattern, and returns the group in it."""
        give_up = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, self.log.read_text()
            time.sleep(0.05)
        return found[1]


@pytest.fixture
def containers() -> Iterator[list[Container]]:
    started: list[Container] = []
    yield started
    for container in started:
        container.process.kill()
        container.process.wait()


@pytest.mark.parametrize("home", [{"HOME": "/nonexistent"}, {}], ids=["a home that is not there", "no home"])
def test_a_search_completes_with_a_volume_and_a_temporary_directory_as_all_that_is_writable(
    make_controller: Callable[[Path], ControllerProcess],
    tmp_path: Path,
    home: dict[str, str],
    containers: list[Container],
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    admin = make_controller(inputs)
    admin.write_manifest(SPEC)
    controller = Container(
        *(inputs, tmp_path / "controller.log", home, "nas_controller", "--manifest", "search.yaml"),
        *("--state", f"{VOLUME}/state", "--certificates", "server"),
    )
    containers.append(controller)
    address = controller.wait_for(r"serving default/test on (\S+),")
    worker = Container(
        *(inputs, tmp_path / "worker.log", home, "nas_child", "--manifest", "search.yaml", "--controller", address),
        *("--certificates", "worker", "--pool", "default", "--device", "cpu", "--cache", f"{TMP}/cache"),
    )
    containers.append(worker)

    assert worker.process.wait(PATIENCE) == 0, worker.log.read_text()
    with grpc.secure_channel(address, channel_credentials(inputs / "admin")) as channel:
        summary = rpc.SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=20)
    assert (summary.trials_succeeded, summary.trials_failed) == (3, 0)
    assert "Traceback" not in controller.log.read_text() + worker.log.read_text()
