"""`log_records`: a line in the log for what the journal has made durable and matters: results, updates, grants."""

import logging
from collections.abc import Sequence
from typing import Any

from nas_api.leases import lease_id

from nas_controller.journal.journal import (
    FinalTrainingFinished,
    LeaseGranted,
    PolicyUpdated,
    Record,
    TrialFinished,
    TrialState,
)

logger = logging.getLogger(__name__)

_OUTCOMES = {
    TrialState.SUCCEEDED: "succeeded",
    TrialState.FAILED: "failed",
    TrialState.STOPPED_EARLY: "was stopped early",
}


def log_records(records: Sequence[Record], _: float) -> None:
    """Observes a journal: `records` have become durable together. Whoever ends a lease without a result tells why."""
    for record in records:
        match record:
            case LeaseGranted():
                fields: dict[str, Any] = {
                    "trial": record.trial,
                    "lease": lease_id(record.lease),
                    "worker": record.worker,
                }
                logger.debug("trial %d goes to worker %s", record.trial, record.worker, extra=fields)
            case TrialFinished() if record.replay_of is not None:
                fields = {"trial": record.trial, "replay_of": record.replay_of}
                logger.debug("trial %d is a replay of trial %d", record.trial, record.replay_of, extra=fields)
            case TrialFinished():
                _log_result(f"trial {record.trial}", record, {"trial": record.trial})
            case FinalTrainingFinished():
                _log_result(f"final training {record.training}", record, {"final_training": record.training})
            case PolicyUpdated():
                fields = {"version": record.version, "lag": record.lag, "entropy": record.entropy}
                logger.info("update %d: mean reward %.4f", record.version, record.mean_reward, extra=fields)


def _log_result(name: str, record: TrialFinished | FinalTrainingFinished, fields: dict[str, Any]) -> None:
    fields |= {
        "lease": lease_id(record.lease) if record.lease is not None else None,
        "worker": record.worker,
        "outcome": record.state.outcome,
        "reward": record.reward,
        "seconds": round(record.train_seconds, 3),
    }
    # Of an error the first line: the worker's log has the rest.
    message = record.message.partition("\n")[0]
    why = f": {record.reason}: {message}" if record.reason else f": reward {record.reward or 0.0:.4f}"
    where = f" on worker {record.worker} after {record.train_seconds:.1f} s" if record.lease is not None else ""
    logger.info("%s %s%s%s", name, _OUTCOMES[record.state], where, why, extra=fields)
