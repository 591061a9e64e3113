"""The process of the learner: it does what a runner in this process does, and ends with its owner."""

import multiprocessing
import multiprocessing.connection
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
from nas_api.architectures import ImageShape
from nas_api.spec import NASSearchSpec
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.data_shape import DataShape
from nas_controller.history import History
from nas_controller.job_runner_process import JobRunnerDiedError, JobRunnerProcess
from nas_controller.jobs import FinishedBatch, Learned, LearnJob, Sampled, SampleJob
from nas_controller.journal.journal import Recovered
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.proposal import Rewarded

SPEC = NASSearchSpec.model_validate({"searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}}})
CONSTRAINED = NASSearchSpec.model_validate({"searchSpace": {"convNet": {"constraints": {"maxParameters": 1}}}})
JOB = SampleJob(first_batch=1, first_trial=1, sizes=(4, 4), depth=2, data_shape=None)


@pytest.fixture
def runner() -> Iterator[JobRunnerProcess]:
    with JobRunnerProcess(SPEC) as started:
        yield started


def process_id(runner: JobRunnerProcess) -> int:
    (child,) = [process for process in multiprocessing.active_children() if process.name == "learner"]
    assert child.pid is not None
    return child.pid


def learn_job(sampled: Sampled) -> LearnJob:
    return LearnJob(
        tuple(
            FinishedBatch(batch.batch, batch.version, tuple(Rewarded(p, i / 4) for i, p in enumerate(batch.proposals)))
            for batch, _ in sampled.batches
        )
    )


def _sample_and_learn(connection: Connection) -> None:
    with JobRunnerProcess(SPEC) as runner:
        runner.restore(Recovered(), History())
        sampled = runner.run(JOB)
        assert isinstance(sampled, Sampled)
        connection.send((sampled, runner.run(learn_job(sampled))))


@pytest.fixture(scope="module")
def results() -> tuple[Sampled, Learned]:
    """Of a runner whose owner, like a controller, has not used torch before: PyTorch bars autograd from a fork then."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    owner = context.Process(target=_sample_and_learn, args=(theirs,))
    owner.start()
    theirs.close()
    found: tuple[Sampled, Learned] = ours.recv()
    owner.join()
    return found


def test_it_does_jobs_as_a_runner_in_this_process_does(results: tuple[Sampled, Learned]) -> None:
    local = LocalJobRunner(SPEC)
    local.restore(Recovered(), History())

    sampled, learned = results

    assert sampled == local.run(JOB)
    assert learned == local.run(learn_job(sampled))


def test_of_updates_recorded_together_only_the_last_has_the_parameters(results: tuple[Sampled, Learned]) -> None:
    first, last = results[1].updates

    assert (first.version, first.snapshot, first.state) == (1, b"", b"")
    assert last.version == 2
    assert last.snapshot
    assert last.state
    assert last.kept_versions == {2}


def test_what_the_search_must_know_is_told_and_the_process_goes_on() -> None:
    with JobRunnerProcess(CONSTRAINED) as runner:
        job = replace(JOB, data_shape=DataShape(ImageShape(1, 8, 8), 10))
        for _ in range(2):
            with pytest.raises(NoAcceptableArchitectureError, match="constraints"):
                runner.run(job)


def test_a_journal_of_another_policy_is_told(runner: JobRunnerProcess) -> None:
    with pytest.raises(ValueError, match="version"):
        runner.restore(Recovered(version=3, state=b"", snapshots={3: b"\0" * 8}), History())


def test_when_it_is_killed_its_owner_hears_of_it(runner: JobRunnerProcess) -> None:
    os.kill(process_id(runner), signal.SIGKILL)

    with pytest.raises(JobRunnerDiedError):
        runner.run(JOB)


def _own_a_runner(connection: Connection) -> None:
    with JobRunnerProcess(SPEC) as runner:
        runner.run(JOB)
        connection.send(process_id(runner))
        connection.recv()  # until killed


def test_it_ends_when_its_owner_is_killed() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    owner = context.Process(target=_own_a_runner, args=(theirs,))
    owner.start()
    learner = os.pidfd_open(ours.recv())
    assert owner.pid is not None
    os.kill(owner.pid, signal.SIGKILL)
    owner.join()

    assert multiprocessing.connection.wait([learner], timeout=60) == [learner]  # readable when the process has ended
    os.close(learner)
