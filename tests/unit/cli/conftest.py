"""A small search whose results are known, in a real state directory with a real journal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from nas_api.architectures import ConvNet, Convolution, ImageShape, Layer, MaxPooling
from nas_cli.main import app
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    FactLearned,
    LeaseGranted,
    Measurement,
    PolicyUpdated,
    Record,
    SampledTrial,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.proposal import Proposal
from typer.testing import CliRunner, Result

MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata:
  name: digits
spec:
  trainer:
    epochs: 2
  budget:
    maxTrials: 12
"""
IMAGE = ImageShape(1, 8, 8)
BEST = 3
FAILED = 4
LEASED = 9
# Accuracy in the last epoch, by trial; trial 4 fails, trial 9 is in training, the others up to 16 wait.
ACCURACIES = {1: 0.5, 2: 0.7, 3: 0.9, 5: 0.6, 6: 0.4, 7: 0.8, 8: 0.85}


def architecture(trial: int) -> ConvNet:
    """Three layers, no two trials alike: the second pools, the last has a skip connection."""
    return ConvNet(
        layers=(
            Layer(operation=Convolution(filter_height=3, filter_width=1, filters=8 + trial)),
            Layer(operation=MaxPooling(size=2, stride=2), inputs=(0,)),
            Layer(operation=Convolution(filter_height=3, filter_width=3, filters=16), inputs=(0, 1)),
        )
    )


def sampled(trial: int, batch: int) -> SampledTrial:
    network = architecture(trial)
    return SampledTrial(
        trial, batch, Proposal((trial,), 3), network.canonical().to_json(), network.digest,
        network.count_parameters(IMAGE, 10), network.count_flops(IMAGE, 10),
    )  # fmt: skip


def history() -> list[tuple[Record, ...]]:
    """The transactions of the search's life."""
    transactions: list[tuple[Record, ...]] = [
        (ControllerStarted(1, 1_700_000_000.0), FactLearned("data_shape", "1,8,8,10")),
        (BatchSampled(1, 0, tuple(sampled(trial, 1) for trial in range(1, 9)), 1_700_000_001.0),),
    ]
    for sequence, trial in enumerate(range(1, 9), 1):
        lease = LeaseGranted(f"1.{trial}", trial, f"default-{trial % 2}", f"request-{trial}", 1, 1_700_000_002.0)
        failed = trial == FAILED
        accuracy = 0.0 if failed else ACCURACIES[trial]
        series = tuple(
            Measurement(epoch, {"train_loss": 2.0 / epoch, "val_accuracy": accuracy * epoch / 2}, 1.5 * epoch)
            for epoch in (1, 2)
        )
        result = TrialFinished(
            trial, sequence, lease.lease, lease.worker, TrialState.FAILED if failed else TrialState.SUCCEEDED,
            0.0 if failed else accuracy**3, "OutOfMemory" if failed else "", "the GPU has 8 GiB" if failed else "",
            () if failed else series, 3.0, 3.0, 1_700_000_010.0 + sequence,
        )  # fmt: skip
        transactions += [(lease,), (result,)]
    transactions += [
        (PolicyUpdated(1, 1, 0, 0.25, 1.2, 0.5, 0.3, b"1234", b"state", frozenset({1}), 1_700_000_030.0),),
        (BatchSampled(2, 1, tuple(sampled(trial, 2) for trial in range(9, 17)), 1_700_000_031.0),),
        (LeaseGranted("1.9", LEASED, "default-0", "request-9", 1, 1_700_000_032.0),),
    ]
    return transactions


def write_state(directory: Path, transactions: Sequence[tuple[Record, ...]]) -> Path:
    """A state directory of a search with such a life."""
    (directory / "logs" / "trials").mkdir(parents=True)
    (directory / "search.yaml").write_text(MANIFEST)
    with SqliteJournal(directory / "journal.sqlite", "default/digits") as journal:
        for records in transactions:
            journal.write(*records).result()
    return directory


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory."""
    directory = write_state(tmp_path / "state", history())
    (directory / "logs" / "trials" / f"{FAILED:06d}.log").write_text("out of memory\n")
    return directory


@pytest.fixture
def replayed(state: Path) -> Path:
    """The state directory, trial 9 having been stopped early, and replayed as trials 17 and 18."""
    twins = tuple(replace(sampled(LEASED, 3), trial=trial) for trial in (17, 18))
    with SqliteJournal(state / "journal.sqlite", "default/digits") as journal:
        journal.write(
            BatchSampled(3, 1, twins, 1_700_000_033.0),
            TrialFinished(
                LEASED, 9, "1.9", "default-0", TrialState.STOPPED_EARLY, 0.1, "", "", (), 2.0, 2.0, 1_700_000_040.0
            ),
            *(
                TrialFinished(
                    twin.trial, sequence, None, "", TrialState.STOPPED_EARLY, 0.1, "", "", (), 0.0, 0.0,
                    1_700_000_040.0, replay_of=LEASED,
                )
                for sequence, twin in enumerate(twins, 10)
            ),
        ).result()  # fmt: skip
    return state


@dataclass(frozen=True, slots=True)
class Nas:
    """Runs commands in this process."""

    runner: CliRunner

    def __call__(self, *arguments: object) -> Result:
        """What `nas ARGUMENTS` does."""
        return self.runner.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "150"})


@pytest.fixture
def nas() -> Callable[..., Result]:
    """The command line."""
    return Nas(CliRunner())
