"""Which candidates to train next: those from which the greatest improvement is expected (Jones et al. 1998)."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nas_controller.reward_model.gaussian_process import Prediction


def by_expected_improvement(predictions: Sequence[Prediction], best: float) -> Iterator[int]:
    """Indices of all candidates, each the one of most expected improvement when those before are in training.

    Args:
        predictions: of the members of the ensemble, for the same candidates.
        best: the highest score so far.
    """
    covariances = [prediction.covariance.clone() for prediction in predictions]
    chosen = torch.zeros(len(predictions[0].mean), dtype=torch.bool)
    for _ in range(len(chosen)):
        improvement = torch.zeros(len(chosen), dtype=torch.float64)
        for prediction, covariance in zip(predictions, covariances, strict=True):
            deviation = covariance.diagonal().clamp(min=1e-12).sqrt()
            improvement += prediction.weight * _expected_improvement(prediction.mean, deviation, best)
        index = int(improvement.masked_fill(chosen, -math.inf).argmax())
        chosen[index] = True
        yield index
        for prediction, covariance in zip(predictions, covariances, strict=True):
            with_index = covariance[index].clone()
            known = with_index[index].clamp(min=1e-12) + prediction.noise
            covariance -= torch.outer(with_index, with_index) / known


def _expected_improvement(mean: Tensor, deviation: Tensor, best: float) -> Tensor:
    z = (mean - best) / deviation
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    improvement: Tensor = deviation * (z * torch.special.ndtr(z) + density)
    return improvement
