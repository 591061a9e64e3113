"""`Learner`: numbers the versions of an algorithm, keeps those that batches still refer to, and makes updates.

This is the only part of a controller that computes with torch. It is owned by one thread; what it returns are values
that its caller records in the journal.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from nas_controller.algorithms.algorithm import Algorithm, Proposal, Rewarded, Statistics


@dataclass(frozen=True, slots=True)
class SampledBatch:
    """Architectures that one controller replica sampled at one version of the policy."""

    batch: int
    version: int
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """One update of the policy: its gradient, from `batch`, was computed at version `version - 1 - lag`."""

    batch: int
    version: int
    lag: int
    statistics: Statistics
    snapshot: bytes
    state: bytes


def derived_seed(*parts: int) -> int:
    """A 63-bit seed that depends on all of `parts`, the same on every machine."""
    digest = hashlib.sha256(b"".join(part.to_bytes(8, "little") for part in parts)).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Learner:
    """An algorithm with numbered versions.

    Version 0 is the algorithm as initialised; each update makes the next. A batch remembers the version that it was
    sampled at, and its gradient is computed there.
    """

    def __init__(self, algorithm: Algorithm, seed: int) -> None:
        self._algorithm = algorithm
        self._seed = seed
        self.version = 0
        self._snapshots: dict[int, Tensor] = {0: algorithm.snapshot()}
        self._references: dict[int, int] = {}

    def sample(self, batch: int, count: int, depth: int) -> SampledBatch:
        """Samples `count` architectures at the newest version. `batch` seeds the sampling, so it must be new."""
        proposals = self._algorithm.propose(count, depth, derived_seed(self._seed, batch))
        self._references[self.version] = self._references.get(self.version, 0) + 1
        return SampledBatch(batch, self.version, tuple(proposals))

    def learn(self, batch: int, version: int, rewarded: Sequence[Rewarded]) -> Update:
        """One update from a finished batch that was sampled at `version`."""
        statistics = self._algorithm.learn(self._snapshots[version], rewarded)
        lag = self.version - version
        self.version += 1
        newest = self._algorithm.snapshot()
        self._snapshots[self.version] = newest
        self._release(version)
        return Update(
            batch=batch,
            version=self.version,
            lag=lag,
            statistics=statistics,
            snapshot=newest.numpy().tobytes(),
            state=save(self._algorithm.state()),
        )

    def versions(self) -> set[int]:
        """The versions that must be kept: the newest, and those that open batches were sampled at."""
        return {self.version, *self._references}

    def restore(self, version: int, state: bytes, snapshots: Mapping[int, bytes], batches: Sequence[int]) -> None:
        """Goes back to `version`.

        Args:
            version: the newest version.
            state: of the update that made it.
            snapshots: of the newest version and of every version in `batches`.
            batches: the version that each open batch was sampled at.

        Raises:
            ValueError: the state is of another algorithm or size.
        """
        restored = {v: torch.from_numpy(np.frombuffer(s, dtype=np.float32).copy()) for v, s in snapshots.items()}
        if version > 0:
            self._algorithm.restore(restored[version], load(state))
        self.version = version
        self._snapshots = {version: self._algorithm.snapshot(), **{v: restored[v] for v in batches if v in restored}}
        self._references = {}
        for sampled_at in batches:
            self._references[sampled_at] = self._references.get(sampled_at, 0) + 1
            if sampled_at not in self._snapshots:
                raise ValueError(
                    f"policy version {sampled_at} is referenced by an open batch but is not in the journal"
                )

    def _release(self, version: int) -> None:
        self._references[version] -= 1
        if self._references[version] == 0:
            del self._references[version]
        for old in self._snapshots.keys() - self.versions():
            del self._snapshots[old]
