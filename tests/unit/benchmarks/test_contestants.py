"""Algorithms as they are named on the command line, and the manifests that they make."""

import pytest
from tabular_benchmark.contestants import Contestant, ContestantError, build_manifest, parse_contestant

CHOICES = {"digit_0": (0, 1), "digit_1": (0, 1, 2)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("random", Contestant("random", "Random", ())),
        (
            "REINFORCE:learningRate=0.01,batchSize=4",
            Contestant(
                "REINFORCE:learningRate=0.01,batchSize=4",
                "REINFORCE",
                ("spec.controller.algorithm.reinforce.learningRate=0.01", "spec.controller.parallelism.batchSize=4"),
            ),
        ),
        (
            "small=ppo:hiddenSize=10,duplicates=Train,reward.exponent=2",
            Contestant(
                "small",
                "PPO",
                (
                    "spec.controller.policy.hiddenSize=10",
                    "spec.controller.duplicates=Train",
                    "spec.reward.exponent=2",
                ),
            ),
        ),
    ],
)
def test_settings_are_found_where_the_manifest_has_them(text: str, expected: Contestant) -> None:
    assert parse_contestant(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simulated-annealing", "no algorithm 'simulated-annealing', but REINFORCE,"),
        ("random:learningRate=1", "Random has no setting 'learningRate', but"),
        ("REINFORCE:fast", "'fast' is not of the form"),
        ("a=", "no algorithm ''"),
    ],
)
def test_what_is_not_known_is_told_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ContestantError, match=message):
        parse_contestant(text)


def test_the_manifest_has_the_space_of_the_table_and_the_settings() -> None:
    contestant = parse_contestant("REINFORCE:learningRate=0.5,replicas=3")
    spec = build_manifest(contestant, CHOICES, seed=7, scale=0.01, exponent=2.0).spec
    assert spec.seed == 7
    assert spec.search_space.type == "Discrete"
    assert [(choice.name, choice.values) for choice in spec.search_space.discrete.choices] == list(CHOICES.items())
    assert spec.controller.algorithm.reinforce.learning_rate == 0.5
    assert spec.controller.parallelism.replicas == 3
    assert (spec.reward.scale, spec.reward.exponent) == (0.01, 2.0)
    assert spec.budget.max_trials is None


def test_a_setting_that_is_not_valid_is_told() -> None:
    with pytest.raises(ContestantError, match=r"(?s)REINFORCE:learningRate=-1: .*learningRate"):
        build_manifest(parse_contestant("REINFORCE:learningRate=-1"), CHOICES, seed=0)
