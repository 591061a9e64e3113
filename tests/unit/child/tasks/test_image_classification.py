"""Image classification: what a trial learns, reports and how it fails."""

import multiprocessing
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nas_api.architectures import ConvNet, Convolution, Layer
from nas_api.spec.trainer import Dataset, Optimizer, Trainer
from nas_child.data.division import load_final_data
from nas_child.network import ConvolutionalNetwork
from nas_child.task import FailureReason, StopTrial, Task, TaskError, Trial, TrialFailure
from nas_child.tasks import load_task
from nas_child.training import EpochResult, train

from tests.unit.child.tasks.networks import small_network, trial_of

torch.set_num_threads(1)

Series = list[tuple[int, dict[str, float]]]


def prepared(trainer: Trainer, cache: Path) -> Task:
    task = load_task(trainer)
    task.prepare(trainer, seed=0, cache=cache)
    return task


def run(task: Task, trial: Trial) -> Series:
    series: Series = []
    task.run(trial, lambda step, **metrics: series.append((step, metrics)))
    return series


@pytest.fixture(scope="module")
def digits() -> Trainer:
    return Trainer(epochs=3, batch_size=32)


def test_the_shape_of_the_data_is_known_after_prepare(digits: Trainer, tmp_path: Path) -> None:
    assert load_task(digits).data_shape is None
    assert prepared(digits, tmp_path).data_shape == (1, 8, 8, 10)


def test_digits_are_learnt_and_every_epoch_is_reported(digits: Trainer, tmp_path: Path) -> None:
    series = run(prepared(digits, tmp_path), trial_of(digits, tmp_path))
    assert [step for step, _ in series] == [1, 2, 3]
    assert all(set(metrics) == {"train_loss", "val_loss", "val_accuracy"} for _, metrics in series)
    assert series[-1][1]["val_accuracy"] > 0.9  # chance: 0.1
    assert series[-1][1]["train_loss"] < series[0][1]["train_loss"]


def test_the_same_seed_gives_the_same_metrics_bit_for_bit(digits: Trainer, tmp_path: Path) -> None:
    trainer = digits.model_copy(update={"augmentation": "CropFlip", "epochs": 2})
    task = prepared(trainer, tmp_path)
    first = run(task, trial_of(trainer, tmp_path, seed=5))
    torch.rand(7)  # whatever happened before
    task.warm_up()
    assert run(task, trial_of(trainer, tmp_path, seed=5)) == first
    assert run(prepared(trainer, tmp_path), trial_of(trainer, tmp_path, seed=5)) == first
    assert run(task, trial_of(trainer, tmp_path, seed=6)) != first


@pytest.mark.parametrize("seed", [0, 2**32, 2**64 - 1])
def test_every_seed_of_a_lease_is_one(seed: int, digits: Trainer, tmp_path: Path) -> None:
    trainer = digits.model_copy(update={"epochs": 1})
    assert run(prepared(trainer, tmp_path), trial_of(trainer, tmp_path, seed=seed))


def test_bfloat16_learns_as_well(digits: Trainer, tmp_path: Path) -> None:
    trainer = digits.model_copy(update={"precision": "BFloat16"})
    series = run(prepared(trainer, tmp_path), trial_of(trainer, tmp_path))
    assert series[-1][1]["val_accuracy"] > 0.9


@pytest.mark.parametrize("precision", ["BFloat16", "Float16"])
def test_mixed_precision_is_used_and_near_to_float32(precision: str, digits: Trainer, tmp_path: Path) -> None:
    """One epoch of a tiny network: a CPU is slow at float16."""
    losses = {}
    for kind in ("Float32", precision):
        trainer = digits.model_copy(update={"precision": kind, "epochs": 1})
        trial = trial_of(trainer, tmp_path, architecture=small_network(filters=2, stride=2))
        losses[kind] = run(prepared(trainer, tmp_path), trial)[0][1]["train_loss"]
    assert losses[precision] != losses["Float32"]
    assert losses[precision] == pytest.approx(losses["Float32"], rel=0.05)


def test_a_last_sample_alone_on_one_pixel_can_be_trained(digits: Trainer, tmp_path: Path) -> None:
    """Batch normalisation of one value raises; 1,351 samples in batches of 27 would leave one over."""
    trainer = digits.model_copy(update={"epochs": 1, "batch_size": 27})
    task = prepared(trainer, tmp_path)
    architecture = small_network(stride=3)  # 8x8, 3x3, 1x1
    assert len(run(task, trial_of(trainer, tmp_path, architecture=architecture))) == 1


def test_a_loss_that_is_no_number_ends_the_trial(digits: Trainer, tmp_path: Path) -> None:
    trainer = digits.model_copy(update={"optimizer": Optimizer(learning_rate=100, weight_decay=1, momentum=0.99)})
    trainer = trainer.model_copy(update={"epochs": 50})
    task = prepared(trainer, tmp_path)
    with pytest.raises(TrialFailure, match=r"_loss is (nan|inf) at step") as caught:
        run(task, trial_of(trainer, tmp_path))
    assert caught.value.reason is FailureReason.NON_FINITE_METRIC


def test_a_trial_that_is_asked_to_stop_stops(digits: Trainer, tmp_path: Path) -> None:
    steps = []

    def report(step: int, **metrics: float) -> None:
        steps.append(step)
        raise StopTrial

    with pytest.raises(StopTrial):
        prepared(digits, tmp_path).run(trial_of(digits, tmp_path), report)
    assert steps == [1]


def _run_with_little_memory(trainer: Trainer, directory: Path, results: Any) -> None:
    task = prepared(trainer, directory)
    task.warm_up()
    resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, 2 * 2**30))
    huge = ConvNet(layers=(Layer(operation=Convolution(filter_height=7, filter_width=7, filters=65_536)),) * 2)
    try:
        run(task, trial_of(trainer, directory, architecture=huge))
    except Exception as error:
        results.put(TrialFailure.of(error))
    else:
        results.put("it was trained")


def test_an_architecture_that_needs_too_much_memory_is_out_of_memory(digits: Trainer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_run_with_little_memory, args=(digits, tmp_path, results))
    process.start()
    failure = results.get(timeout=120)
    process.join()
    assert isinstance(failure, TrialFailure)
    assert failure.reason is FailureReason.OUT_OF_MEMORY
    assert "memory" in failure.message


def test_data_that_cannot_be_read_is_said_before_the_first_trial(tmp_path: Path) -> None:
    trainer = Trainer(dataset=Dataset(path=str(tmp_path / "nowhere")))
    with pytest.raises(TaskError, match=r"nowhere: no such file or folder"):
        prepared(trainer, tmp_path)


def test_cifar_sized_colour_images_are_augmented_and_trained(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = generator.integers(0, 60, (120, 32, 32, 3), dtype=np.uint8)
    images[labels == 1, :, :, 0] += 150  # the second class is red
    np.savez(tmp_path / "red.npz", x_train=images, y_train=labels)
    trainer = Trainer(epochs=2, batch_size=16, dataset=Dataset(path=str(tmp_path / "red.npz")))
    task = prepared(trainer, tmp_path)
    task.warm_up()
    series = run(task, trial_of(trainer, tmp_path, architecture=small_network(filters=4)))
    assert series[-1][1]["val_accuracy"] == 1


def test_the_final_training_uses_all_training_images_and_measures_on_the_test_set(tmp_path: Path) -> None:
    """`train` is the loop of the trials, too; here as the final training of a chosen architecture uses it."""
    trainer = Trainer(batch_size=32)
    data = load_final_data(trainer.dataset, tmp_path)
    torch.manual_seed(0)
    network = ConvolutionalNetwork(small_network(filters=16), data.training.shape, data.training.classes)
    epochs: list[EpochResult] = []
    training = train(network, data, trainer, 4, torch.device("cpu"), seed=0, on_epoch=epochs.append)
    assert training.history == epochs
    assert [result.epoch for result in epochs] == [1, 2, 3, 4]

    # Whoever takes the network away gets the accuracy that was reported.
    network.eval()
    standardise = training.standardization.on(torch.device("cpu"))
    with torch.inference_mode():
        told = network(standardise(data.evaluation.images)).argmax(dim=1)
    accuracy = (told == data.evaluation.labels).double().mean().item()
    assert accuracy == pytest.approx(epochs[-1].accuracy, abs=1e-9)
    assert accuracy > 0.95
