"""The learning rate over the epochs."""

import math

from nas_api.spec.trainer import Optimizer


def learning_rate_factor(optimizer: Optimizer, epoch: float, epochs: int) -> float:
    """The part of the highest learning rate, 0 to 1, after `epoch` of `epochs` epochs.

    It rises linearly in the warm-up, whatever the schedule; the schedule then runs over the epochs that remain.
    """
    warmup = min(optimizer.warmup_epochs, epochs)
    if epoch < warmup:
        return epoch / warmup
    progress = (epoch - warmup) / (epochs - warmup) if epochs > warmup else 0.0
    match optimizer.schedule:
        case "Cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "Step" if optimizer.decay_epoch is not None:
            return 1.0 if epoch < optimizer.decay_epoch else 0.1
        case "Step":
            return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01
        case "Constant":
            return 1.0
