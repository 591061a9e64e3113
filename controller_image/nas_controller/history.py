"""`History`: what a search has proposed and learnt so far. Without torch: the journal reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas_controller.proposal import Proposal, Rewarded


@dataclass(frozen=True, slots=True)
class History:
    """The past of a search, as far as an algorithm knows it.

    Attributes:
        finished: proposals with their rewards in the order in which they were learnt: by update, then as they stand in
            their batch.
        open: proposals that have been recorded and not yet learnt, whether they have finished or not, in the order in
            which they were recorded.
        finished_known: for each of `finished`, how many of them had been learnt before it was recorded.
        open_known: the same for each of `open`.
    """

    finished: Sequence[Rewarded] = ()
    open: Sequence[Proposal] = ()
    finished_known: Sequence[int] = ()
    open_known: Sequence[int] = ()
