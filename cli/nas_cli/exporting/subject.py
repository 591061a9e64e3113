"""`Subject`: what is exported, an architecture with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import ConvNet, ImageShape
from nas_api.architectures.pytorch_source import Standardization
from nas_child.network import ConvolutionalNetwork
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import TrialRecord
from safetensors.torch import load_file
from torch import Tensor

from nas_cli.results import architecture_of
from nas_cli.trained import WEIGHTS, load_metrics


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported."""

    architecture: ConvNet
    image: ImageShape
    classes: int
    title: str
    weights: Mapping[str, Tensor]
    """State of its `ConvolutionalNetwork`."""
    standardization: Standardization | None
    metrics: Mapping[str, Any] | None
    """Of the final training; None: the weights are random."""


def subject_of(record: TrialRecord, shape: DataShape, title: str, trained: Path) -> Subject:
    """The architecture of a trial, with the weights in `trained` if it has been trained, else with random ones."""
    architecture = architecture_of(record)
    metrics = load_metrics(trained)
    if metrics is not None:
        weights = load_file(trained / WEIGHTS)
        standardization = Standardization(tuple(metrics["mean"]), tuple(metrics["deviation"]))
    else:
        torch.manual_seed(0)
        weights = ConvolutionalNetwork(architecture, shape.image, shape.classes).state_dict()
        standardization = None
    return Subject(architecture, shape.image, shape.classes, title, weights, standardization, metrics)
