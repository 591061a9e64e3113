"""The kernel's out-of-memory killer at work, in a control group of the test's own (as root, with cgroup v1 or v2)."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_api.rpc import trials_pb2 as pb

from .conftest import ScriptedController, eventually, start_worker, write_manifest

LIMIT = 1_000_000_000
TASK = """
import torch

def task(trial, report):
    kept = [torch.ones(25_000_000) for _ in range(trial.seed)]  # 100 MB each
    report(0, score=1)
"""


def limited_group() -> Path | None:
    """A new control group whose processes may use `LIMIT` bytes. None: it cannot be made here."""
    candidates = [
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ]
    for parent, limit in candidates:
        group = parent / f"nas-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                (group / limit).write_text(str(LIMIT))
                return group
            group.rmdir()
    return None


@pytest.fixture
def group() -> Iterator[Path]:
    group = limited_group()
    if group is None:
        pytest.skip("control groups of the memory controller cannot be made here")
    yield group
    eventually(lambda: not (group / "cgroup.procs").read_text(), "its processes have ended")
    group.rmdir()


def test_a_trial_that_the_kernel_kills_for_its_memory_has_run_out_of_memory_and_the_worker_goes_on(
    tmp_path: Path, certificates: Path, fresh_controller: ScriptedController, group: Path
) -> None:
    (tmp_path / "the_task.py").write_text(TASK)
    write_manifest(tmp_path / "search.yaml", {"task": "the_task:task"})
    worker = start_worker(tmp_path, fresh_controller.address, certificates=certificates / "worker", group=group)
    try:
        result = fresh_controller.result_of(fresh_controller.assign(seed=100))
        assert (result.outcome, result.reason) == (pb.FAILED, "OutOfMemory")
        assert "kernel" in result.message
        assert fresh_controller.result_of(fresh_controller.assign(seed=1)).outcome == pb.SUCCEEDED
    finally:
        worker.kill()
        worker.wait()
