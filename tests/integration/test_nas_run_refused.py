"""What `nas run` says of what cannot work: what is wrong, where, and that nothing was lost."""

import gzip
import os
import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nas_controller.journal.journal import TrialState

from tests.integration.nas_program import SPACE, Workplace, wait_until


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    workplace.write_manifest()
    yield workplace
    workplace.clean_up()


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """The message of a command that was refused."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


# Manifests. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  trainer: {epoch: 1}", ["spec.trainer.epoch", "epochs"]),
        ("  trainer: {epochs: many}", ["spec.trainer.epochs", "many", "integer"]),
        ("  searchSpace: {convNet: {filters: []}}", ["spec.searchSpace.convNet.filters"]),
        ("  budget: {maxTrials: 0}", ["spec.budget.maxTrials", "0", "1"]),
        ("  pools: [{name: gpus}, {name: gpus}]", ["spec.pools", "gpus"]),
    ],
    ids=["unknown field", "wrong type", "empty choice list", "zero budget", "two pools of one name"],
)
def test_a_bad_manifest_is_refused_with_the_line_and_the_field(
    workplace: Workplace, line: str, words: list[str]
) -> None:
    workplace.write_manifest(line)
    if "searchSpace" in line:  # only once
        text = workplace.manifest.read_text().replace(f"  searchSpace: {{convNet: {SPACE}}}", "  seed: 1")
        workplace.manifest.write_text(text)
    message = refusal(workplace.run())
    assert "search.yaml:7:" in message
    for word in words:
        assert word in message
    assert not workplace.state.exists()


# State directories. ---------------------------------------------------------------------------------------------------


def test_two_runs_on_one_state_directory(workplace: Workplace) -> None:
    workplace.write_manifest(trials=100_000)
    first = workplace.start()
    workplace.wait_for_trials(1, first)
    message = refusal(workplace.run())
    assert f"process {first.process.pid}" in message
    assert str(workplace.state) in message
    assert "--state" in message
    assert first.process.poll() is None
    first.interrupt()
    assert first.wait() == 130


def test_the_state_directory_of_another_search_or_of_one_that_was_changed(workplace: Workplace) -> None:
    assert workplace.run().returncode == 0
    before = workplace.finished()
    assert "spec.seed" in refusal(workplace.run("--set", "spec.seed=5"))
    assert "spec.searchSpace.convNet.filters" in refusal(
        workplace.run("--set", "spec.searchSpace.convNet.filters=[8, 16]")
    )
    message = refusal(workplace.run("--set", "metadata.name=other"))
    assert "tiny" in message
    assert "other" in message
    assert workplace.finished() == before
    assert workplace.run("--set", "spec.budget.maxTrials=8").returncode == 0
    workplace.assert_complete(8)


def test_the_journal_of_a_newer_version(workplace: Workplace) -> None:
    assert workplace.run("--set", "spec.budget.maxTrials=2").returncode == 0
    with sqlite3.connect(workplace.state / "journal.sqlite") as journal:
        journal.execute("PRAGMA user_version = 1000")
    journal.close()
    message = refusal(workplace.run())
    assert "newer version of KubeNAS" in message
    assert "1000" in message


def test_a_state_directory_that_is_no_directory(workplace: Workplace) -> None:
    workplace.state.write_text("a file")
    message = refusal(workplace.run())
    assert f"{workplace.state} is a file where the state directory should be" in message
    assert workplace.state.read_text() == "a file"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nobody can write, whatever their permissions."""
    directory = tmp_path / "read-only"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", directory], capture_output=True)
    if mounted.returncode:
        if os.geteuid() == 0:
            pytest.skip("may not mount a read-only file system, and permissions do not hold for root")
        directory.chmod(0o500)
    yield directory
    if mounted.returncode:
        directory.chmod(0o700)
    else:
        subprocess.run(["umount", directory], check=True)


def test_a_state_directory_that_is_read_only(workplace: Workplace, read_only: Path) -> None:
    workplace.state = read_only
    message = refusal(workplace.run())
    assert f"cannot write to the state directory {read_only}" in message
    assert any(words in message for words in ("Read-only file system", "Permission denied"))


# Data. ----------------------------------------------------------------------------------------------------------------


def idx(array_type: int, shape: tuple[int, ...], content: bytes) -> bytes:
    return gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, array_type, len(shape), *shape) + content)


def write_idx(directory: Path, labels: bytes, *, images: int | None = None) -> None:
    """A data set in the format of MNIST, of blank 8x8 images."""
    directory.mkdir()
    count = len(labels) if images is None else images
    for part in ("train", "t10k"):
        (directory / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(8, (count, 8, 8), bytes(count * 64)))
        (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(8, (len(labels),), labels))


def run_on(workplace: Workplace, data: Path) -> str:
    workplace.write_manifest(f"  trainer: {{epochs: 1, dataset: {{path: '{data}'}}}}")
    done = workplace.run()
    assert "is started again" not in done.stdout
    message = refusal(done)
    assert workplace.finished() == []
    return message


def test_data_that_are_missing(workplace: Workplace, tmp_path: Path) -> None:
    message = run_on(workplace, tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in message
    assert "worker default-0" in message


def test_data_that_are_corrupt(workplace: Workplace, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_idx(data, bytes([0, 1]) * 50)
    (data / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    assert "train-images-idx3-ubyte.gz" in run_on(workplace, data)


def test_data_whose_labels_are_out_of_range(workplace: Workplace, tmp_path: Path) -> None:
    import numpy as np

    data = tmp_path / "data.npz"
    images, labels = np.zeros((100, 8, 8), np.uint8), np.arange(100) % 2
    labels[7] = -3
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = run_on(workplace, data)
    assert "-3" in message
    assert str(data) in message


def test_mended_data_are_used_by_the_next_run(workplace: Workplace, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_on(workplace, data)
    write_idx(data, bytes([0, 1]) * 50)
    done = workplace.run()
    assert done.returncode == 0, done.stdout + done.stderr
    workplace.assert_complete(6)


def test_a_task_that_cannot_be_imported(workplace: Workplace) -> None:
    workplace.write_manifest("  trainer: {task: 'nowhere:train'}", "  reward: {metric: accuracy}")
    assert "no module 'nowhere'" in refusal(workplace.run())


# Trials that fail. ----------------------------------------------------------------------------------------------------


def test_when_all_trials_fail_the_search_fails_with_their_reason_and_goes_on_once_it_is_mended(
    workplace: Workplace,
) -> None:
    workplace.write_task(trials=12, failures=4, broken="the training set has gone")
    failed = workplace.run()
    assert failed.returncode == 1
    assert "tiny has failed: 4 trials failed in a row" in failed.stdout
    assert "TaskRaised: RuntimeError: the training set has gone" in failed.stdout
    assert "then run it again" in failed.stdout
    assert len(workplace.finished()) == 4

    workplace.write_task(trials=12, failures=4)
    mended = workplace.run()
    assert mended.returncode == 0, mended.stdout + mended.stderr
    records = workplace.finished()
    assert [record.state for record in records] == [TrialState.FAILED] * 4 + [TrialState.SUCCEEDED] * 8
    assert len({record.sampled.trial for record in records}) == 12


def test_a_search_that_fails_again_says_so_again(workplace: Workplace) -> None:
    workplace.write_task(trials=12, failures=2, broken="no luck")
    assert workplace.run().returncode == 1
    assert workplace.run().returncode == 1
    assert len(workplace.finished()) == 4


def test_a_worker_that_cannot_start_does_not_start_for_ever(workplace: Workplace) -> None:
    """The user's module ends the process that imports it."""
    workplace.write_task()
    (workplace.directory / "own_task.py").write_text("import os\nos._exit(3)\n")
    program = workplace.start()
    wait_until(lambda: program.process.poll() is not None, "the end of the run")
    assert program.wait() == 2
    assert "worker default-0" in program.output
    assert workplace.finished() == []
