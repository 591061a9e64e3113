"""`RewardModel`: an ensemble of Gaussian processes over architectures (Rasmussen & Williams 2006)."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_controller.proposal import Proposal
from nas_controller.reward_model.features import Features, squared_distances
from nas_controller.spaces import Space

# Length scales and noise where a fit starts, in units of the standard deviation of the scores.
_SLOPES = (0.6, 2.0, 6.0)
_NOISES = (1e-3, 1e-2, 1e-1)
_NOISE_BOUNDS = (1e-4, 0.5)
_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One Gaussian process: its kernel is exp(-sum of slopes[group] * distance in the group)."""

    ordinal: bool
    slopes: Mapping[Hashable, float]
    noise: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a member of the ensemble expects of some candidates, in scores."""

    weight: float  # of the member: all weights together are 1
    mean: Tensor  # [candidates]
    covariance: Tensor  # [candidates, candidates]
    noise: float  # variance of a measurement


class RewardModel:
    """Predicts the scores of architectures from those of finished trials.

    A score is the normal quantile of a reward's rank, so that only the order of rewards counts: neither their unit nor
    an exponent nor a tail of networks that learn nothing matters.

    The members are Gaussian processes. For one, choices are names (the Hamming distance). Where there are choices on a
    scale there is another, for which these are points on it, and the marginal likelihood says how far each is believed.
    Each group of slots has a length scale of its own (automatic relevance determination).
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.members: list[Member] = []
        self._single: bool | None = None

    def fit(self, finished: Sequence[Proposal], scores: Tensor) -> None:
        """Finds length scales and noise by ascent of the marginal likelihood, coordinate by coordinate.

        Args:
            finished: at least one architecture. The time grows with the cube of their number.
            scores: theirs, shape [finished], float64.
        """
        features = Features(self._space, finished)
        self._single = features.single
        fitted = []
        for ordinal in (False, True) if features.ordered else (False,):
            distances = torch.stack([squared_distances(each) for each in features.vectors(ordinal=ordinal)])
            likelihood, slopes, noise = _ascend(distances, scores, features.slots)
            member = Member(ordinal, dict(zip(features.groups, slopes.tolist(), strict=True)), noise)
            fitted.append((likelihood, member))
        best = max(likelihood for likelihood, _ in fitted)
        shares = [math.exp(likelihood - best) for likelihood, _ in fitted]
        self.members = [
            replace(member, weight=share / sum(shares))
            for (_, member), share in zip(fitted, shares, strict=True)
            if share / sum(shares) > 0.01
        ]

    def predict(
        self, finished: Sequence[Proposal], scores: Tensor, pending: Sequence[Proposal], candidates: Sequence[Proposal]
    ) -> list[Prediction]:
        """What each member expects of `candidates`.

        Args:
            finished: architectures with a reward, at least one.
            scores: theirs, shape [finished], float64.
            pending: architectures in training. They are taken to turn out as expected, which leaves less to learn near
                them ("kriging believer", Ginsbourger et al. 2010).
            candidates: at least one architecture.
        """
        features = Features(self._space, [*finished, *pending, *candidates], single=self._single)
        known, open_ = len(finished), len(finished) + len(pending)
        mean = scores.mean()
        predictions = []
        for member in self.members:
            vectors = features.vectors(ordinal=member.ordinal)
            # A group that no architecture had when the model was fitted is like the others.
            usual = sum(member.slopes.values()) / len(member.slopes)
            scaled = [
                each * member.slopes.get(group, usual) ** 0.5
                for group, each in zip(features.groups, vectors, strict=True)
            ]
            kernel = torch.exp(-squared_distances(torch.cat(scaled, 1)))
            conditions = kernel[:open_, :open_].clone()
            conditions.diagonal().add_(member.noise)
            factor = torch.linalg.cholesky(conditions)
            # The first rows of the factor are the factor of the finished ones alone: the pending add no surprise.
            residuals = torch.linalg.solve_triangular(factor[:known, :known], (scores - mean).unsqueeze(1), upper=False)
            reach = torch.linalg.solve_triangular(factor, kernel[:open_, open_:], upper=False)
            variance = max(float(residuals.square().mean()), 1e-12)
            predictions.append(
                Prediction(
                    member.weight,
                    mean + (reach[:known].T @ residuals).squeeze(1),
                    (kernel[open_:, open_:] - reach.T @ reach) * variance,
                    member.noise * variance,
                )
            )
        return predictions


def normal_scores(rewards: NDArray[np.float64]) -> Tensor:
    """The normal quantile of each reward's rank, shape [rewards], float64. Equal rewards have equal scores."""
    values, inverse, counts = torch.unique(torch.from_numpy(rewards), return_inverse=True, return_counts=True)
    middle = (counts.cumsum(0) - counts / 2) / len(rewards)
    quantile = NormalDist().inv_cdf
    scores = torch.tensor([quantile(rank) for rank in middle.tolist()], dtype=torch.float64)
    return scores[inverse] if len(values) > 1 else torch.zeros(len(rewards), dtype=torch.float64)


def _ascend(distances: Tensor, scores: Tensor, slots: int) -> tuple[float, Tensor, float]:
    groups = len(distances)

    def likelihood(slopes: Tensor, noise: float) -> float:
        return _log_marginal_likelihood(distances, slopes, noise, scores)

    value, slopes, noise = max(
        (
            (likelihood(slopes, noise), slopes, noise)
            for slope in _SLOPES
            for slopes in [torch.full((groups,), slope / max(slots, 1), dtype=torch.float64)]
            for noise in _NOISES
        ),
        key=lambda start: start[0],
    )
    for _ in range(_SWEEPS):
        for group in range(groups):
            for factor in (0.4, 2.5):
                changed = slopes.clone()
                changed[group] *= factor
                if (reached := likelihood(changed, noise)) > value:
                    value, slopes = reached, changed
        for factor in (0.3, 3.0):
            tried = min(max(noise * factor, _NOISE_BOUNDS[0]), _NOISE_BOUNDS[1])
            if (reached := likelihood(slopes, tried)) > value:
                value, noise = reached, tried
    return value, slopes, noise


def _log_marginal_likelihood(distances: Tensor, slopes: Tensor, noise: float, scores: Tensor) -> float:
    """Up to a constant, with the variance of the process at its most likely value (R&W 2006, eq. 5.8)."""
    kernel = torch.exp(-torch.tensordot(slopes, distances, 1))
    kernel.diagonal().add_(noise)
    factor, failed = torch.linalg.cholesky_ex(kernel)
    if failed:
        return -math.inf
    residuals = torch.linalg.solve_triangular(factor, (scores - scores.mean()).unsqueeze(1), upper=False)
    variance = max(float(residuals.square().mean()), 1e-12)
    return -0.5 * len(scores) * math.log(variance) - float(factor.diagonal().log().sum())
