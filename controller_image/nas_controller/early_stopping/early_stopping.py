"""`EarlyStopping`: asks a rule which trials should stop, and says what a stopped trial is worth."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from nas_api.spec import NASSearchSpec, Reward

from nas_controller.early_stopping.asha import ASHARule
from nas_controller.early_stopping.curve import Completed, Curve, points_of
from nas_controller.early_stopping.extrapolation import CurveExtrapolationRule
from nas_controller.early_stopping.median import MedianRule
from nas_controller.early_stopping.rule import StoppingRule
from nas_controller.journal.journal import JournalReader, Measurement, Recovered, ReportedPoint, TrialState
from nas_controller.leases import is_of_first_training

logger = logging.getLogger(__name__)

_BEFORE = -1  # the first step
_PAGE = 1000  # trials that are read from the journal at once

LONGEST_RUN = 20
"""Trials stopped in a row after which one is trained to its end, whatever the rule says: it is measured against such
trials, and would know nothing of a search that has changed since the last of them."""

SPARED = "early_stopping_spared"
"""The fact in the journal that has the number of the trial that was spared last."""
REMARK = "early_stopping"
"""The fact in the journal that has what was said of it."""


class EarlyStopping:
    """The learning curves of a search, and a rule that says which trials in training should stop.

    Its state is made of what the journal has, results and reports, so that a restart changes nothing.
    """

    def __init__(self, rule: StoppingRule, reward: Reward) -> None:
        """Knows no trial yet."""
        self._rule = rule
        self._reward = reward
        self._completed: list[Completed] = []
        self._curves: dict[int, Curve] = {}  # of trials in training
        self._attempts: dict[int, str] = {}  # leases that measured them
        self._asked: dict[int, int] = {}  # steps up to which the rule was asked about them
        self._stopped: set[int] = set()  # trials in training that were told to stop
        self._stopped_in_a_row = 0
        self._spared: int | None = None

    def recover(self, journal: JournalReader, recovered: Recovered) -> None:
        """Goes to where the journal stands."""
        # Before the results: if its own is among them, it is spared no more.
        self._spared = int(recovered.facts[SPARED]) if SPARED in recovered.facts else None
        cheap = {first.trial for first in journal.first_trainings() if not first.promoted}
        after = 0
        while page := journal.finished(after=after, limit=_PAGE, measurements=True):
            for record in page:
                trial = record.sampled.trial
                if record.replay_of is not None:
                    self.drop(trial)
                elif record.reward is not None and trial not in cheap:
                    self.finish(trial, record.state, record.reward, record.measurements)
            after = page[-1].sequence
        held = [lease for lease in recovered.leases if not (lease.training or is_of_first_training(lease.lease))]
        # A final training's trial has its result, and a cheap first training is not judged. What others have shown
        # before their leases ended counts until they go out again.
        for trial in recovered.reports.keys() - {lease.trial for lease in held}:
            self._rule.observe(trial, Curve.of(recovered.reports[trial]))
        for lease in held:
            self.begin(lease.trial, lease.lease)
            for point in recovered.reports.get(lease.trial, ()):
                self._curves[lease.trial].add(point)
                if point.stops:
                    self._stopped.add(lease.trial)
            curve = self._curves[lease.trial]
            self._asked[lease.trial] = curve.last_step
            self._rule.observe(lease.trial, curve)

    def begin(self, trial: int, lease: str) -> None:
        """A worker trains a trial from now on, or goes on with it."""
        if self._attempts.get(trial) == lease:
            return
        self._forget(trial)
        self._rule.forget(trial)
        self._attempts[trial] = lease
        self._curves[trial] = Curve()

    def report(self, trial: int, measurements: Iterable[Measurement]) -> tuple[ReportedPoint, ...]:
        """Takes what a trial in training has measured, and asks the rule about it. Returns what of it is new."""
        curve = self._curves[trial]
        since = self._asked.get(trial, _BEFORE)
        new = [point for point in points_of(tuple(measurements), self._reward) if curve.add(point)]
        if not new:
            return ()
        self._asked[trial] = curve.last_step
        if trial not in self._stopped and self._should_stop(trial, curve, since):
            self._stopped.add(trial)
            new[-1] = replace(new[-1], stops=True)
        return tuple(new)

    def stops(self, trial: int) -> bool:
        """Whether a trial in training should stop. Once yes, always yes."""
        return trial in self._stopped

    def _should_stop(self, trial: int, curve: Curve, since: int) -> bool:
        if not self._rule.stops(trial, curve, since, self._completed) or trial == self._spared:
            return False
        if self._stopped_in_a_row < LONGEST_RUN or self._spared is not None:
            return True
        self._spared = trial
        logger.warning("early stopping: %s", self.remark)
        return False

    @property
    def spared(self) -> int | None:
        """The trial in training that is trained to its end because too many in a row were stopped."""
        return self._spared

    @property
    def remark(self) -> str:
        """On the trial that is spared, for a person."""
        return (
            f"{self._stopped_in_a_row} trials in a row were stopped: trial {self._spared} is trained to its end, "
            "whatever the rule says"
        )

    def reward_of_stopped(self, reward: float, measurements: Iterable[Measurement]) -> float:
        """What a stopped trial is worth: `reward`, what it had reached, but no more than what outranked it has got.

        That is the lowest reward of the completed trials that had been at least as good after as many steps. So a
        policy never prefers what was stopped to what was better and trained to its end, even if that got worse later.
        """
        curve = Curve.of(points_of(tuple(measurements), self._reward))
        if not curve:
            return reward
        step, best = curve.last_step, curve.best[-1]
        outranked_by = (
            other.reward
            for other in self._completed
            if (then := other.curve.best_by(step)) is not None and then >= best
        )
        return min(reward, min(outranked_by, default=reward))

    def finish(self, trial: int, state: TrialState, reward: float, measurements: Iterable[Measurement]) -> None:
        """A trial that was trained has its result."""
        curve = Curve.of(points_of(tuple(measurements), self._reward))
        self.drop(trial)
        if state is TrialState.FAILED or not curve:
            return
        self._rule.observe(trial, curve)
        if state is TrialState.STOPPED_EARLY:
            self._stopped_in_a_row += 1
            return
        self._stopped_in_a_row = 0
        self._completed.append(Completed(trial, curve, reward))

    def drop(self, trial: int) -> None:
        """A trial gets the result of its twin: what it has shown before counts no more."""
        self._forget(trial)
        self._rule.forget(trial)
        if trial == self._spared:
            self._spared = None

    def _forget(self, trial: int) -> None:
        for known in (self._curves, self._attempts, self._asked):
            known.pop(trial, None)
        self._stopped.discard(trial)


def build_early_stopping(spec: NASSearchSpec) -> EarlyStopping | None:
    """What `controller.earlyStopping` describes; None: nothing is stopped."""
    settings = spec.controller.early_stopping
    match settings.type:
        case "Median":
            return EarlyStopping(MedianRule(settings.median), spec.reward)
        case "ASHA":
            return EarlyStopping(ASHARule(settings.asha), spec.reward)
        case "CurveExtrapolation":
            return EarlyStopping(CurveExtrapolationRule(settings.curve_extrapolation), spec.reward)
        case "None":
            return None
