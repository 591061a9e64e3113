"""The journal of a controller on a volume: one that is full, and one that another controller has still."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.integration.controller_process import ControllerProcess

SPEC = "  searchSpace: {convNet: {layers: {initial: 2, max: 2}}}"
PATIENCE = 180.0


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    directory = tmp_path / "volume"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(directory)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no permission to mount a small file system")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(file: Path) -> None:
    """Writes to a file until there is no room left, not for a byte."""
    with file.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            while True:
                try:
                    stream.write(bytes(size))
                except OSError:
                    break


def summary_of(controller: ControllerProcess) -> pb.Summary:
    with controller.channel("admin") as channel:
        return rpc.SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=20, wait_for_ready=True)


def suspend(controller: ControllerProcess) -> None:
    """Has the controller write something, which it may not be able to."""
    with controller.channel("admin") as channel:
        request = pb.SetStateRequest(state=pb.Summary.SUSPENDED)
        written = rpc.SearchServiceStub(channel).SetState.future(request, timeout=PATIENCE, wait_for_ready=True)
        wait_until(lambda: summary_of(controller).state == pb.Summary.SUSPENDED)
        written.cancel()


def wait_until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture
def on_volume(make_controller: Callable[[Path], ControllerProcess], tmp_path: Path, volume: Path) -> ControllerProcess:
    """A controller that serves, with its journal on a small volume."""
    controller = make_controller(tmp_path)
    controller.state = volume
    controller.write_manifest(SPEC)
    controller.start()
    return controller


def test_a_full_volume_is_told_and_keeps_the_controller_neither_from_ending_nor_from_starting(
    on_volume: ControllerProcess, volume: Path
) -> None:
    fill(volume / "ballast")
    suspend(on_volume)
    wait_until(lambda: "the disk is full" in summary_of(on_volume).journal_problem)
    wait_until(lambda: "WARNING nas_controller.service.coordinator: cannot write to" in on_volume.log.read_text())

    assert on_volume.stop() == 1
    assert re.search("nas_controller: closed before everything was written: .*the disk is full", last_line(on_volume))

    on_volume.start()
    wait_until(lambda: "the disk is full" in summary_of(on_volume).journal_problem)
    (volume / "ballast").unlink()
    wait_until(lambda: summary_of(on_volume).journal_problem == "")
    assert summary_of(on_volume).epoch == 2
    assert on_volume.stop() == 0


def test_a_volume_without_the_room_to_open_the_journal_ends_the_controller_until_there_is_some(
    on_volume: ControllerProcess, volume: Path
) -> None:
    assert on_volume.stop() == 0
    fill(volume / "ballast")
    on_volume.start_without_waiting()
    assert on_volume.process is not None
    on_volume.process.join(PATIENCE)

    assert on_volume.process.exitcode == 1  # not 78: to try again may help
    assert re.search("nas_controller: cannot open the journal .* the disk has room", last_line(on_volume))
    (volume / "ballast").unlink()
    on_volume.start()
    assert summary_of(on_volume).epoch == 2


def last_line(controller: ControllerProcess) -> str:
    return controller.log.read_text().splitlines()[-1]


@pytest.fixture
def successor(
    make_controller: Callable[[Path], ControllerProcess], tmp_path: Path, controller: ControllerProcess
) -> ControllerProcess:
    """A controller that was started while another has the journal still."""
    controller.write_manifest(SPEC)
    controller.start()
    (tmp_path / "successor").mkdir()
    successor = make_controller(tmp_path / "successor")
    successor.state = controller.directory
    successor.write_manifest(SPEC)
    successor.start_without_waiting()
    wait_until(lambda: successor.log.exists() and "in use by another process" in successor.log.read_text())
    return successor


@pytest.mark.parametrize("end", [ControllerProcess.stop, ControllerProcess.kill])
def test_a_second_controller_waits_until_the_first_is_gone_and_says_so_once(
    controller: ControllerProcess, successor: ControllerProcess, end: Callable[[ControllerProcess], object]
) -> None:
    assert summary_of(controller).epoch == 1
    assert not (successor.directory / "address").exists()

    end(controller)

    successor.wait_until_it_serves()
    assert summary_of(successor).epoch == 2
    assert successor.log.read_text().count("waiting for its end") == 1


def test_a_controller_that_waits_for_another_ends_when_it_is_asked_to(successor: ControllerProcess) -> None:
    assert successor.stop() == 0
