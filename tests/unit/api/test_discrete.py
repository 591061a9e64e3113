"""Sequences of choices as architectures."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from nas_api.architectures import Decision, Discrete, parse_architecture
from pydantic import ValidationError

values = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
architectures = st.dictionaries(st.sampled_from(["a", "b", "c.0.d", "c.1.d"]), values, min_size=1).map(
    lambda choices: Discrete(decisions=tuple(Decision(name=name, value=value) for name, value in choices.items()))
)


def discrete(**choices: object) -> Discrete:
    return Discrete.model_validate(
        {"decisions": [{"name": name.replace("__", "."), "value": value} for name, value in choices.items()]}
    )


@settings(deadline=None)
@given(architectures)
def test_it_is_read_back_from_json_with_the_values_of_the_types_that_they_had(architecture: Discrete) -> None:
    read = parse_architecture(architecture.to_json())
    assert read == architecture
    assert isinstance(read, Discrete)
    assert [type(d.value) for d in read.decisions] == [type(d.value) for d in architecture.decisions]


@settings(deadline=None)
@given(architectures, architectures)
def test_digests_are_equal_if_and_only_if_the_choices_are(a: Discrete, b: Discrete) -> None:
    assert (a.digest == b.digest) == (a.to_json() == b.to_json())
    assert a.canonical() == a


def test_choices_are_found_by_name() -> None:
    architecture = discrete(width=64, layers__0__heads=2, layers__1__heads=4, layers__1__bias=True, norm="pre")
    assert architecture.choices == {
        "width": 64,
        "layers.0.heads": 2,
        "layers.1.heads": 4,
        "layers.1.bias": True,
        "norm": "pre",
    }


def test_the_rounds_of_a_repeat_are_a_list() -> None:
    architecture = discrete(width=64, layers__0__heads=2, layers__1__heads=4, layers__1__bias=True, norm="pre")
    assert architecture.nested == {"width": 64, "layers": [{"heads": 2}, {"heads": 4, "bias": True}], "norm": "pre"}


def test_a_whole_number_is_an_integer_as_it_is_after_its_way_through_a_cluster() -> None:
    architecture = discrete(rate=1.0, large=1e300)
    assert architecture.to_json() == discrete(rate=1, large=1e300).to_json()
    assert isinstance(architecture.choices["rate"], int)
    assert isinstance(architecture.choices["large"], float)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2}], "'a' is decided twice"),
        ([{"name": "a", "value": None}], "decisions.0.value"),
        ([{"name": "a", "value": [1]}], "decisions.0.value"),
        ([{"name": "a", "value": float("nan")}], "decisions.0.value"),
        ([{"name": "", "value": 1}], "at least 1 character"),
        ([], "at least 1 item"),
        ([{"name": str(i), "value": 1} for i in range(1001)], "at most 1000"),
    ],
)
def test_what_is_no_sequence_of_choices_is_refused(decisions: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Discrete.model_validate({"decisions": decisions})
