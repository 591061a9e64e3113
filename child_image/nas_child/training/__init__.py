"""Training: of image classifiers (`train`) and of language models (`train_language_model`)."""

from nas_child.training.language_model import LanguageModelEpoch, evaluate_language_model, train_language_model
from nas_child.training.loop import EpochResult, Training, evaluate, train

__all__ = [
    "EpochResult",
    "LanguageModelEpoch",
    "Training",
    "evaluate",
    "evaluate_language_model",
    "train",
    "train_language_model",
]
