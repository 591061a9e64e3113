"""`Agenda`: what the learner of a search should do next, sample or learn, and what has come of it."""

import math
import time
from concurrent.futures import Future
from itertools import accumulate

from nas_api.spec import NASSearchSpec

from nas_controller.data_shape import DataShape
from nas_controller.jobs import FinishedBatch, Learned, LearnJob, Sampled, SampleJob, Update
from nas_controller.journal.journal import BatchSampled, FactLearned, Journal, PolicyUpdated, Recovered
from nas_controller.ledger import Batch, OpenTrial
from nas_controller.spaces import build_space
from nas_controller.trials import Trials

# Complete batches that may wait for their updates before sampling for workers that wait has its turn.
_BACKLOG = 4
# Most batches that are sampled in one go. Many take little longer than one, which counts when hundreds of workers wait.
_BATCHES_AT_ONCE = 64
# Most updates that are made in one go, when they cannot keep up with the results.
_UPDATES_AT_ONCE = 4


class Agenda:
    """The learner's jobs, one at a time."""

    def __init__(self, spec: NASSearchSpec, journal: Journal, trials: Trials, recovered: Recovered) -> None:
        """Begins where the journal says that the learner stopped.

        Args:
            spec: of the search.
            journal: its durable memory.
            trials: of the search, which its batches are made of.
            recovered: what the journal says.
        """
        self._spec = spec
        self._journal = journal
        self._trials = trials
        self._ledger = trials.ledger
        self._space = build_space(spec.search_space)
        self._job: SampleJob | LearnJob | None = None
        self._sampled_last = False
        self._last_batch = recovered.last_batch
        self._last_trial = recovered.last_trial
        self.version = recovered.version
        """Of the policy: how many updates have been made."""
        self.last_update: Update | None = None
        """The last one since the start."""
        fact = recovered.facts.get("data_shape")
        self.data_shape = None if fact is None else DataShape.from_fact(fact)

    def next_job(self, wanted: int) -> SampleJob | LearnJob | None:
        """What the learner should do next. Its result goes to `absorb`, before the next job.

        Args:
            wanted: how many trials should be pending.
        """
        if self._job is not None:
            return None
        complete = self._ledger.next_complete(self.version, _UPDATES_AT_ONCE)
        sizes = self._next_sizes(wanted - self._ledger.pending)
        # Learning comes first. When it cannot keep up with workers that wait, the two take turns.
        if complete and (not sizes or self._ledger.complete <= _BACKLOG or self._sampled_last):
            self._job = LearnJob(
                tuple(FinishedBatch(batch.number, batch.version, tuple(batch.rewarded())) for batch in complete)
            )
        elif sizes:
            depth = self._space.depth(self._last_trial)
            # Batches that the schedule wants deeper are another job.
            starts = accumulate(sizes, initial=self._last_trial)
            sizes = tuple(size for size, start in zip(sizes, starts, strict=False) if self._space.depth(start) == depth)
            self._job = SampleJob(self._last_batch + 1, self._last_trial + 1, sizes, depth, self.data_shape)
        if self._job is not None:
            self._sampled_last = isinstance(self._job, SampleJob)
        return self._job

    def _next_sizes(self, wanted: int) -> tuple[int, ...]:
        """Sizes of the batches to sample next for `wanted` more trials; empty when none may be sampled now."""
        if wanted <= 0 or (self.needs_data_shape and self.data_shape is None) or not self._trials.room:
            return ()
        size = self._spec.controller.batch_size
        limit = self._spec.budget.max_trials
        batches = min(-(-wanted // size), _BATCHES_AT_ONCE)
        room = self._ledger.room()
        batches = batches if room is None else min(batches, room)
        trials = batches * size if limit is None else min(batches * size, max(0, limit - self._last_trial))
        return tuple(min(size, trials - start) for start in range(0, trials, size))

    def absorb(self, result: Sampled | Learned) -> "Future[None]":
        """Records the result of the job that is under way. The future is done when it is durable."""
        job, self._job = self._job, None
        now = time.time()
        if isinstance(result, Sampled):
            opened = [
                Batch(batch.batch, batch.version, [OpenTrial(trial) for trial in trials])
                for batch, trials in result.batches
            ]
            self._last_batch += len(opened)
            self._last_trial += sum(len(trials) for _, trials in result.batches)
            replayed = self._trials.open(opened)
            sampled = (BatchSampled(batch.batch, batch.version, trials, now) for batch, trials in result.batches)
            return self._journal.write(*sampled, *replayed)
        assert isinstance(job, LearnJob)
        for update in result.updates:
            self._ledger.remove(update.batch)
            self.version = update.version
            self.last_update = update
        return self._journal.write(
            *(_policy_updated(update, done, now) for update, done in zip(result.updates, job.batches, strict=True))
        )

    def forget_job(self) -> None:
        """The job that is under way came to nothing."""
        self._job = None

    @property
    def busy(self) -> bool:
        """Whether a job is under way, or a batch waits for its update and can have it."""
        return self._job is not None or bool(self._ledger.next_complete(self.version))

    @property
    def needs_data_shape(self) -> bool:
        """Whether nothing can be sampled before the shape of the data is known."""
        return self._spec.search_space.constrained

    def set_data_shape(self, shape: DataShape) -> None:
        """Makes the shape of the data known.

        Raises:
            ValueError: the search began with data of another shape.
        """
        if self.data_shape is not None and self.data_shape != shape:
            raise ValueError(f"the search began with {self.data_shape}, and now the data are {shape}")
        if self.data_shape is None:
            self.data_shape = shape
            self._journal.write(FactLearned("data_shape", shape.to_fact()))


def _policy_updated(update: Update, done: FinishedBatch, now: float) -> PolicyUpdated:
    return PolicyUpdated(
        version=update.version,
        batch=update.batch,
        lag=update.lag,
        baseline=update.statistics.baseline,
        entropy=update.statistics.entropy,
        gradient_norm=update.statistics.gradient_norm,
        mean_reward=math.fsum(rewarded.reward for rewarded in done.rewarded) / len(done.rewarded),
        snapshot=update.snapshot,
        state=update.state,
        kept_versions=update.kept_versions,
        at=now,
    )
