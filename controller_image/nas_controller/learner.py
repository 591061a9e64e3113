"""`Learner`: numbers the versions of an algorithm, keeps those that batches still refer to, and makes updates.

This is the only part of a controller that computes with torch. It is owned by one thread; what it returns are values
that its caller records in the journal.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nas_controller.algorithms.algorithm import Algorithm
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.history import History
from nas_controller.jobs import SampledBatch, Update
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.seeding import derived_seed

CANDIDATES = 1000
"""Architectures drawn in a row without one accepted before sampling gives up."""

_ATTEMPTS_WITHOUT_REPEATS = 10


class Learner:
    """An algorithm with numbered versions.

    Version 0 is the algorithm as initialised; each update makes the next. A batch remembers the version that it was
    sampled at, and its gradient is computed there.
    """

    def __init__(self, algorithm: Algorithm, seed: int) -> None:
        """Takes an algorithm that has not learnt anything yet."""
        self._algorithm = algorithm
        self._seed = seed
        self.version = 0
        # Version 0 is made of the seed and so never recorded: it is kept for `restore`.
        self._initial = (algorithm.snapshot(), algorithm.state())
        self._snapshots: dict[int, Tensor] = {0: self._initial[0]}
        self._references: Counter[int] = Counter()

    def sample(
        self, batch: int, count: int, depth: int, accept: Callable[[Proposal], bool] | None = None
    ) -> SampledBatch:
        """Samples one batch of `count` architectures: see `sample_batches`."""
        return self.sample_batches(batch, [count], depth, accept)[0]

    def sample_batches(
        self,
        first_batch: int,
        sizes: Sequence[int],
        depth: int,
        accept: Callable[[Proposal], bool] | None = None,
        first: Sequence[Proposal] = (),
    ) -> list[SampledBatch]:
        """Samples consecutive batches at the newest version, in one go: many take hardly longer than one.

        Args:
            first_batch: number of the first one. It seeds the sampling, so it must be new.
            sizes: how many architectures each batch has.
            depth: their depth.
            accept: which proposals will do; the others are drawn again. The gradient stays that of the policy as it is,
                without the constant by which rejection scales its probabilities.
            first: what the first ones are, in the place of samples. No more than there are in all.

        Raises:
            NoAcceptableArchitectureError: of 1,000 candidates in a row none was accepted.
        """
        count = sum(sizes)
        accepted = list(first)
        rejected = 0
        attempt = 0
        while len(accepted) < count:
            # What is drawn does not depend on how many are still wanted. More with every attempt: an algorithm that
            # tries its best candidates first gets past them when none of them keeps the constraints. It does not know
            # what earlier attempts gave, and must not propose it once more; unless there is hardly anything else.
            given = set(accepted) if self._algorithm.uses_history and attempt < _ATTEMPTS_WITHOUT_REPEATS else set()
            candidates = min(count << attempt, max(count, CANDIDATES))
            seed = derived_seed(self._seed, first_batch, attempt)
            for proposal in self._algorithm.propose(candidates, depth, seed):
                if len(accepted) == count:
                    break
                if proposal in given:
                    continue
                if accept is None or accept(proposal):
                    accepted.append(proposal)
                    rejected = 0
                    continue
                rejected += 1
                if rejected == CANDIDATES:
                    raise NoAcceptableArchitectureError(
                        f"of {CANDIDATES:,} architectures of depth {depth} that the policy proposed in a row none "
                        "keeps the constraints: relax searchSpace.convNet.constraints, or offer smaller choices"
                    )
            attempt += 1
        self._algorithm.recorded(accepted)
        self._references[self.version] += len(sizes)
        drawn = iter(accepted)
        return [SampledBatch(first_batch + i, self.version, tuple(islice(drawn, size))) for i, size in enumerate(sizes)]

    def learn(self, batch: int, version: int, rewarded: Sequence[Rewarded]) -> Update:
        """One update from a finished batch that was sampled at `version`."""
        statistics = self._algorithm.learn(self._snapshots[version], rewarded)
        lag = self.version - version
        newest = self._algorithm.snapshot()
        replaced = self.version
        self.version += 1
        self._snapshots[self.version] = newest
        self._references[version] -= 1
        for old in {version, replaced}:
            if not self._references[old]:
                del self._references[old], self._snapshots[old]
        return Update(
            batch=batch,
            version=self.version,
            lag=lag,
            statistics=statistics,
            snapshot=newest.numpy().tobytes(),
            state=save(self._algorithm.state()),
            kept_versions=frozenset(self.versions()),
        )

    @property
    def uses_history(self) -> bool:
        """Whether `restore` needs the history."""
        return self._algorithm.uses_history

    def versions(self) -> set[int]:
        """The versions that must be kept: the newest, and those that open batches were sampled at."""
        return {self.version, *self._references}

    def restore(
        self,
        version: int,
        state: bytes,
        snapshots: Mapping[int, bytes],
        batches: Sequence[int],
        history: History,
    ) -> None:
        """Goes to `version`, whatever the algorithm has learnt in between.

        Args:
            version: the newest version.
            state: of the update that made it. Not read for version 0.
            snapshots: of the newest version and of every version in `batches`. Version 0 may be left out.
            batches: the version that each open batch was sampled at.
            history: what was learnt and what is open. Not read unless `uses_history`.

        Raises:
            ValueError: a snapshot is missing, or something is of another algorithm, space or size.
        """
        initial, initial_state = self._initial
        needed = {}
        for number in {version, *batches}:
            if number == 0:
                needed[number] = initial
                continue
            if number not in snapshots:
                raise ValueError(
                    f"version {number} of the policy is needed by an open batch, but is not in the journal"
                )
            if len(snapshots[number]) != initial.nbytes:
                raise ValueError(
                    f"version {number} of the policy has {len(snapshots[number])} bytes where the manifest's policy "
                    f"has {initial.nbytes}: it is of another policy or search space"
                )
            # In torch's own aligned memory: results of its kernels may depend on the alignment in the last bit.
            needed[number] = torch.from_numpy(np.frombuffer(snapshots[number], dtype=np.float32).copy()).clone()
        try:
            self._algorithm.restore(needed[version], load(state) if version else initial_state, history)
        except SafetensorError as error:
            raise ValueError(f"the state of version {version} of the policy cannot be read: {error}") from error
        self.version = version
        self._snapshots = needed
        self._references = Counter(batches)
