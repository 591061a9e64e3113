"""`nas logs`: what the training of a trial printed."""

import sys
from typing import TYPE_CHECKING

from nas_cli.commands.options import Trial
from nas_cli.commands.which import takes_search
from nas_cli.failure import BadInput, Failure
from nas_cli.which_search import WhichSearch, open_search

if TYPE_CHECKING:
    from nas_controller.journal.journal import TrialRecord


@takes_search
def logs(trial: Trial, *, which: WhichSearch) -> None:
    """Print what the training of a trial printed.

    In a cluster it is in the log of the worker's pod, as long as that is there.

    Examples:
      [bold]nas logs 4[/]                            of the only search in ./runs

      [bold]nas logs best -s runs/digits[/]

      [bold]kubectl nas logs 4 digits[/]             of the search digits in the cluster
    """
    with open_search(which) as results:
        record = results.trial(trial)
        file = results.log_of(record.sampled.trial)
        name = f"trial {record.sampled.trial} of {results.name}"
    if file is not None:
        try:
            text = file.read_text(errors="replace")
        except OSError as error:
            raise Failure(f"cannot read {file}: {error.strerror}") from error
    elif which.in_cluster and record.worker:
        text = _log_of_pod(which, record)
    elif record.replay_of is not None:
        raise BadInput(f"{name} was not trained: trial {record.replay_of} is of the same network, see its log")
    else:
        raise BadInput(
            f"there is no log of {name}: it is {record.state.value}. `nas trials` lists those that have been trained"
        )
    sys.stdout.write(text)


def _log_of_pod(which: WhichSearch, record: "TrialRecord") -> str:
    from nas_cli.cluster.cluster import open_cluster
    from nas_cli.cluster.logs import trial_log

    with open_cluster(which.cluster) as cluster:
        return trial_log(cluster, record.worker, record.sampled.trial)
