"""The optimizer that `spec.trainer.optimizer` describes."""

import torch
from nas_api.spec.trainer import Optimizer
from torch import nn

from nas_child.training.schedule import learning_rate_factor


def build_optimizer(network: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """An optimizer of all weights of `network`, which lie on the device already."""
    match settings.type:
        case "SGD":
            return torch.optim.SGD(
                network.parameters(),
                lr=settings.learning_rate,
                momentum=settings.momentum,
                nesterov=settings.momentum > 0,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        case "AdamW":
            return torch.optim.AdamW(
                network.parameters(),
                lr=settings.learning_rate,
                betas=(settings.momentum, 0.999),
                weight_decay=settings.weight_decay,
                fused=True,
            )


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: Optimizer, epoch: float, epochs: int) -> None:
    """Sets the learning rate of a step, after `epoch` of `epochs` epochs."""
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * learning_rate_factor(settings, epoch, epochs)
