"""`train`: the one training loop, for the trials of a search and for the final training of an architecture."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from nas_api.spec.trainer import Trainer
from torch import Tensor, nn
from torch.nn import functional

from nas_child.data.division import Division
from nas_child.data.reading import LabelledImages
from nas_child.data.standardization import Standardization
from nas_child.training.batches import Augmentation, Batches, augment
from nas_child.training.optimizer import build_optimizer, set_learning_rate
from nas_child.training.precision import autocast, half_precision


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What was measured in an epoch.

    Attributes:
        epoch: from 1.
        train_loss: mean cross-entropy over the training samples, while the weights changed.
        loss: mean cross-entropy over the evaluation samples, after the epoch.
        accuracy: part of the evaluation samples told right, 0 to 1, after the epoch.
    """

    epoch: int
    train_loss: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Training:
    """A finished training.

    Attributes:
        history: of every epoch.
        standardization: what the network expects to have been done to its images.
    """

    history: list[EpochResult]
    standardization: Standardization


def train(
    network: nn.Module,
    data: Division,
    trainer: Trainer,
    epochs: int,
    device: torch.device,
    seed: int,
    on_epoch: Callable[[EpochResult], None],
) -> Training:
    """Trains `network` in place (paper, section 4.1): Nesterov momentum, weight decay, cross-entropy.

    The weight decay is the paper's: on all parameters, those of batch normalisation included. With the same arguments,
    the same initial weights and one thread the result on a CPU is the same, bit for bit.

    Args:
        network: from standardised images to scores of the classes. It is moved to `device`.
        data: what to learn from, and what to measure on after each epoch.
        trainer: batch size, optimizer, augmentation and precision. Its `epochs` are not looked at.
        epochs: how often every training sample is seen.
        device: where to train.
        seed: of the order of the samples and of the augmentation, 0 to 2^64 - 1.
        on_epoch: called after each epoch. What it raises ends the training.

    Raises:
        torch.OutOfMemoryError: of the device.
        RuntimeError: of the host's memory, among others.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # batches have two sizes at most, so trying pays
    standardize = data.standardization.on(device)
    training = Batches(data.training, trainer.batch_size, device)
    evaluation = Batches(data.evaluation, trainer.batch_size, device)
    augmentation = _augmentation(trainer, data)
    half = half_precision(trainer, device)
    # Channels innermost: tensor cores want it, and on a CPU it saves up to a fifth of the time.
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    optimizer = build_optimizer(network, trainer.optimizer)
    # Gradients of float16 underflow unless the loss is scaled up.
    scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
    generator = torch.Generator().manual_seed(seed)

    history = []
    for epoch in range(epochs):
        network.train()
        total = torch.zeros((), device=device)  # stays there until the end of the epoch, so that nothing waits for it
        for step, (images, labels) in enumerate(training.shuffled(generator)):
            progress = epoch + (step + 0.5) / training.count
            set_learning_rate(optimizer, trainer.optimizer, progress, epochs)
            inputs = augment(standardize(images), augmentation, generator)
            optimizer.zero_grad()
            with autocast(device, half):
                loss = functional.cross_entropy(network(_channels_last(inputs)), labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            total += loss.detach() * len(labels)
        evaluation_loss, accuracy = _evaluate(network, evaluation, standardize, half)
        result = EpochResult(epoch + 1, total.item() / len(data.training), evaluation_loss, accuracy)
        history.append(result)
        on_epoch(result)
    return Training(history, data.standardization)


def evaluate(
    network: nn.Module, samples: LabelledImages, data: Division, trainer: Trainer, device: torch.device
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over other samples than those of `data`, measured as `train` does.

    Args:
        network: that was trained with `data`, on `device`.
        samples: what to measure on.
        data: whose standardisation the network expects.
        trainer: batch size and precision.
        device: where to work.
    """
    batches = Batches(samples, trainer.batch_size, device)
    return _evaluate(network, batches, data.standardization.on(device), half_precision(trainer, device))


def _evaluate(
    network: nn.Module, batches: Batches, standardize: Callable[[Tensor], Tensor], half: torch.dtype | None
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over all samples."""
    network.eval()
    total = torch.zeros((), device=batches.device)
    correct = torch.zeros((), dtype=torch.int64, device=batches.device)
    with torch.inference_mode(), autocast(batches.device, half):
        for images, labels in batches.in_order():
            scores = network(_channels_last(standardize(images))).float()
            total += functional.cross_entropy(scores, labels, reduction="sum")
            correct += (scores.argmax(dim=1) == labels).sum()
    return total.item() / batches.samples, correct.item() / batches.samples


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _augmentation(trainer: Trainer, data: Division) -> Augmentation:
    if trainer.augmentation != "Auto":
        return trainer.augmentation
    shape = data.training.shape
    return "CropFlip" if min(shape.height, shape.width) >= 24 else "None"
