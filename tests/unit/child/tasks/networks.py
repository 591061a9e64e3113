"""Small architectures and trials for the tests of tasks."""

from pathlib import Path

import torch
from nas_api.architectures import Architecture, ConvNet, Convolution, Layer
from nas_api.spec.trainer import Trainer
from nas_child.task import Trial


def small_network(filters: int = 16, stride: int = 1) -> ConvNet:
    def layer(*inputs: int) -> Layer:
        return Layer(
            operation=Convolution(
                filter_height=3, filter_width=3, filters=filters, stride_height=stride, stride_width=stride
            ),
            inputs=inputs,
        )

    return ConvNet(layers=(layer(), layer(0), layer(0, 1)))


def trial_of(trainer: Trainer, directory: Path, seed: int = 0, architecture: Architecture | None = None) -> Trial:
    return Trial(architecture or small_network(), seed, trainer, torch.device("cpu"), directory)
