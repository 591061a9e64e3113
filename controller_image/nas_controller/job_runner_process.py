"""`JobRunnerProcess`: does the jobs of the learner in a process of its own.

In a thread beside the event loop the learner would share the interpreter with it. Measured with 800 clients that train
nothing, on two cores (`benchmarks/load.py`): 530 trials a second with a thread, 1,050 with a process.
"""

import gc
import multiprocessing
import signal
from multiprocessing.connection import Connection
from typing import Any, Self

from nas_api.spec import NASSearchSpec

from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.history import History
from nas_controller.jobs import Learned, LearnJob, Sampled, SampleJob
from nas_controller.journal.journal import Recovered

# Errors that say something about the search; any other ends the process, and with it the controller.
_TOLD = (NoAcceptableArchitectureError, ValueError)


class JobRunnerDiedError(Exception):
    """The process of the learner has ended. Nothing is lost: a controller that starts anew goes on from the journal."""


class JobRunnerProcess:
    """A `JobRunner` whose work another process does. Calls block until it is done. Use it in a `with` statement.

    The process is forked off, so make it before there are threads, and before torch has computed a gradient. It ends
    when this process ends, however it does.
    """

    def __init__(self, spec: NASSearchSpec) -> None:
        """Starts the process."""
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(spec, theirs, self._connection), name="learner", daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join()

    def stop(self) -> None:
        """Ends the process at once. The job that it does will be done again, with the same result."""
        self._process.kill()

    def uses_history(self) -> bool:
        """See `JobRunner`.

        Raises:
            JobRunnerDiedError: the process has ended.
        """
        used: bool = self._call("uses_history")
        return used

    def restore(self, recovered: Recovered, history: History) -> None:
        """See `JobRunner`.

        Raises:
            ValueError: the journal's policy is not of this manifest.
            JobRunnerDiedError: the process has ended.
        """
        self._call("restore", recovered, history)

    def run(self, job: SampleJob | LearnJob) -> Sampled | Learned:
        """See `JobRunner`.

        Raises:
            NoAcceptableArchitectureError: nothing that the policy samples keeps the constraints.
            JobRunnerDiedError: the process has ended.
        """
        result: Sampled | Learned = self._call("run", job)
        return result

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            self._connection.send((method, arguments))
            result = self._connection.recv()
        except (EOFError, OSError) as error:
            raise JobRunnerDiedError("the process of the learner has ended: its last words are in the log") from error
        if isinstance(result, Exception):
            raise result
        return result


def _run(spec: NASSearchSpec, connection: Connection, other_end: Connection) -> None:
    """The main function of the process: answers calls until the other end of the connection is closed."""
    other_end.close()  # or it would stay open as long as this process
    # Whoever ends the controller ends this process by the connection, after its last job.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    import torch

    from nas_controller.local_job_runner import LocalJobRunner

    torch.set_num_threads(1)
    runner = LocalJobRunner(spec)
    gc.collect()
    gc.freeze()
    try:
        while True:
            method, arguments = connection.recv()
            try:
                result = getattr(runner, method)(*arguments)
            except _TOLD as error:
                result = error
            connection.send(result)
    except (EOFError, OSError):  # the controller has ended
        gc.unfreeze()
