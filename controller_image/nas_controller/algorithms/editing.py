"""`Editing`: a recurrent policy that edits good architectures, and a reward model that chooses among its proposals."""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from nas_api import spec
from torch import Tensor

from nas_controller.algorithms.editor import Editor
from nas_controller.algorithms.policy_based import PolicyBased
from nas_controller.history import History
from nas_controller.jobs import Statistics
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.reward_model import RewardModel, by_expected_improvement, normal_scores
from nas_controller.seeding import derived_seed
from nas_controller.spaces import Space
from nas_controller.spaces.neighbors import random_proposal

# Finished trials that the reward model looks at: half of them the best, half the latest.
_REMEMBERED = 500
# The reward model is fitted anew when there are this many times as many trials as at the last time.
_FIT_GROWTH = 1.1
# Of them, those that length scales are fitted to: that takes time that grows with their cube.
_FITTED = 250
# Candidates for each architecture asked for, when many are asked for at once.
_CANDIDATES_EACH = 8
# Rounds of draws until there are enough new candidates.
_DRAWS = 10
# Architectures in one step of the policy.
_MINIBATCH = 32


class Editing(PolicyBased):
    """Edits the best architectures, as a policy suggests, and trains those that a reward model expects most of.

    One step of the search:

    1. Candidates. Some are drawn from the policy afresh, the others are edits of a good finished architecture: the
       better it ranks the likelier it is taken. Another decision is made at one place of it or a few, where and which
       as likely as the policy finds that decision there, given the decisions before. A part of the edits are uniform,
       whatever the policy has become. What was proposed before is no candidate.
    2. The reward model, an ensemble of Gaussian processes over the finished trials, ranks them by the improvement
       that it expects, architectures in training being taken to turn out as expected.
    3. When a result is in, the policy is fitted to the finished architectures, each weighted by the exponential of its
       advantage: of what was tried, the better is made likelier (advantage-weighted regression, Peng et al. 2019).
       Unlike REINFORCE's, this gradient does not ask that proposals were sampled from the policy as it is, which
       edits, a filter and late results would all violate.

    Advantages and the model's scores are normal quantiles of ranks, so that the unit of rewards does not matter.
    """

    uses_history = True

    def __init__(self, space: Space, controller: spec.Controller, seed: int) -> None:
        self._space = space
        self._settings = controller.algorithm.editing
        self._seed = seed
        policy = LSTMPolicy(space, controller.policy, torch.Generator().manual_seed(seed))
        super().__init__(
            policy,
            policy,
            shards=controller.parallelism.parameter_shards,
            learning_rate=self._settings.learning_rate,
            max_gradient_norm=self._settings.max_gradient_norm,
        )
        self._set_history(History())

    def propose(self, count: int, depth: int, seed: int) -> list[Proposal]:
        """`count` proposals, best first: new ones as long as there are any."""
        generator = np.random.default_rng(seed)
        if len(self._finished) < self._settings.initial_samples:
            found: list[Proposal] = []
            for _ in range(_DRAWS):
                found = self._new([*found, *self._uniform(count - len(found), depth, generator)])
                if len(found) == count:
                    break
        else:
            found = self._candidates(count, depth, generator)
            if found and self._settings.candidates > 1:
                found = list(islice(self._ranked(found), count))
        # When a small space is exhausted, what is left are repetitions.
        return [*found[:count], *self._uniform(count - len(found), depth, generator)]

    def recorded(self, proposals: Sequence[Proposal]) -> None:
        """Takes note that these will be trained: they are not proposed again."""
        self._open.update(proposals)
        self._proposed.update(proposals)

    def learn(self, snapshot: Tensor, batch: Sequence[Rewarded]) -> Statistics:
        """Remembers the rewards of a batch and fits the policy to all that has finished.

        Raises:
            ValueError: the batch is empty or a reward is not finite. Nothing has changed.
        """
        del snapshot  # the gradient is right wherever the proposals came from
        if not batch:
            raise ValueError("a batch without rewards teaches nothing")
        if not all(math.isfinite(rewarded.reward) for rewarded in batch):
            raise ValueError(f"rewards must be finite: {[rewarded.reward for rewarded in batch]}")
        self._finished += batch
        self._open -= Counter(rewarded.proposal for rewarded in batch)
        return self._fit_policy()

    def restore(self, snapshot: Tensor, state: Mapping[str, Tensor], history: History) -> None:
        """Puts back what `snapshot()` and `state()` gave, and the history.

        Raises:
            ValueError: they are of another algorithm, space or size.
        """
        super().restore(snapshot, state, history)
        self._set_history(history)

    def _set_history(self, history: History) -> None:
        self._finished = list(history.finished)
        self._open = Counter(history.open)
        self._proposed = {*history.open, *(rewarded.proposal for rewarded in history.finished)}
        self._model = RewardModel(self._space)
        self._fitted_to = 0

    # Candidates. ----------------------------------------------------------------------------------------------------

    def _candidates(self, count: int, depth: int, generator: np.random.Generator) -> list[Proposal]:
        settings = self._settings
        wanted = count if settings.candidates == 1 else max(settings.candidates, _CANDIDATES_EACH * count)
        self._point_at(self._server.parameters)
        afresh = int(generator.binomial(wanted, settings.fresh))
        torch_generator = torch.Generator().manual_seed(int(generator.integers(2**62)))
        found = self._new(self._policy.sample(afresh, depth, torch_generator).proposals if afresh else [])
        editor = (
            Editor(self._space, self._policy, self._parents(), settings.exploration) if settings.fresh < 1 else None
        )
        for _ in range(_DRAWS):
            if len(found) >= wanted:
                break
            missing = wanted - len(found)
            drawn = editor.draw(missing, depth, generator) if editor else []
            found = self._new([*found, *drawn, *self._uniform(missing // 8 + 1, depth, generator)])
        return found

    def _parents(self) -> list[Proposal]:
        """The best finished architectures, best first."""
        complete = [rewarded for rewarded in self._finished if rewarded.complete] or self._finished
        best = sorted(complete, key=lambda rewarded: -rewarded.reward)
        return list(dict.fromkeys(rewarded.proposal for rewarded in best))[: self._settings.parents]

    def _uniform(self, count: int, depth: int, generator: np.random.Generator) -> list[Proposal]:
        python_generator = random.Random(int(generator.integers(2**62)))  # noqa: S311 - not for security
        return [random_proposal(self._space, depth, python_generator) for _ in range(count)]

    def _new(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Without repetitions and what was proposed before."""
        return [proposal for proposal in dict.fromkeys(proposals) if proposal not in self._proposed]

    # The reward model. ----------------------------------------------------------------------------------------------

    def _ranked(self, candidates: list[Proposal]) -> Iterator[Proposal]:
        if self._fitted_to != (count := _last_fit(len(self._finished))):
            proposals, scores = self._remembered(count, _FITTED)
            self._model.fit(proposals, scores)
            self._fitted_to = count
        proposals, scores = self._remembered(len(self._finished), _REMEMBERED)
        predictions = self._model.predict(proposals, scores, list(self._open)[-_REMEMBERED:], candidates)
        for index in by_expected_improvement(predictions, float(scores.max())):
            yield candidates[index]

    def _remembered(self, count: int, most: int) -> tuple[list[Proposal], Tensor]:
        """Of the first `count` finished trials at most `most`, half the best and half the latest, and their scores."""
        rewards = np.array([rewarded.reward for rewarded in self._finished[:count]])
        best = np.argsort(-rewards, kind="stable")[: most // 2]
        chosen = np.union1d(best, np.arange(max(0, count - (most - len(best))), count))
        return [self._finished[index].proposal for index in chosen], normal_scores(rewards[chosen])

    # The policy. ----------------------------------------------------------------------------------------------------

    def _fit_policy(self) -> Statistics:
        """Makes some steps of advantage-weighted regression, each on a few architectures."""
        settings = self._settings
        proposals, scores = self._remembered(len(self._finished), _REMEMBERED)
        weights = torch.softmax(scores / settings.temperature, 0)
        generator = torch.Generator().manual_seed(derived_seed(self._seed, len(self._finished)))
        entropy, norms = None, [0.0]
        for _ in range(settings.policy_steps):
            drawn = torch.multinomial(weights, _MINIBATCH, replacement=True, generator=generator)
            self._point_at(self._server.parameters)
            evaluation = self._policy.evaluate([proposals[index] for index in drawn.tolist()])
            entropy = evaluation.entropy.mean()
            loss = -evaluation.log_probability.mean() - settings.entropy_weight * entropy
            norms.append(self._push(loss))
        return Statistics(entropy=None if entropy is None else float(entropy.detach()), gradient_norm=norms[-1])


def _last_fit(finished: int) -> int:
    """The last number of finished trials, up to `finished`, at which the reward model is fitted."""
    count = following = 1
    while following <= finished:
        count, following = following, max(following + 1, math.ceil(following * _FIT_GROWTH))
    return count
