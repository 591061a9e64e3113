"""Language models: the paper's task for recurrent cells (section 4.2)."""

from pathlib import Path

import torch
from nas_api.architectures import CellNode, RecurrentCell
from nas_api.spec.trainer import Trainer

from nas_child.data.text_division import TextDivision, load_search_text, load_test_text
from nas_child.final_training import known_metrics, train_language_model_to_the_end
from nas_child.network import LanguageModelNetwork
from nas_child.task import FailureReason, Report, Task, Trial, TrialFailure, check_finite
from nas_child.training import LanguageModelEpoch, train_language_model
from nas_child.training.language_model import check_length

_SMALL = RecurrentCell(
    nodes=(
        CellNode(combination="add", activation="tanh"),
        CellNode(combination="multiply", activation="sigmoid"),
        CellNode(combination="add", activation="relu"),
    ),
    inject=CellNode(combination="add", activation="identity"),
    inject_index=2,
    memory_index=2,
)


class LanguageModelTask(Task):
    """Trains recurrent networks to tell the next token of a text, and measures them on a validation text.

    Reports `train_loss`, `val_loss` (both in nats a token) and `val_perplexity` after each epoch, and in
    a final training `test_loss` and `test_perplexity` of the best epoch's weights with the last one.
    """

    data: TextDivision
    trainer: Trainer
    cache: Path

    def prepare(self, trainer: Trainer, seed: int, cache: Path) -> None:  # noqa: ARG002 - nothing is chosen at random
        """Loads the training and the validation text, and says which they are."""
        self.trainer, self.cache = trainer, cache
        self.data = load_search_text(trainer.dataset, trainer.language_model, cache)
        check_length("training", self.data.training, trainer)
        check_length("validation", self.data.validation, trainer)
        print(self.data.description, flush=True)

    def warm_up(self) -> None:
        """Trains a small cell for a step, on a few tokens."""
        data = self.data._replace(
            training=self.data.training[: 2 * self.trainer.batch_size],
            validation=self.data.validation[: 2 * self.trainer.batch_size],
        )
        network = LanguageModelNetwork(_SMALL, self.trainer.language_model, len(data.vocabulary))
        train_language_model(network, data, self.trainer, 1, torch.device("cpu"), on_epoch=lambda _: None)

    def run(self, trial: Trial, report: Report) -> None:
        """Trains one cell.

        Raises:
            TrialFailure: a loss or a perplexity is no finite number, or the architecture is no recurrent cell.
        """

        def on_epoch(result: LanguageModelEpoch) -> None:
            metrics = _metrics(result)
            check_finite(result.epoch, metrics)
            results.append(result)
            if not (trial.final and result.epoch == trial.epochs):
                report(result.epoch, **metrics)

        results: list[LanguageModelEpoch] = []

        architecture = trial.architecture
        if not isinstance(architecture, RecurrentCell):
            raise TrialFailure(
                FailureReason.INVALID_ARCHITECTURE,
                f"language-model trains architectures of type RecurrentCell, and this is a {architecture.type}",
            )
        torch.manual_seed(trial.seed)
        trainer = trial.trainer
        if trial.final_directory is not None:
            test = load_test_text(trainer.dataset, trainer.language_model, self.cache, self.data.vocabulary)
            final = train_language_model_to_the_end(
                architecture,
                self.data,
                test,
                trainer,
                trial.device,
                known_metrics(trial),
                trial.final_directory,
                on_epoch,
            )
            tested = {"test_loss": final.test_loss, "test_perplexity": final.test_perplexity}
            report(trial.epochs, **_metrics(results[-1]), **tested)
            return
        network = LanguageModelNetwork(architecture, trial.trainer.language_model, len(self.data.vocabulary))
        train_language_model(network, self.data, trial.trainer, trial.epochs, trial.device, on_epoch)


def _metrics(result: LanguageModelEpoch) -> dict[str, float]:
    return {"train_loss": result.train_loss, "val_loss": result.loss, "val_perplexity": result.perplexity}
