"""`LocalJobRunner`: samples architectures and makes updates. The slow part of a search, and the only one with torch."""

import logging
from dataclasses import replace
from itertools import count

from nas_api.architectures import ConvNet
from nas_api.spec import NASSearchSpec

from nas_controller.algorithms import build_algorithm
from nas_controller.bootstrap import bootstrap_proposals
from nas_controller.constraints import ConstraintChecker, NoAcceptableArchitectureError
from nas_controller.data_shape import DataShape
from nas_controller.history import History
from nas_controller.jobs import Learned, LearnJob, Sampled, SampledBatch, SampleJob
from nas_controller.journal.journal import Recovered, SampledTrial
from nas_controller.learner import Learner
from nas_controller.proposal import Proposal
from nas_controller.spaces import build_space

logger = logging.getLogger(__name__)


class LocalJobRunner:
    """A learner and the space that it samples from, in the process at hand."""

    def __init__(self, spec: NASSearchSpec) -> None:
        """Begins at version 0 of the policy."""
        self._spec = spec
        self._space = build_space(spec.search_space)
        self._bootstrap: tuple[Proposal, ...] = ()
        self._algorithm = build_algorithm(spec.controller, self._space, spec.seed)
        self._learner = Learner(self._algorithm, spec.seed)

    def uses_history(self) -> bool:
        """See `JobRunner`."""
        return self._learner.uses_history

    def restore(self, recovered: Recovered, history: History) -> None:
        """See `JobRunner`."""
        versions = [batch.version for batch in recovered.batches]
        self._bootstrap = bootstrap_proposals(self._spec.controller.bootstrap, self._spec.search_space)
        if self._bootstrap and 0 in (recovered.version, *versions):
            # Version 0 is what the policy is before any update, so it is never recorded.
            logger.info("fitting the policy to %d bootstrap architectures", len(self._bootstrap))
            self._algorithm.imitate(self._bootstrap)
            self._learner = Learner(self._algorithm, self._spec.seed)
        self._learner.restore(recovered.version, recovered.state, recovered.snapshots, versions, history)

    def run(self, job: SampleJob | LearnJob) -> Sampled | Learned:
        """See `JobRunner`."""
        if isinstance(job, LearnJob):
            *superseded, last = (self._learner.learn(done.batch, done.version, done.rewarded) for done in job.batches)
            # They are recorded together: what the last one replaces need not be written.
            return Learned((*(replace(update, snapshot=b"", state=b"") for update in superseded), last))
        numbers = count(job.first_trial)
        return Sampled(
            tuple(
                (
                    batch,
                    tuple(self._trial(next(numbers), batch.batch, p, job.data_shape) for p in batch.proposals),
                )
                for batch in self._sample(job)
            )
        )

    def _sample(self, job: SampleJob) -> list[SampledBatch]:
        given = self._bootstrap[job.first_trial - 1 :][: sum(job.sizes)]
        if not self._spec.search_space.constrained:
            return self._learner.sample_batches(job.first_batch, job.sizes, job.depth, first=given)
        shape = job.data_shape
        assert shape is not None, "a constrained space is sampled when the shape of the data is known"
        constraints = ConstraintChecker(self._spec.search_space, shape.image, shape.classes)

        def violation(proposal: Proposal) -> str | None:
            return constraints.violation(self._space.decode(proposal.decisions, proposal.depth))

        for number, proposal in enumerate(given, start=job.first_trial - 1):
            if (broken := violation(proposal)) is not None:
                raise NoAcceptableArchitectureError(f"controller.bootstrap.architectures[{number}] has {broken}")
        return self._learner.sample_batches(
            job.first_batch, job.sizes, job.depth, lambda proposal: violation(proposal) is None, given
        )

    def _trial(self, number: int, batch: int, proposal: Proposal, shape: DataShape | None) -> SampledTrial:
        architecture = self._space.decode(proposal.decisions, proposal.depth)
        counted = architecture if isinstance(architecture, ConvNet) else None
        return SampledTrial(
            trial=number,
            batch=batch,
            proposal=proposal,
            architecture=architecture.canonical().to_json(),
            digest=architecture.digest,
            parameters=counted.count_parameters(shape.image, shape.classes) if counted and shape else 0,
            flops=counted.count_flops(shape.image, shape.classes) if counted and shape else 0,
        )
