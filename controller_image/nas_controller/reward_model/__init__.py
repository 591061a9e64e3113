"""The reward model: predicts, from the finished trials, what others are worth, and how surely."""

from nas_controller.reward_model.features import Features
from nas_controller.reward_model.gaussian_process import RewardModel, normal_scores
from nas_controller.reward_model.improvement import by_expected_improvement

__all__ = ["Features", "RewardModel", "by_expected_improvement", "normal_scores"]
