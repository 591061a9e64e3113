"""`Study`: makes valid records of a search, and knows what a journal of them must answer."""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from nas_controller.history import History
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    EndedLease,
    FactLearned,
    Journal,
    JournalReader,
    LeaseEnded,
    LeaseGranted,
    Measurement,
    OpenBatch,
    OpenLease,
    PolicyUpdated,
    Record,
    Recovered,
    SampledTrial,
    SearchStateChanged,
    TrialFinished,
    TrialRecord,
    TrialState,
    UpdateRecord,
)
from nas_controller.proposal import Proposal, Rewarded

T = TypeVar("T")

FINAL = (TrialState.SUCCEEDED, TrialState.FAILED, TrialState.STOPPED_EARLY)


@dataclass
class Trial:
    """What has happened to a trial."""

    sampled: SampledTrial
    version: int
    leases: list[LeaseGranted] = field(default_factory=list)
    held: LeaseGranted | None = None
    lost: int = 0
    result: TrialFinished | None = None


class Study:
    """A search in miniature. Each action returns the records that it makes, none if it is not possible now."""

    def __init__(self, snapshot_bytes: int = 16, state_bytes: int = 32) -> None:
        self.snapshot_bytes = snapshot_bytes
        self.state_bytes = state_bytes
        self.time = 1_000.0
        self.epochs: list[ControllerStarted] = []
        self.trials: list[Trial] = []
        self.batches: dict[int, list[Trial]] = {}  # open
        self.last_batch = 0
        self.results: list[Trial] = []
        self.updates: list[UpdateRecord] = []
        self.newest: PolicyUpdated | None = None
        self.snapshots: dict[int, bytes] = {}
        self.learnt: list[Rewarded] = []
        self.learnt_known: list[int] = []
        self.known = [0]  # learnt at each version
        self.ended: dict[str, EndedLease] = {}
        self.search = SearchStateChanged("RUNNING", "", "", 0.0)
        self.consecutive_failures = 0
        self.expired = 0
        self.facts: dict[str, str] = {}
        self.actions: tuple[Callable[[int], list[Record]], ...] = (
            self.sample, self.grant, self.finish, self.grant, self.finish, self.update,
            self.end_lease, self.take_up_again, self.start, self.change_state, self.learn_fact,
        )  # fmt: skip

    def act(self, action: int, choice: int) -> list[Record]:
        """Does one action, of the possible variants the one that `choice` picks."""
        self.time += 0.25
        return self.actions[action % len(self.actions)](choice)

    def start(self, _: int) -> list[Record]:
        started = ControllerStarted(len(self.epochs) + 1, self.time)
        self.epochs.append(started)
        return [started]

    def sample(self, choice: int) -> list[Record]:
        self.last_batch += 1
        version = len(self.updates)
        first = len(self.trials) + 1
        sampled = tuple(
            SampledTrial(
                trial=first + i,
                batch=self.last_batch,
                proposal=Proposal((choice, i, 2**70 + i), depth=3),
                architecture=json.dumps({"layers": [choice, i]}),
                digest=f"{choice:x}-{i}",
                parameters=choice,
                flops=2 * choice,
            )
            for i in range(1 + choice % 3)
        )
        self.batches[self.last_batch] = [Trial(trial, version) for trial in sampled]
        self.trials += self.batches[self.last_batch]
        return [BatchSampled(self.last_batch, version, sampled, self.time)]

    def grant(self, choice: int) -> list[Record]:
        trial = self._pick(choice, [t for t in self._open() if t.held is None and t.result is None])
        if trial is None:
            return []
        number = trial.sampled.trial
        lease = LeaseGranted(
            lease=f"{len(self.epochs)}.{number}.{len(trial.leases)}",
            trial=number,
            worker=f"worker-{choice % 5}",
            request_id=f"request-{number}-{len(trial.leases)}",
            attempt=trial.lost + 1,
            at=self.time,
        )
        trial.leases.append(lease)
        trial.held = lease
        return [lease]

    def take_up_again(self, choice: int) -> list[Record]:
        trial = self._pick(choice, [t for t in self._open() if t.held is None and t.result is None and t.leases])
        if trial is None:
            return []
        trial.held = trial.leases[choice % len(trial.leases)]
        del self.ended[trial.held.lease]
        return [trial.held]

    def end_lease(self, choice: int) -> list[Record]:
        trial = self._pick(choice, [t for t in self._open() if t.held is not None])
        if trial is None or trial.held is None:
            return []
        reason = ("Released", "Lost", "Expired")[choice % 3]
        ended = LeaseEnded(trial.held.lease, trial.sampled.trial, reason, self.time)
        self.ended[trial.held.lease] = EndedLease(trial.sampled.trial, trial.held.worker, reason)
        self.expired += reason == "Expired"
        trial.lost += reason != "Released"
        trial.held = None
        return [ended]

    def finish(self, choice: int) -> list[Record]:
        trial = self._pick(choice, [t for t in self._open() if t.result is None])
        if trial is None:
            return []
        # the lease that holds it; or one that has ended, late; or none
        lease = trial.held or (trial.leases[-1] if trial.leases and choice % 2 else None)
        state = FINAL[choice % 3]
        trial.result = TrialFinished(
            trial=trial.sampled.trial,
            sequence=len(self.results) + 1,
            lease=lease.lease if lease else None,
            worker=lease.worker if lease else "",
            state=state,
            reward=(choice % 7) / 7,
            reason="TaskRaised" if state is TrialState.FAILED else "",
            message="ValueError: é" if state is TrialState.FAILED else "",
            measurements=tuple(Measurement(i, {"val_accuracy": choice / 3 + i}, i * 1.5) for i in range(choice % 4)),
            train_seconds=choice / 8,
            device_seconds=choice / 4,
            at=self.time,
        )
        if lease:
            self.ended[lease.lease] = EndedLease(trial.sampled.trial, lease.worker, "Finished")
        trial.held = None
        self.results.append(trial)
        self.consecutive_failures = self.consecutive_failures + 1 if state is TrialState.FAILED else 0
        return [trial.result]

    def update(self, choice: int) -> list[Record]:
        batch = self._pick(choice, [b for b, trials in self.batches.items() if all(t.result for t in trials)])
        if batch is None:
            return []
        trials = self.batches.pop(batch)
        self.learnt += [
            Rewarded(t.sampled.proposal, t.result.reward, t.result.state is not TrialState.STOPPED_EARLY)
            for t in trials
            if t.result
        ]
        self.learnt_known += [self.known[t.version] for t in trials]
        self.known.append(len(self.learnt))
        version = len(self.updates) + 1
        lag = version - 1 - trials[0].version
        mark = random.Random(version)
        self.newest = PolicyUpdated(
            version=version,
            batch=batch,
            lag=lag,
            baseline=None if choice % 2 else choice / 3,
            entropy=None if choice % 3 else choice / 5,
            gradient_norm=choice / 7,
            mean_reward=choice / 11,
            snapshot=mark.randbytes(self.snapshot_bytes),
            state=mark.randbytes(self.state_bytes),
            kept_versions=frozenset({version} | {ts[0].version for ts in self.batches.values()}),
            at=self.time,
        )
        self.snapshots[version] = self.newest.snapshot
        self.snapshots = {v: s for v, s in self.snapshots.items() if v in self.newest.kept_versions}
        u = self.newest
        self.updates.append(
            UpdateRecord(
                version, batch, lag, u.baseline, u.entropy, u.gradient_norm, u.mean_reward, len(self.results), u.at
            )
        )
        return [u]

    def change_state(self, choice: int) -> list[Record]:
        state = ("RUNNING", "SUSPENDED", "FAILED", "SUCCEEDED")[choice % 4]
        if state == "RUNNING" and self.search.state == "FAILED":
            self.consecutive_failures = 0
        self.search = SearchStateChanged(state, f"Reason{choice}", f"message {choice}", self.time)
        return [self.search]

    def learn_fact(self, choice: int) -> list[Record]:
        self.facts[f"key-{choice % 3}"] = str(choice)
        return [FactLearned(f"key-{choice % 3}", str(choice))]

    def _open(self) -> list[Trial]:
        return [trial for trials in self.batches.values() for trial in trials]

    @staticmethod
    def _pick(choice: int, candidates: list[T]) -> T | None:
        return candidates[choice % len(candidates)] if candidates else None

    def recovered(self) -> Recovered:
        return Recovered(
            epoch=len(self.epochs),
            version=len(self.updates),
            state=self.newest.state if self.newest else b"",
            snapshots=self.snapshots,
            batches=tuple(
                OpenBatch(
                    batch=batch,
                    version=trials[0].version,
                    trials=tuple(t.sampled for t in trials),
                    rewards={t.sampled.trial: t.result.reward for t in trials if t.result},
                    attempts={t.sampled.trial: t.lost for t in trials},
                    last_sequence=max(t.result.sequence if t.result else 0 for t in trials),
                    incomplete=frozenset(
                        t.sampled.trial for t in trials if t.result and t.result.state is TrialState.STOPPED_EARLY
                    ),
                )
                for batch, trials in self.batches.items()
            ),
            leases=tuple(
                OpenLease(held.lease, held.trial, held.worker, held.request_id, held.attempt, held.at)
                for held in (t.held for t in self.trials)
                if held
            ),
            last_batch=self.last_batch,
            last_trial=len(self.trials),
            last_sequence=len(self.results),
            search_state=self.search.state,
            search_reason=self.search.reason,
            search_message=self.search.message,
            started_at=self.epochs[0].at if self.epochs else None,
            counts={state: sum(t.result.state is state for t in self.results if t.result) for state in FINAL},
            consecutive_failures=self.consecutive_failures,
            device_seconds=sum(t.result.device_seconds for t in self.results if t.result),
            leases_expired=self.expired,
            facts=self.facts,
        )

    def records(self, trials: list[Trial], *, measurements: bool = True) -> list[TrialRecord]:
        return [self._record(trial, measurements) for trial in trials]

    @staticmethod
    def _record(trial: Trial, measurements: bool) -> TrialRecord:
        attempts = max((lease.attempt for lease in trial.leases), default=0)
        result = trial.result
        if result is None:
            state = TrialState.LEASED if trial.held else TrialState.PENDING
            worker = trial.held.worker if trial.held else ""
            return TrialRecord(trial.sampled, trial.version, state, attempts, worker)
        return TrialRecord(
            sampled=trial.sampled,
            policy_version=trial.version,
            state=result.state,
            attempts=attempts,
            worker=result.worker,
            sequence=result.sequence,
            reward=result.reward,
            reason=result.reason,
            message=result.message,
            measurements=result.measurements if measurements else (),
            train_seconds=result.train_seconds,
            finished_at=result.at,
        )

    def best(self) -> list[Trial]:
        succeeded = [t for t in self.results if t.result and t.result.state is TrialState.SUCCEEDED]
        return sorted(succeeded, key=lambda t: (-t.result.reward, t.result.sequence) if t.result else (0, 0))

    def check(self, journal: JournalReader) -> None:
        """Asserts that `journal` answers everything as it should."""
        assert journal.recover() == self.recovered()
        assert journal.trials(measurements=True) == self.records(self.trials)
        assert journal.finished(measurements=True) == self.records(self.results)
        assert journal.best(limit=1000, measurements=True) == self.records(self.best())
        assert journal.updates() == self.updates
        assert journal.history() == History(
            self.learnt,
            [trial.sampled.proposal for trial in self._open()],
            self.learnt_known,
            [self.known[trial.version] for trial in self._open()],
        )
        for trial in self.trials:
            for lease in trial.leases:
                assert journal.ended_lease(lease.lease) == self.ended.get(lease.lease)


def random_writes(study: Study, seed: int) -> Iterator[tuple[Record, ...]]:
    """Writes of 1 to 4 actions each, without end. Write k, from 1, says so in the fact "write"."""
    chance = random.Random(seed)
    for number in itertools.count(1):
        records: list[Record] = [FactLearned("write", str(number))]
        study.facts["write"] = str(number)
        for _ in range(chance.randint(1, 4)):
            records += study.act(chance.randrange(1000), chance.randrange(1000))
        yield tuple(records)


def fill(journal: Journal, trials: int, start: int = 1) -> None:
    """`trials` finished trials, numbered from `start`, in batches of one that have been learned from."""
    for number in range(start, start + trials):
        sampled = SampledTrial(number, number, Proposal((1, 2, 3), 3), "{}" * 200, f"{number:x}", 1, 2)
        lease = f"1.{number}"
        series = tuple(Measurement(step, {"val_accuracy": number / 7}, 1.0) for step in range(20))
        journal.write(
            BatchSampled(number, number - 1, (sampled,), 1.0),
            LeaseGranted(lease, number, "worker", lease, 1, 2.0),
            TrialFinished(
                number, number, lease, "worker", TrialState.SUCCEEDED, number * 7919 % 1000 / 1000, "", "", series,
                1.0, 1.0, 3.0,
            ),
            PolicyUpdated(number, number, 0, 0.5, 1.0, 1.0, 0.5, b"s", b"t", frozenset({number}), 4.0),
        )  # fmt: skip
    journal.write().result()
