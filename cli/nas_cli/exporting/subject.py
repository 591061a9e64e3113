"""`Subject`: what is exported, an architecture with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import ConvNet, ImageShape
from nas_api.architectures.pytorch_source import Standardization
from nas_child.network import ConvolutionalNetwork
from nas_child.trained import WEIGHTS, load_metrics
from nas_controller.data_shape import DataShape
from safetensors.torch import load_file
from torch import Tensor


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
    epsilon: float = 1e-5
    """What batch normalisation adds to the variance."""


def subject_of(architecture: ConvNet, shape: DataShape, title: str, trained: Path, epsilon: float = 1e-5) -> Subject:
    """An architecture, with the weights in `trained` if it has been trained, else with random ones.

    `epsilon`: of batch normalisation, with random weights.
    """
    metrics = load_metrics(trained)
    if metrics is not None:
        weights = load_file(trained / WEIGHTS)
        epsilon = metrics.get("batch_norm_epsilon", epsilon)
        standardization = Standardization(tuple(metrics["mean"]), tuple(metrics["deviation"]))
    else:
        torch.manual_seed(0)
        weights = ConvolutionalNetwork(architecture, shape.image, shape.classes).state_dict()
        standardization = None
    return Subject(architecture, shape.image, shape.classes, title, weights, standardization, metrics, epsilon)
