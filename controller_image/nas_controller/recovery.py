"""What the journal says was open when a search was last seen, as what it is in memory."""

import time
from collections.abc import Iterable

from nas_controller.journal.journal import FirstTraining, Recovered
from nas_controller.leases import Lease
from nas_controller.ledger import Batch, OpenTrial


def open_batches(recovered: Recovered, firsts: Iterable[FirstTraining]) -> list[Batch]:
    """The batches whose updates have not been made, in the order in which those that are complete were completed.

    In that order they are learnt, a restart in between or not.

    Args:
        recovered: what the journal says.
        firsts: all first trainings so far.
    """
    holders = {lease.trial: lease.lease for lease in recovered.leases if not lease.training}
    promoted = {first.trial: first for first in firsts if first.promoted}
    return [
        Batch(
            batch.batch,
            batch.version,
            [
                OpenTrial(
                    trial,
                    batch.attempts.get(trial.trial, 0),
                    holders.get(trial.trial),
                    batch.rewards.get(trial.trial),
                    complete=trial.trial not in batch.incomplete,
                    first=promoted.get(trial.trial),
                )
                for trial in batch.trials
            ],
        )
        for batch in sorted(recovered.batches, key=lambda batch: batch.last_sequence)
    ]


def held_leases(recovered: Recovered, duration: float) -> list[Lease]:
    """The leases that are held. Their workers have a whole `duration`, in seconds, to say that they train still."""
    now = time.monotonic()
    return [
        Lease(
            held.lease,
            held.trial,
            held.worker,
            held.request_id,
            held.attempt,
            granted_at=now - max(0.0, time.time() - held.granted_at),
            expires_at=now + duration,
            training=held.training,
        )
        for held in recovered.leases
    ]
