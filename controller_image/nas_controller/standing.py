"""`Standing`: how a search stands: its verdict, and the budget, the clock and the second stage that change it."""

import time
from concurrent.futures import Future

from nas_api.spec import NASSearchSpec

from nas_controller.final_stage import FinalStage
from nas_controller.journal.journal import FactLearned, Journal, Recovered, SearchStateChanged
from nas_controller.leases import Leases
from nas_controller.progress import BUDGET_REASONS, Progress, Verdict
from nas_controller.trials import Trials
from nas_controller.twins import CONVERGED_AFTER

# Seconds of `budget.maxDuration` between two entries in the journal.
_CLOCK_ENTRY = 10.0


class Standing:
    """Runs, suspends and ends a search."""

    def __init__(
        self,
        spec: NASSearchSpec,
        journal: Journal,
        leases: Leases,
        progress: Progress,
        trials: Trials,
        final_stage: FinalStage,
    ) -> None:
        """Knows nothing before `recover`.

        Args:
            spec: of the search.
            journal: its durable memory.
            leases: of the search: its clock runs while any is held.
            progress: what the budget counts.
            trials: of the search, which tell whether it has converged.
            final_stage: what follows when the search ends well.
        """
        self._spec = spec
        self._journal = journal
        self._leases = leases
        self._progress = progress
        self._trials = trials
        self._final_stage = final_stage
        self._recorded_seconds = progress.active_seconds
        self._replayed = progress.replayed  # when the clock was last looked at
        self.verdict = Verdict("RUNNING")

    def recover(self, recovered: Recovered) -> None:
        """Takes up the verdict that the journal says, as far as it holds with the manifest as it is now."""
        self.verdict = Verdict(recovered.search_state, recovered.search_reason, recovered.search_message)
        self._recover_end(recovered.facts.get("final_training", ""))
        if self._spec.suspend and self.verdict.state == "RUNNING":
            self.set_verdict(Verdict("SUSPENDED", "Suspended", "spec.suspend is true"))
        elif not self._spec.suspend and self.verdict.state == "SUSPENDED":
            self.set_verdict(Verdict("RUNNING", "Resumed", "spec.suspend is false"))
        # It may have been lowered, or its end not been recorded any more: no trial may be left to notice.
        self.check_budget()

    def _recover_end(self, fact: str) -> None:
        """What the end of the search, if it has ended, means now. `fact`: what the second stage wrote of itself."""
        stage = self._final_stage
        stage.recover(fact)
        ending = stage.ending or self.verdict
        if ending.final and ending.reason in BUDGET_REASONS and self._progress.verdict(self._spec.budget) is None:
            stage.leave()
            self.set_verdict(Verdict("RUNNING", "BudgetRaised", "the budget was raised"))
        elif ending.state == "SUCCEEDED" and stage.edited(fact):
            stage.begin(ending)
            if self.verdict.state != "SUSPENDED":
                self.set_verdict(stage.verdict())

    @property
    def searching(self) -> bool:
        """Whether architectures are proposed and trained: the search runs, and is not in its second stage."""
        return self.verdict.state == "RUNNING" and self._final_stage.ending is None

    def add_active_seconds(self, seconds: float) -> None:
        """Counts time towards `budget.maxDuration`, if the search runs and trials are in training or replayed.

        A restart forgets what was not yet written down: at most ten seconds.
        """
        works = len(self._leases) > 0 or self._progress.replayed > self._replayed
        self._replayed = self._progress.replayed
        if not self.searching or not works:
            return
        self._progress.active_seconds += seconds
        if self._progress.active_seconds - self._recorded_seconds >= _CLOCK_ENTRY:
            self._journal.write(self._clock())
        self.check_budget()

    def _clock(self) -> FactLearned:
        self._recorded_seconds = self._progress.active_seconds
        return FactLearned("active_seconds", repr(self._recorded_seconds))

    def check_budget(self) -> "Future[None] | None":
        """Ends the search if its budget says so, or its second stage when that is done.

        The future is done when that is durable; None: it goes on as it did.
        """
        if self.verdict.state != "RUNNING":
            return None
        verdict = self._ending()
        if verdict is not None and verdict.state == "SUCCEEDED":
            if self._final_stage.ending is None:
                self._final_stage.begin(verdict)
            self._final_stage.plan()
            verdict = self._final_stage.verdict()
        return self.set_verdict(verdict) if verdict is not None and verdict != self.verdict else None

    def _ending(self) -> Verdict | None:
        """How the search has ended, the second stage left out. None: it has not."""
        if self._final_stage.ending is not None:
            return self._final_stage.ending
        verdict = self._progress.verdict(self._spec.budget)
        if verdict is None and self._trials.replayed_in_a_row >= CONVERGED_AFTER:
            message = f"the last {CONVERGED_AFTER:,} architectures proposed had all been trained before"
            verdict = Verdict("SUCCEEDED", "Converged", message)
        return verdict

    def set_verdict(self, verdict: Verdict) -> "Future[None]":
        """Runs, suspends or ends the search. To run one that failed forgives the failures so far.

        One whose budget is spent ends again at once.
        """
        if verdict.state == "RUNNING" and self.verdict.state == "FAILED":
            self._progress.consecutive_failures = 0
        if verdict.state == "RUNNING" and self.verdict.final and self._final_stage.ending is not None:
            if self._final_stage.done:
                self._final_stage.leave()
        elif verdict.state == "SUCCEEDED" and self._final_stage.ending is None:
            self._final_stage.settle()
        self.verdict = verdict
        changed = SearchStateChanged(verdict.state, verdict.reason, verdict.message, time.time())
        written = self._journal.write(self._clock(), changed)
        return self.check_budget() or written
