"""Image classification: the paper's task (section 4.1)."""

from collections.abc import Callable
from pathlib import Path

import torch
from nas_api.architectures import AveragePooling, BatchNormalization, ConvNet, Convolution, Layer, MaxPooling
from nas_api.spec.trainer import Trainer

from nas_child.data.division import Division, load_search_data, load_test_data
from nas_child.final_training import known_metrics, train_classifier_to_the_end
from nas_child.network import ConvolutionalNetwork
from nas_child.task import DataShape, FailureReason, Report, Task, Trial, TrialFailure, check_finite
from nas_child.training import EpochResult, train

_ONE_OF_EACH = ConvNet(
    layers=(
        Layer(operation=Convolution(filter_height=3, filter_width=3, filters=4)),
        Layer(operation=MaxPooling(size=2, stride=2), inputs=(0,)),
        Layer(operation=AveragePooling(size=3, stride=1), inputs=(1,)),
        Layer(operation=BatchNormalization(), inputs=(0, 2)),
    )
)


class ImageClassification(Task):
    """Trains networks to tell classes of images apart, and measures them on a validation set.

    Reports `train_loss`, `val_loss` and `val_accuracy` after each epoch, and in a final training `test_loss` and
    `test_accuracy` with the last one.
    """

    data: Division
    trainer: Trainer
    cache: Path

    def prepare(self, trainer: Trainer, seed: int, cache: Path) -> None:
        """Loads the training set and holds a part of it out for validation."""
        self.trainer, self.cache = trainer, cache
        self.data = load_search_data(trainer.dataset, seed, cache)
        samples = self.data.training
        self.data_shape = DataShape(*samples.shape, classes=samples.classes)

    def warm_up(self) -> None:
        """Trains every kind of layer for a step, on a few images."""
        few = torch.arange(min(8, len(self.data.training), len(self.data.evaluation)))
        data = Division.of(self.data.training.select(few), self.data.evaluation.select(few))
        network = ConvolutionalNetwork(_ONE_OF_EACH, data.training.shape, data.training.classes)
        train(network, data, self.trainer, 1, torch.device("cpu"), seed=0, on_epoch=lambda _: None)

    def run(self, trial: Trial, report: Report) -> None:
        """Trains one architecture.

        Raises:
            TrialFailure: a loss is no finite number, or the architecture is no ConvNet.
        """
        architecture = trial.architecture
        if not isinstance(architecture, ConvNet):
            raise TrialFailure(
                FailureReason.INVALID_ARCHITECTURE,
                f"image-classification trains architectures of type ConvNet, and this is a {architecture.type}",
            )

        def on_epoch(result: EpochResult) -> None:
            metrics = _metrics(result)
            check_finite(result.epoch, metrics)
            if not (trial.final and result.epoch == trial.epochs):
                report(result.epoch, **metrics)

        torch.manual_seed(trial.seed)
        if trial.final_directory is not None:
            self._train_to_the_end(trial, trial.final_directory, architecture, on_epoch, report)
            return
        data = self.data.reduced(trial.data_fraction)
        samples = data.training
        network = ConvolutionalNetwork(architecture, samples.shape, samples.classes, trial.trainer.batch_norm_epsilon)
        train(network, data, trial.trainer, trial.epochs, trial.device, trial.seed, on_epoch)

    def _train_to_the_end(
        self,
        trial: Trial,
        directory: Path,
        architecture: ConvNet,
        on_epoch: Callable[[EpochResult], None],
        report: Report,
    ) -> None:
        """Trains on the training samples alone, so that the validation samples can tell which settings are best."""
        test = load_test_data(trial.trainer.dataset, self.data.training, self.cache)
        known = known_metrics(trial)
        results: list[EpochResult] = []

        def remember(result: EpochResult) -> None:
            results.append(result)
            on_epoch(result)

        metrics = train_classifier_to_the_end(
            architecture, self.data, test, trial.trainer, trial.device, trial.seed, known, directory, remember
        )
        tested = {"test_loss": metrics.test_loss, "test_accuracy": metrics.test_accuracy}
        check_finite(trial.epochs, tested)
        report(trial.epochs, **_metrics(results[-1]), **tested)


def _metrics(result: EpochResult) -> dict[str, float]:
    return {"train_loss": result.train_loss, "val_loss": result.loss, "val_accuracy": result.accuracy}
