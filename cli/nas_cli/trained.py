"""`Trained`: an architecture that `nas train` has trained to the end, as it lies in the state directory."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
METRICS = "metrics.json"


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is known of a final training."""

    search: str
    trial: int
    digest: str
    epochs: int
    test_accuracy: float
    test_loss: float
    seconds: float
    device: str
    mean: tuple[float, ...]
    """Of each channel over the training set, of pixels from 0 to 1."""
    deviation: tuple[float, ...]
    """Standard deviation, likewise."""
    history: list[dict[str, float]]


def save(directory: Path, metrics: Metrics, weights: "Mapping[str, Tensor]") -> None:
    """Writes weights and metrics. The metrics come last: where they are, all is there."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    (directory / METRICS).unlink(missing_ok=True)
    save_file(dict(weights), directory / WEIGHTS)
    new = directory / f"{METRICS}.new"
    new.write_text(json.dumps(asdict(metrics), indent=2) + "\n")
    new.replace(directory / METRICS)


def load_metrics(directory: Path) -> dict[str, Any] | None:
    """The metrics of a trained architecture; None: it has not been trained."""
    try:
        metrics: dict[str, Any] = json.loads((directory / METRICS).read_text())
    except FileNotFoundError:
        return None
    return metrics
