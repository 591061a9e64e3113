"""`train_language_model`: the training loop of language models, in the trials of a search and in the final training."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from nas_api.spec.trainer import Trainer
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from nas_child.data.text_division import TextDivision
from nas_child.network import LanguageModelNetwork
from nas_child.task import TaskError
from nas_child.training.optimizer import build_optimizer, set_learning_rate
from nas_child.training.precision import autocast, half_precision

# Steps between two looks at the loss: a training that has diverged need not go on to the end of its epoch.
_CHECK_EVERY = 50
# Features of a step from which PyTorch divides element-wise operations among threads. With fewer, threads would mostly
# wait for each other: where other programs keep the cores busy, many times as long as one thread takes for it all.
_WORTH_THREADS = 32_768


@dataclass(frozen=True, slots=True)
class LanguageModelEpoch:
    """What was measured in an epoch.

    Attributes:
        epoch: from 1.
        train_loss: mean cross-entropy of a token of the training text, in nats, while the weights changed.
        loss: mean cross-entropy of a token of the validation text, after the epoch.
    """

    epoch: int
    train_loss: float
    loss: float

    @property
    def perplexity(self) -> float:
        """Of the validation text."""
        return perplexity(self.loss)


def perplexity(loss: float) -> float:
    """Euler's number to the power of a mean cross-entropy in nats. Infinite where no float is as large."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


class Streams:
    """A text cut into equal pieces that are read side by side, some steps at a time."""

    def __init__(self, tokens: Tensor, count: int, steps: int, device: torch.device) -> None:
        """Cuts the text. Less than `count` tokens at its end are left out.

        Args:
            tokens: int64, (tokens,).
            count: number of pieces.
            steps: most steps at a time.
            device: where the pieces shall lie.
        """
        length = len(tokens) // count
        self.tokens = tokens[: length * count].view(count, length).t().contiguous().to(device)
        self.steps = steps
        self.predicted = (length - 1) * count  # tokens: all but the first of each piece
        self.chunks = -(-(length - 1) // steps)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Consecutive chunks of all pieces, each with the tokens that follow: both (steps, pieces)."""
        for start in range(0, len(self.tokens) - 1, self.steps):
            end = min(start + self.steps, len(self.tokens) - 1)
            yield self.tokens[start:end], self.tokens[start + 1 : end + 1]


def check_length(role: str, tokens: Tensor, trainer: Trainer) -> None:
    """Raises `TaskError` if a text is too short to be cut into `trainer.batch_size` pieces."""
    if len(tokens) < 2 * trainer.batch_size:
        raise TaskError(
            f"{trainer.dataset.path}: the {role} text has {len(tokens)} tokens, too few for {trainer.batch_size} "
            "pieces side by side (trainer.batchSize)"
        )


def train_language_model(
    network: LanguageModelNetwork,
    data: TextDivision,
    trainer: Trainer,
    epochs: int,
    device: torch.device,
    on_epoch: Callable[[LanguageModelEpoch], None],
) -> list[LanguageModelEpoch]:
    """Trains `network` in place by truncated back-propagation through time, with cross-entropy.

    The state is carried on from chunk to chunk, and gradients are not. With the same arguments, the same initial
    weights, the same state of PyTorch's generator and one thread the result on a CPU is the same, bit for bit. A small
    network is trained in one thread, whatever number PyTorch was set to.

    Args:
        network: it is moved to `device`.
        data: what to learn from, and what to measure on after each epoch; see `check_length`.
        trainer: batch size, optimizer, precision and `language_model`. Its `epochs` are not looked at.
        epochs: how often the training text is read.
        device: where to train.
        on_epoch: called after each epoch. What it raises ends the training.

    Raises:
        torch.OutOfMemoryError: of the device.
        RuntimeError: of the host's memory, among others.
    """
    settings = trainer.language_model
    if trainer.batch_size * settings.hidden_size < _WORTH_THREADS:
        torch.set_num_threads(1)
    training = Streams(data.training, trainer.batch_size, settings.bptt, device)
    validation = Streams(data.validation, trainer.batch_size, settings.bptt, device)
    half = half_precision(trainer, device)
    network.to(device)
    optimizer = build_optimizer(network, trainer.optimizer)
    # Gradients of float16 underflow unless the loss is scaled up.
    scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
    history = []
    for epoch in range(epochs):
        network.train()
        state = network.initial_state(trainer.batch_size)
        total = torch.zeros((), device=device)  # stays there, so that nothing waits for it
        diverged = False
        for step, (tokens, following) in enumerate(training):
            set_learning_rate(optimizer, trainer.optimizer, epoch + (step + 0.5) / training.chunks, epochs)
            optimizer.zero_grad()
            with autocast(device, half):
                scores, state = network(tokens, state)
                cross_entropy = functional.cross_entropy(scores.flatten(0, 1).float(), following.flatten())
            scaler.scale(cross_entropy).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(network.parameters(), settings.gradient_clipping)
            scaler.step(optimizer)
            scaler.update()
            state = [(hidden.detach(), memory.detach()) for hidden, memory in state]
            total += cross_entropy.detach() * following.numel()
            if step % _CHECK_EVERY == 0 and not total.isfinite():
                diverged = True
                break
        loss = math.nan if diverged else _evaluate(network, validation, half)
        result = LanguageModelEpoch(epoch + 1, total.item() / training.predicted, loss)
        history.append(result)
        on_epoch(result)
    return history


def evaluate_language_model(
    network: LanguageModelNetwork, tokens: Tensor, trainer: Trainer, device: torch.device
) -> float:
    """Mean cross-entropy of a token of a text, in nats, as `train_language_model` measures it.

    Args:
        network: on `device`.
        tokens: int64, (tokens,), at least twice `trainer.batch_size`.
        trainer: batch size, precision and `language_model`.
        device: where to work.
    """
    streams = Streams(tokens, trainer.batch_size, trainer.language_model.bptt, device)
    return _evaluate(network, streams, half_precision(trainer, device))


def _evaluate(network: LanguageModelNetwork, streams: Streams, half: torch.dtype | None) -> float:
    network.eval()
    device = streams.tokens.device
    total = torch.zeros((), dtype=torch.float64, device=device)
    state = network.initial_state(streams.tokens.shape[1])
    with torch.inference_mode(), autocast(device, half):
        for tokens, following in streams:
            scores, state = network(tokens, state)
            total += functional.cross_entropy(scores.flatten(0, 1).float(), following.flatten(), reduction="sum")
    return total.item() / streams.predicted
