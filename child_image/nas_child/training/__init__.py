"""Training of image classifiers: batches, the learning rate's schedule, and the loop."""

from nas_child.training.loop import EpochResult, Training, train

__all__ = ["EpochResult", "Training", "train"]
