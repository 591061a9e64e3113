"""Training: of image classifiers (`train`) and of language models (`train_language_model`)."""

from nas_child.training.language_model import LanguageModelEpoch, train_language_model
from nas_child.training.loop import EpochResult, Training, train

__all__ = ["EpochResult", "LanguageModelEpoch", "Training", "train", "train_language_model"]
