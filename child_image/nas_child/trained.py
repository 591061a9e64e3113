"""An architecture that was trained to the end, by a second stage or by `nas train`, as it lies in a directory."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
VOCABULARY = "vocabulary.json"
"""Of a language model: a list of its tokens, token i with number i."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(ABC):
    """What is known of a final training."""

    search: str
    trial: int
    digest: str
    epochs: int
    test_loss: float
    seconds: float
    device: str
    history: list[dict[str, float]]

    @property
    @abstractmethod
    def result(self) -> str:
        """What was reached on the test set, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierMetrics(Metrics):
    """Of an image classifier."""

    test_accuracy: float
    mean: tuple[float, ...]
    """Of each channel over the training set, of pixels from 0 to 1."""
    deviation: tuple[float, ...]
    """Standard deviation, likewise."""
    batch_norm_epsilon: float = 1e-5
    """What batch normalisation adds to the variance."""
    val_accuracy: float | None = None
    """After the last epoch. None: the validation samples were trained on, too."""

    @property
    def result(self) -> str:
        """Its accuracy."""
        return f"test accuracy {self.test_accuracy:.4f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelMetrics(Metrics):
    """Of a language model."""

    test_perplexity: float
    val_perplexity: float
    """Lowest of all epochs."""
    best_epoch: int
    """The epoch that it was reached in: the weights are those after it."""
    text: str
    """Which texts, in words."""
    language_model: dict[str, Any]
    """`spec.trainer.languageModel` as it was."""

    @property
    def result(self) -> str:
        """Its perplexity."""
        return f"test perplexity {self.test_perplexity:.2f}"


def save(
    directory: Path, metrics: Metrics, weights: "Mapping[str, Tensor]", vocabulary: Sequence[str] | None = None
) -> None:
    """Writes weights, metrics and, of a language model, its vocabulary.

    The metrics come last: where they are, all is there.
    """
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    (directory / METRICS).unlink(missing_ok=True)
    # Tensors that share their memory, such as shared embeddings, are written one by one.
    save_file({name: value.cpu().clone().contiguous() for name, value in weights.items()}, directory / WEIGHTS)
    if vocabulary is not None:
        write_vocabulary(directory, vocabulary)
    new = directory / f"{METRICS}.new"
    new.write_text(json.dumps(asdict(metrics), indent=2) + "\n")
    new.replace(directory / METRICS)


def write_vocabulary(directory: Path, tokens: Sequence[str]) -> None:
    """Writes the tokens of a language model, one a line."""
    text = json.dumps(tokens, indent=0, ensure_ascii=False)
    (directory / VOCABULARY).write_text(f"{text}\n", encoding="utf-8")


def load_metrics(directory: Path) -> dict[str, Any] | None:
    """The metrics of a trained architecture; None: it has not been trained."""
    try:
        metrics: dict[str, Any] = json.loads((directory / METRICS).read_text())
    except FileNotFoundError:
        return None
    return metrics
