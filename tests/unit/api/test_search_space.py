"""`spec.searchSpace`: its three kinds, the tasks that they fit, and what no sequence of choices can be."""

from typing import Any

import pytest
from nas_api.spec import DiscreteSpace, NASSearchSpec, RecurrentCellSpace, SearchSpace
from pydantic import ValidationError


def discrete(*choices: dict[str, Any]) -> DiscreteSpace:
    return DiscreteSpace.model_validate({"choices": choices})


TRANSFORMER: tuple[dict[str, Any], ...] = (
    {"name": "depth", "values": [1, 2, 4]},
    {"name": "attention", "values": ["full", "local"]},
    {"name": "window", "values": [8, 16], "when": {"attention": "local"}},
    {
        "name": "layers",
        "repeat": "depth",
        "choices": [
            {"name": "heads", "values": [2, 4]},
            {"name": "gated", "values": [True, False]},
            {"name": "gate", "values": ["relu", "sigmoid"], "when": {"gated": True}},
        ],
    },
)


class TestTaskAndSpace:
    @pytest.mark.parametrize(
        ("task", "metric", "exponent", "space"),
        [
            ("image-classification", "val_accuracy", 3, "ConvNet"),
            ("language-model", "val_perplexity", -3, "RecurrentCell"),
            *(("my_task:train", "score", 1, space) for space in ("ConvNet", "RecurrentCell", "Discrete")),
        ],
    )
    def test_a_task_trains_its_kind_and_a_users_own_any(
        self, task: str, metric: str, exponent: int, space: str
    ) -> None:
        members = {"discrete": {"choices": [{"name": "a", "values": [1, 2]}]}} if space == "Discrete" else {}
        NASSearchSpec.model_validate(
            {
                "searchSpace": {"type": space, **members},
                "trainer": {"task": task, "dataset": {"path": "data"}},
                "reward": {"metric": metric, "exponent": exponent},
            }
        )

    @pytest.mark.parametrize(
        ("task", "space", "trained"),
        [
            ("image-classification", "RecurrentCell", "a ConvNet"),
            ("image-classification", "Discrete", "a ConvNet"),
            ("language-model", "ConvNet", "a RecurrentCell"),
        ],
    )
    def test_a_built_in_task_trains_no_other(self, task: str, space: str, trained: str) -> None:
        members = {"discrete": {"choices": [{"name": "a", "values": [1, 2]}]}} if space == "Discrete" else {}
        with pytest.raises(ValidationError, match=f"trainer.task {task} trains {trained}: set searchSpace.type to it"):
            NASSearchSpec.model_validate(
                {"searchSpace": {"type": space, **members}, "trainer": {"task": task, "dataset": {"path": "data"}}}
            )

    def test_a_low_perplexity_is_a_good_one(self) -> None:
        spec = {
            "searchSpace": {"type": "RecurrentCell"},
            "trainer": {"task": "language-model", "dataset": {"path": "pydoc"}},
            "reward": {"metric": "val_perplexity"},
        }
        with pytest.raises(ValidationError, match=r"reward.exponent 3 prefers the worst val_perplexity"):
            NASSearchSpec.model_validate(spec)

    def test_constraints_are_for_networks_for_images(self) -> None:
        space = SearchSpace.model_validate({"convNet": {"constraints": {"maxFlops": 5}}})
        assert space.constrained
        assert not SearchSpace(type="RecurrentCell").constrained

    def test_the_settings_of_another_kind_are_refused_since_they_would_do_nothing(self) -> None:
        with pytest.raises(ValidationError, match="recurrentCell is given, and type is ConvNet: set type to Recurrent"):
            SearchSpace.model_validate({"recurrentCell": {"base": 4}})

    def test_discrete_needs_choices(self) -> None:
        with pytest.raises(ValidationError, match=r"type Discrete needs discrete.choices: list what can be chosen"):
            SearchSpace(type="Discrete")


class TestRecurrentCells:
    def test_the_papers_space_has_6e16_cells(self) -> None:
        assert f"{RecurrentCellSpace().size():.0e}" == "6e+16"

    def test_the_smallest_and_the_largest_base(self) -> None:
        for base in (1, 65):
            with pytest.raises(ValidationError):
                RecurrentCellSpace(base=base)

    def test_a_combination_is_listed_once(self) -> None:
        with pytest.raises(ValidationError, match="combinations lists a choice twice"):
            RecurrentCellSpace(combinations=("add", "add"))


class TestDiscrete:
    def test_transformers_of_several_depths_can_be_described(self) -> None:
        # A layer is one of 2 * (2 + 1), and the attention one of 1 + 2.
        assert discrete(*TRANSFORMER).size() == 3 * (6 + 6**2 + 6**4)

    def test_values_keep_their_types_but_a_whole_number_is_an_integer(self) -> None:
        (choice,) = discrete({"name": "a", "values": [True, 2, 3.0, 0.5, "x", "4"]}).choices
        assert [(type(value), value) for value in choice.values] == [
            (bool, True), (int, 2), (int, 3), (float, 0.5), (str, "x"), (str, "4")
        ]  # fmt: skip

    def test_a_number_of_rounds_may_be_zero_or_not_chosen_at_all(self) -> None:
        space = discrete(
            {"name": "deep", "values": [True, False]},
            {"name": "depth", "values": [0, 2], "when": {"deep": True}},
            {"name": "layers", "repeat": "depth", "choices": [{"name": "heads", "values": [1, 2, 3]}]},
        )
        assert space.size() == 1 + 3**2 + 1

    def test_the_size_of_a_large_space_takes_no_time(self) -> None:
        layers = {"name": "layers", "repeat": 100, "choices": [{"name": "heads", "values": list(range(10))}]}
        chain = [{"name": f"c{i}", "values": [0, 1], "when": {f"c{i - 1}": 1} if i else {}} for i in range(40)]
        assert discrete(*chain, layers).size() == 41 * 10**100

    def test_a_space_whose_conditions_hang_together_too_much_is_not_counted(self) -> None:
        switches = [{"name": f"s{i}", "values": [0, 1]} for i in range(30)]
        details = [{"name": f"d{i}", "values": [0, 1], "when": {f"s{i}": 1}} for i in range(30)]
        assert discrete(*switches, *details).size() is None
        paired = [choice for pair in zip(switches, details, strict=True) for choice in pair]
        assert discrete(*paired).size() == 3**30

    @pytest.mark.parametrize(
        ("choices", "message"),
        [
            ([{"name": "a", "values": [1]}] * 2, "two choices are named 'a': names must be unique"),
            ([{"name": "a", "values": [1, 1.0]}], "'a' lists a value twice: 1, 1"),
            ([{"name": "a"}], "'a': give it values, or repeat and choices"),
            ([{"name": "a", "values": []}], "'a': give it values, or repeat and choices"),
            ([{"name": "a", "values": [1], "repeat": 2}], "'a': repeat and choices go together"),
            ([{"name": "a", "choices": [{"name": "b", "values": [1]}]}], "'a': repeat and choices go together"),
            (
                [{"name": "a", "values": [1], "repeat": 2, "choices": [{"name": "b", "values": [1]}]}],
                "'a': give it values, or repeat and choices",
            ),
            ([{"name": "a.b", "values": [1]}], "String should match pattern"),
            ([{"name": "a", "values": [None]}], "choices.0.values.0"),
            ([{"name": "a", "values": [[1]]}], "choices.0.values.0"),
            # Conditions.
            (
                [{"name": "a", "values": [1], "when": {"b": 1}}],
                "'a' has a condition on 'b', and there is no such choice",
            ),
            (
                [{"name": "a", "values": [1], "when": {"a": 1}}],
                "'a' has a condition on 'a', which is itself",
            ),
            (
                [{"name": "a", "values": [1], "when": {"b": 1}}, {"name": "b", "values": [1]}],
                "'a' has a condition on 'b', which comes after it: only earlier choices can be looked at",
            ),
            (
                [{"name": "a", "values": [1, 2]}, {"name": "b", "values": [1], "when": {"a": [2, 3]}}],
                "'b' has a condition on 'a' being 3, and its values are 1, 2",
            ),
            (
                [*TRANSFORMER, {"name": "x", "values": [1], "when": {"heads": 2}}],
                "'x' has a condition on 'heads', which has another value in each round of layers: "
                "only the choices of it can look at it",
            ),
            (
                [*TRANSFORMER, {"name": "x", "values": [1], "when": {"layers": 2}}],
                "'x' has a condition on 'layers', which is a repeat and has no value",
            ),
            (
                [{"name": "r", "repeat": 2, "choices": [{"name": "a", "values": [1], "when": {"b": 1}},
                                                        {"name": "b", "values": [1]}]}],
                "'a' has a condition on 'b', which comes after it",
            ),
            # Repeats.
            (
                [{"name": "r", "repeat": "n", "choices": [{"name": "a", "values": [1]}]}],
                "'r' is repeated 'n' times, and there is no such choice",
            ),
            (
                [{"name": "n", "values": [1, "2"]},
                 {"name": "r", "repeat": "n", "choices": [{"name": "a", "values": [1]}]}],
                "'r' is repeated 'n' times, and '2' is no number from 0 to 100",
            ),
            (
                [{"name": "n", "values": [1, 101]},
                 {"name": "r", "repeat": "n", "choices": [{"name": "a", "values": [1]}]}],
                "'r' is repeated 'n' times, and 101 is no number from 0 to 100",
            ),
            (
                [{"name": "n", "values": [True]},
                 {"name": "r", "repeat": "n", "choices": [{"name": "a", "values": [1]}]}],
                "'r' is repeated 'n' times, and True is no number from 0 to 100",
            ),
            (
                [{"name": "r", "repeat": 2, "choices": [{"name": "a", "values": [1]}, {"name": "a", "values": [1]}]}],
                "two choices of r are named 'a': names must be unique",
            ),
            (
                [{"name": "a", "values": [1]}, {"name": "r", "repeat": 2, "choices": [{"name": "a", "values": [1]}]}],
                "a choice of r and one outside of it are both named 'a'",
            ),
            (
                [{"name": "a", "values": [1, 2]},
                 {"name": "r", "repeat": 2, "choices": [{"name": "b", "values": [1], "when": {"a": 1}}]}],
                "all choices of r have conditions: a round could have none",
            ),
            (
                [{"name": f"r{i}", "repeat": 100,
                  "choices": [{"name": f"c{k}", "values": [1]} for k in range(10 + i)]} for i in range(2)],
                "an architecture could have 2,100 choices, and at most 1,000 can be learnt",
            ),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused_by_name(self, choices: list[dict[str, Any]], message: str) -> None:
        with pytest.raises(ValidationError) as error:
            discrete(*choices)
        assert message in str(error.value)
