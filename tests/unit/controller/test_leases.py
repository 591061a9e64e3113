"""Leases: who holds what until when."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from nas_controller.leases import Ending, Lease, Leases, make_token, pool_of


def lease(number: int, now: float = 0.0, worker: str = "", duration: float = 10.0) -> Lease:
    return Lease(f"1.{number}", number, worker or f"worker-{number}", f"request-{number}", 1, now, now + duration)


def test_a_silent_lease_expires_after_its_duration() -> None:
    leases = Leases(duration=10.0)
    held = lease(1)
    leases.grant(held)

    assert leases.expired(now=9.9) == []
    assert leases.expired(now=10.0) == [held]


def test_a_renewed_lease_expires_its_duration_after_the_last_renewal() -> None:
    leases = Leases(duration=10.0)
    held = lease(1)
    leases.grant(held)
    leases.renew(held, now=8.0)

    assert leases.expired(now=17.9) == []
    assert leases.expired(now=18.0) == [held]


def test_the_same_request_finds_the_same_lease_while_it_is_held() -> None:
    leases = Leases(duration=10.0)
    held = lease(1)
    leases.grant(held)

    assert leases.of_request("worker-1", "request-1") is held
    assert leases.of_request("worker-1", "request-2") is None
    assert leases.of_request("worker-2", "request-1") is None
    leases.end(held, Ending.FINISHED)
    assert leases.of_request("worker-1", "request-1") is None


def test_a_token_cannot_be_guessed_and_names_the_pool_of_its_worker() -> None:
    tokens = {make_token(3, 7, "gpu") for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(token.startswith("3.7.gpu.") and len(token) >= len("3.7.gpu.") + 22 for token in tokens)
    assert {pool_of(token) for token in tokens} == {"gpu"}
    assert [pool_of(token) for token in (make_token(1, 1, ""), "", "no token", "1.10", "1.2.3.4.5")] == [""] * 5


def test_how_a_lease_ended_is_remembered() -> None:
    leases = Leases(duration=10.0)
    held = lease(1)
    leases.grant(held)
    leases.end(held, Ending.EXPIRED)

    assert leases.get("1.1") is None
    assert leases.ended("1.1") == (held, Ending.EXPIRED)


def test_a_lease_taken_up_again_is_held_and_can_expire_again() -> None:
    leases = Leases(duration=10.0)
    held = lease(1)
    leases.grant(held)
    assert leases.expired(now=10.0) == [held]
    leases.end(held, Ending.EXPIRED)
    leases.renew(held, now=12.0)
    leases.grant(held)

    assert leases.ended("1.1") is None
    assert leases.expired(now=21.9) == []
    assert leases.expired(now=22.0) == [held]


class LeasesAgainstTheirDefinition(RuleBasedStateMachine):
    """A plain list of what is held, with the last sign of life of each, says the same as `Leases`."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases(duration=10.0)
        self.model: dict[str, tuple[Lease, float]] = {}
        self.now = 0.0
        self.number = 0

    @rule()
    def grant(self) -> None:
        self.number += 1
        granted = lease(self.number, self.now)
        self.leases.grant(granted)
        self.model[granted.token] = (granted, self.now)

    @rule(choice=st.integers(0, 10))
    def renew(self, choice: int) -> None:
        if self.model:
            token = sorted(self.model)[choice % len(self.model)]
            self.leases.renew(self.model[token][0], self.now)
            self.model[token] = (self.model[token][0], self.now)

    @rule(choice=st.integers(0, 10), ending=st.sampled_from([Ending.FINISHED, Ending.RELEASED]))
    def end(self, choice: int, ending: Ending) -> None:
        if self.model:
            held, _ = self.model.pop(sorted(self.model)[choice % len(self.model)])
            self.leases.end(held, ending)

    @rule(seconds=st.floats(0.1, 15.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        expected = {token for token, (_, seen) in self.model.items() if self.now >= seen + 10.0}
        expired = self.leases.expired(self.now)
        assert {held.token for held in expired} == expected
        for held in expired:
            self.leases.end(held, Ending.EXPIRED)
            del self.model[held.token]

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert len(self.leases) == len(self.model)
        for token, (held, _) in self.model.items():
            assert self.leases.get(token) is held
            assert self.leases.of_worker(held.worker) is held


TestLeases = LeasesAgainstTheirDefinition.TestCase
