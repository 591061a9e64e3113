"""Progress: counts and the budget's verdict."""

from nas_api.spec import Budget
from nas_controller.journal.journal import TrialState
from nas_controller.progress import Progress


def progress(*outcomes: tuple[TrialState, float]) -> Progress:
    made = Progress()
    for state, reward in outcomes:
        made.add(state, reward, device_seconds=2.0)
    return made


OK, FAILED = TrialState.SUCCEEDED, TrialState.FAILED


def test_a_search_within_its_budget_goes_on() -> None:
    assert progress((OK, 0.5)).verdict(Budget(max_trials=2)) is None


def test_failed_trials_count_towards_the_trials() -> None:
    verdict = progress((OK, 0.5), (FAILED, 0.0)).verdict(Budget(max_trials=2))

    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("SUCCEEDED", "BudgetSpent")


def test_a_target_reached_ends_the_search() -> None:
    verdict = progress((OK, 0.5), (OK, 0.9)).verdict(Budget(target_reward=0.9))

    assert verdict is not None
    assert verdict.reason == "TargetReached"


def test_the_reward_of_a_failed_trial_reaches_no_target() -> None:
    assert progress((FAILED, 0.0)).verdict(Budget(target_reward=-1.0)) is None


def test_the_reward_of_a_trial_stopped_early_reaches_no_target() -> None:
    assert progress((OK, 0.1), (TrialState.STOPPED_EARLY, 0.9)).verdict(Budget(target_reward=0.5)) is None


def test_time_over_ends_the_search() -> None:
    made = progress((OK, 0.5))
    made.active_seconds = 3600.0

    assert made.verdict(Budget(max_duration="61m")) is None
    verdict = made.verdict(Budget(max_duration="1h"))
    assert verdict is not None
    assert verdict.reason == "DurationSpent"


def test_failures_in_a_row_fail_the_search_and_say_what_to_do() -> None:
    verdict = progress((OK, 0.5), (FAILED, 0.0), (FAILED, 0.0)).verdict(Budget(max_consecutive_failures=2))

    assert verdict is not None
    assert (verdict.state, verdict.reason) == ("FAILED", "TooManyFailures")
    assert "look at the reason" in verdict.message


def test_a_success_between_failures_starts_the_count_again() -> None:
    made = progress((FAILED, 0.0), (OK, 0.5), (FAILED, 0.0))

    assert made.verdict(Budget(max_consecutive_failures=2)) is None
    assert made.device_seconds == 6.0
