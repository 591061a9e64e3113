"""Reading a manifest: what is accepted, and what a person is told about what is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.manifest import ManifestError, dump_manifest, immutable_differences, load_manifest
from nas_api.spec import NASSearch

HEAD = "apiVersion: kubenas.dev/v1alpha1\nkind: NASSearch\nmetadata: {name: demo}\n"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "search.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(path: Path, *overrides: str) -> list[str]:
    """The lines of the error, without the directory of the file."""
    with pytest.raises(ManifestError) as error:
        load_manifest(path, overrides)
    return str(error.value).replace(f"{path.parent}/", "").splitlines()


def test_a_manifest_without_a_spec_is_the_papers_search(write: Write) -> None:
    search = load_manifest(write(HEAD))
    assert search.full_name == "default/demo"
    assert search.spec.budget.max_trials == 12_800
    assert search.spec.trainer.epochs == 50


def test_fields_are_read_under_their_camel_case_names(write: Write) -> None:
    search = load_manifest(write(HEAD + "spec: {searchSpace: {convNet: {filterHeights: [3, 5]}}, suspend: true}"))
    assert search.spec.search_space.conv_net.filter_heights == (3, 5)
    assert search.spec.suspend


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(write: Write) -> None:
    path = write(
        HEAD
        + """\
spec:
  searchSpaces: {}
  trainer:
    epochs: 0
    task: nonsense
  pools:
  - replicas: many
  suspend: 3
"""
    )
    assert problems(path) == [
        "search.yaml:5:3: spec.searchSpaces: unknown field; did you mean searchSpace?",
        "search.yaml:7:13: spec.trainer.epochs: 0 is not an integer from 1 to 100,000",
        "search.yaml:10:5: spec.pools[0].name: is required: a name of at most 63 lower-case letters, digits and '-'",
        "search.yaml:10:15: spec.pools[0].replicas: the text 'many' is not an integer from 0 to 10,000",
        "search.yaml:11:12: spec.suspend: 3 is not true or false",
    ]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        # An unknown field: the nearest name, else where a field of that name is, else the names there are.
        ("{trainer: {epoch: 3}}", "4:18: spec.trainer.epoch: unknown field; did you mean epochs?"),
        (
            "{epochs: 3}",
            "4:8: spec.epochs: unknown field; did you mean spec.controller.lowFidelity.epochs or spec.trainer.epochs "
            "or spec.finalTraining.epochs?",
        ),
        ("{search_space: {}}", "4:8: spec.search_space: unknown field; did you mean searchSpace?"),
        (
            "{controller: {lease: {xyz: 1}}}",
            "4:29: spec.controller.lease.xyz: unknown field; the fields here are duration, maxAttempts",
        ),
        # A wrong type. Text is no number, and a number is no text.
        ('{seed: "1"}', "4:14: spec.seed: the text '1' is not an integer from 0 to 2,147,483,647"),
        ("{seed: true}", "4:14: spec.seed: true is not an integer from 0 to 2,147,483,647"),
        ("{seed: 1.5}", "4:14: spec.seed: 1.5 is not an integer from 0 to 2,147,483,647"),
        ("{seed: [1]}", "4:14: spec.seed: [1] is not an integer from 0 to 2,147,483,647"),
        ("{seed: }", "4:14: spec.seed: null is not an integer from 0 to 2,147,483,647"),
        ("{budget: 3}", "4:16: spec.budget: 3 is not a mapping"),
        ("{pools: {}}", "4:8: spec.pools: {} is not a list of 1 to 32 items, each a mapping"),
        # Out of range, an unknown choice, an empty list.
        (
            "{budget: {maxTrials: 0}}",
            "4:28: spec.budget.maxTrials: 0 is not an integer from 1 to 10,000,000 or unlimited",
        ),
        (
            "{controller: {parallelism: {replicas: all}}}",
            "4:45: spec.controller.parallelism.replicas: all is not auto or an integer from 1 to 10,000",
        ),
        ("{reward: {aggregate: max}}", "4:28: spec.reward.aggregate: max is not one of Max, Min, Mean, Last"),
        (
            "{searchSpace: {convNet: {filters: []}}}",
            "4:41: spec.searchSpace.convNet.filters: [] is not a list of 1 to 32 items, "
            "each an integer from 1 to 4,096",
        ),
        (
            "{searchSpace: {convNet: {filters: [8, -8]}}}",
            "4:45: spec.searchSpace.convNet.filters[1]: -8 is not an integer from 1 to 4,096",
        ),
        (
            "{budget: {maxDuration: 8}}",
            "4:30: spec.budget.maxDuration: 8 is not a duration such as 90s, 45m or 1h30m or null",
        ),
        (
            "{budget: {maxDuration: 8 hours}}",
            "4:30: spec.budget.maxDuration: '8 hours' is not a duration: "
            "write numbers with units, such as 90s, 45m or 1h30m",
        ),
        (
            f"{{reward: {{aggregate: {'x' * 5000}}}}}",
            f"4:28: spec.reward.aggregate: {'x' * 77}... is not one of Max, Min, Mean, Last",
        ),
        # What no single field shows.
        (
            "{pools: [{name: a}, {name: a}]}",
            "4:15: spec.pools: two pools are named 'a': pool names must be unique",
        ),
        (
            "{reward: {metric: val_loss, scale: -1, exponent: 1, failedTrial: {reward: 0}}}",
            "4:8: spec.reward: scale -1 makes rewards negative, and a failed trial, worth 0, would be the best: "
            "set failedTrial.reward below the reward of any that trains",
        ),
        (
            "{controller: {algorithm: {type: PPO}, parallelism: {gradientsPerUpdate: 2}}}",
            "4:8: spec.controller: parallelism.gradientsPerUpdate must be 1 with algorithm.type PPO, which makes "
            "several steps from each batch: to learn from more architectures at a time, set parallelism.batchSize",
        ),
        # Traps of YAML.
        (
            "{pools: [{name: no}]}",
            "4:23: spec.pools[0].name: no is true or false in YAML, "
            "not a name of at most 63 lower-case letters, digits and '-': put it in quotes",
        ),
        ("{seed: 010}", "4:14: spec.seed: 010 can be read as octal or as decimal: write it without the leading zero"),
        (f"{{seed: {'9' * 5000}}}", "4:14: spec.seed: a number of more than 100 digits"),
        ("{reward: {scale: .inf}}", "4:24: spec.reward.scale: .inf is not a finite number"),
        ("{trainer: {parameters: {x: .nan}}}", "4:34: spec.trainer.parameters.x: .nan is not a finite number"),
        (
            "{trainer: {parameters: {x: !!python/name:os.system ''}}}",
            "4:34: spec.trainer.parameters.x: the tag python/name:os.system is not allowed",
        ),
        (
            "{trainer: {parameters: {y: 1}}}",
            "4:31: spec.trainer.parameters.y: the key 'y' is not text in YAML: put it in quotes",
        ),
        ("{trainer: {parameters: {[a]: 1}}}", "4:31: spec.trainer.parameters: a key must be text"),
        ("{seed: 1, seed: 2}", "4:17: spec.seed: given twice, first in line 4"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named_with_its_value_and_what_is_allowed(
    write: Write, spec: str, problem: str
) -> None:
    assert problems(write(f"{HEAD}spec: {spec}\n")) == [f"search.yaml:{problem}"]


def test_what_is_missing_at_the_top_is_named(write: Write) -> None:
    assert problems(write("spec: {}")) == [
        "search.yaml:1:1: apiVersion: is required: kubenas.dev/v1alpha1",
        "search.yaml:1:1: kind: is required: NASSearch",
        "search.yaml:1:1: metadata: is required: a mapping",
    ]


def test_a_section_beside_spec_is_an_unknown_field(write: Write) -> None:
    assert problems(write(HEAD + "budget: {maxTrials: 3}")) == [
        "search.yaml:4:1: budget: unknown field; did you mean spec.budget?"
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("1E+0", 1.0), (".5", 0.5), ("1_0.5", 10.5), ("2", 2.0)],
)
def test_a_number_may_be_written_as_on_a_cluster(write: Write, text: str, value: float) -> None:
    search = load_manifest(write(HEAD + f"spec: {{trainer: {{optimizer: {{learningRate: {text}}}}}}}"))
    assert search.spec.trainer.optimizer.learning_rate == value


@pytest.mark.parametrize(("text", "value"), [("12_800", 12_800), ("1e3", 1000), ("0x10", 16), ("0o10", 8)])
def test_an_integer_may_be_written_as_on_a_cluster(write: Write, text: str, value: int) -> None:
    assert load_manifest(write(HEAD + f"spec: {{seed: {text}}}")).spec.seed == value


@pytest.mark.parametrize("text", ["no", "off", "False", "n"])
def test_the_booleans_of_yaml_1_1_are_booleans_as_on_a_cluster(write: Write, text: str) -> None:
    search = load_manifest(write(HEAD + f"spec: {{searchSpace: {{convNet: {{skipConnections: {text}}}}}}}"))
    assert search.spec.search_space.conv_net.skip_connections is False


def test_a_time_of_day_and_a_date_are_text(write: Write) -> None:
    search = load_manifest(write(HEAD + "spec: {trainer: {parameters: {a: 1:30, b: 2024-01-31}}}"))
    assert search.spec.trainer.parameters == {"a": "1:30", "b": "2024-01-31"}


def test_a_quantity_may_be_a_whole_number(write: Write) -> None:
    search = load_manifest(
        write(HEAD + "spec: {pools: [{name: a, resources: {cpu: 4, nvidia.com/gpu: 1, memory: 2Gi}}]}")
    )
    assert search.spec.pools[0].resources == {"cpu": "4", "nvidia.com/gpu": "1", "memory": "2Gi"}


def test_anchors_and_merge_keys_are_written_out(write: Write) -> None:
    search = load_manifest(
        write(
            HEAD
            + """\
spec:
  pools:
  - &gpu {name: a, replicas: 3, queue: q}
  - {<<: *gpu, name: b}
  trainer: {parameters: {x: &list [1, 2], y1: *list}}
"""
        )
    )
    assert [(pool.name, pool.replicas, pool.queue) for pool in search.spec.pools] == [("a", 3, "q"), ("b", 3, "q")]
    assert search.spec.trainer.parameters == {"x": [1, 2], "y1": [1, 2]}


def test_aliases_that_grow_without_bound_are_refused(write: Write) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (problem,) = problems(write(HEAD + "\n".join(rows)))
    assert "more than 100,000 values when aliases are written out" in problem


def test_an_alias_to_itself_is_refused(write: Write) -> None:
    (problem,) = problems(write(HEAD + "spec: &a {spec: *a}"))
    assert "more than 100 levels of nesting" in problem


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 200_000, "{b: " * 5000])
def test_nesting_without_bound_is_refused(write: Write, text: str) -> None:
    (problem,) = problems(write(text))
    assert problem.endswith("more than 100 levels of nesting")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("spec:\n\tseed: 1\n", "search.yaml:2:1: not YAML: a tab, where YAML is indented with spaces"),
        ("spec: [1, 2\n", "search.yaml:2:1: not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
        ("spec: *nothing\n", "search.yaml:1:7: not YAML: found undefined alias"),
        ("", "search.yaml: is empty: a manifest has apiVersion, kind, metadata and spec"),
        ("---\n# only a comment\n---\n", "search.yaml: is empty: a manifest has apiVersion, kind, metadata and spec"),
        ("just text", "search.yaml:1:1: not a mapping with apiVersion, kind, metadata and spec"),
        ("- a\n- b\n", "search.yaml:1:1: not a mapping with apiVersion, kind, metadata and spec"),
        ("kind: Job\n", "search.yaml: holds no object of kind NASSearch, but Job"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(write: Write, text: str, problem: str) -> None:
    assert problems(write(text)) == [problem]


def test_control_characters_are_refused(write: Write) -> None:
    (problem,) = problems(write("a: \x00\x01"))
    assert problem.startswith("search.yaml: not YAML: unacceptable character")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_bytes(b"\x89PNG\xff")
    assert problems(tmp_path / "search.yaml") == ["search.yaml: not UTF-8 text (at byte 0)"]


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == ["none.yaml: cannot be read: No such file or directory"]
    (tmp_path / "dir.yaml").mkdir()
    assert problems(tmp_path / "dir.yaml") == ["dir.yaml: cannot be read: Is a directory"]


def test_a_file_too_large_is_refused_unread(write: Write) -> None:
    assert problems(write("#" * (1024 * 1024 + 1))) == ["search.yaml: larger than 1 MiB: this is hardly a manifest"]


def test_other_objects_of_the_file_are_ignored(write: Write) -> None:
    search = load_manifest(write(f"kind: Secret\nstringData: {{a: b}}\n---\n{HEAD}---\n---\nkind: ConfigMap\n"))
    assert search.metadata.name == "demo"


def test_two_searches_in_one_file_are_refused(write: Write) -> None:
    assert problems(write(f"{HEAD}---\n{HEAD}")) == ["search.yaml: holds 2 NASSearches, in lines 1, 5: leave one in it"]


def test_a_search_read_back_from_a_cluster_is_read(write: Write) -> None:
    search = load_manifest(
        write(
            "apiVersion: kubenas.dev/v1alpha1\nkind: NASSearch\n"
            "metadata: {name: demo, namespace: team, uid: 12, generation: 3, labels: {a: b}, managedFields: []}\n"
            "status: {anything: [1, 2]}\n".replace("12", "'12'")
        )
    )
    assert search.full_name == "team/demo"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("spec.budget.maxTrials=20", lambda spec: spec.budget.max_trials == 20),
        ("spec.budget.maxTrials=unlimited", lambda spec: spec.budget.max_trials is None),
        ("spec.pools[0].replicas=2", lambda spec: spec.pools[0].replicas == 2),
        ("spec.pools.0.replicas=2", lambda spec: spec.pools[0].replicas == 2),
        ("spec.pools[1]={name: b}", lambda spec: [pool.name for pool in spec.pools] == ["default", "b"]),
        ('spec.pools[0].resources["a.com/gpu"]=1', lambda spec: spec.pools[0].resources == {"a.com/gpu": "1"}),
        (r"spec.pools[0].resources.a\.com/gpu=1", lambda spec: spec.pools[0].resources == {"a.com/gpu": "1"}),
        ("spec.searchSpace.convNet.filters=[8, 16]", lambda spec: spec.search_space.conv_net.filters == (8, 16)),
        ("spec.trainer.dataset.path=s3://bucket/x=y", lambda spec: spec.trainer.dataset.path == "s3://bucket/x=y"),
        ("spec.trainer.parameters.a.b=1", lambda spec: spec.trainer.parameters == {"a": {"b": 1}}),
    ],
)  # fmt: skip
def test_an_override_sets_one_field(write: Write, override: str, value: Callable[[object], bool]) -> None:
    assert value(load_manifest(write(HEAD), [override]).spec)


def test_an_override_wins_over_the_file_and_a_later_one_over_an_earlier(write: Write) -> None:
    path = write(HEAD + "spec: {seed: 1, trainer: {epochs: 3}}")
    spec = load_manifest(path, ["spec.seed=2", "spec.seed=3"]).spec
    assert (spec.seed, spec.trainer.epochs) == (3, 3)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("spec.seed=x", "spec.seed: the text 'x' is not an integer from 0 to 2,147,483,647"),
        ("spec.trainer.epoch=3", "spec.trainer.epoch: unknown field; did you mean epochs?"),
        ("budget.maxTrials=3", "budget: unknown field; did you mean spec.budget?"),
        ("spec.pools[3].name=x", "spec.pools has 1 items, so that the next to add is spec.pools[1]"),
        ("spec.pools.name=x", "spec.pools is a list: name one of its items, such as spec.pools[0]"),
        ("spec[0]=x", "spec is a mapping, not a list"),
        ("spec.seed.x=1", "spec.seed is 7 and has no fields"),
        ("spec.seed", "not of the form path=value, such as spec.budget.maxTrials=20"),
        ("=3", "not of the form path=value, such as spec.budget.maxTrials=20"),
        ("spec.seed=", "not of the form path=value, such as spec.budget.maxTrials=20"),
        ("spec..seed=1", "not of the form path=value, such as spec.budget.maxTrials=20"),
        ("spec.seed.=1", "not of the form path=value, such as spec.budget.maxTrials=20"),
        ("spec.seed=[1", "not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
        ("spec.seed=010", "010 can be read as octal or as decimal: write it without the leading zero"),
    ],
)
def test_an_override_that_cannot_be_used_is_named(write: Write, override: str, problem: str) -> None:
    assert problems(write(HEAD + "spec: {seed: 7}"), override) == [f"--set {override}: {problem}"]


def test_a_dumped_manifest_has_the_fields_that_were_set_and_no_others(write: Write) -> None:
    text = HEAD + "spec: {seed: 3, trainer: {epochs: 5}, pools: [{name: a}]}\n"
    dumped = dump_manifest(load_manifest(write(text), ["spec.budget.maxTrials=4"]))
    assert yaml.safe_load(dumped) == {
        **yaml.safe_load(text),
        "spec": {"seed": 3, "trainer": {"epochs": 5}, "pools": [{"name": "a"}], "budget": {"maxTrials": 4}},
    }


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aZ09é漢😀 \n\t:#-'\"{[&*!|>%@`,?\\\x07\x85\u2028", max_size=20)
    | st.sampled_from(["no", "1e-3", "010", "0x1", "1_0", "null", "~", "", "<<", "y", ".5", "1:30", "# x", "a: b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abyn0.-", min_size=1, max_size=4), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(parameters=st.dictionaries(st.text("abyno.-1~", min_size=1, max_size=5), json_values, max_size=4))
def test_what_is_dumped_reads_back_the_same_whatever_the_parameters(
    tmp_path_factory: pytest.TempPathFactory, parameters: dict[str, object]
) -> None:
    search = NASSearch.model_validate(
        {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASSearch",
            "metadata": {"name": "demo"},
            "spec": {"trainer": {"task": "package.module:train", "parameters": parameters}, "reward": {"metric": "no"}},
        }
    )
    path = tmp_path_factory.getbasetemp() / "dumped.yaml"
    path.write_text(dump_manifest(search), encoding="utf-8")
    assert load_manifest(path) == search


def test_a_search_may_change_its_budget_pools_and_pauses(write: Write) -> None:
    old = load_manifest(write(HEAD))
    new = load_manifest(
        write(HEAD),
        ["spec.budget.maxTrials=3", "spec.pools[0].replicas=9", "spec.suspend=true", "spec.trainer.epochs=2"],
    )
    assert immutable_differences(old, new) == []


def test_a_default_that_is_written_out_is_no_difference(write: Write) -> None:
    old = load_manifest(write(HEAD))
    new = load_manifest(write(HEAD), ["spec.seed=0", "spec.searchSpace.convNet.filters=[24, 36, 48, 64]"])
    assert immutable_differences(old, new) == []


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("metadata.name=other", 'metadata.name: "demo" became "other"'),
        ("spec.seed=1", "spec.seed: 0 became 1"),
        (
            "spec.searchSpace.convNet.filters=[24]",
            "spec.searchSpace.convNet.filters: [24, 36, 48, 64] became [24]",
        ),
        ("spec.controller.policy.hiddenSize=10", "spec.controller.policy.hiddenSize: 35 became 10"),
        ("spec.controller.algorithm.type=Random", 'spec.controller.algorithm.type: "REINFORCE" became "Random"'),
        ("spec.trainer.dataset.path=/data", 'spec.trainer.dataset.path: "digits" became "/data"'),
        ("spec.reward.exponent=2", "spec.reward.exponent: 3.0 became 2.0"),
    ],
)
def test_another_search_is_told_by_the_fields_that_changed(write: Write, override: str, difference: str) -> None:
    path = write(HEAD)
    assert immutable_differences(load_manifest(path), load_manifest(path, [override])) == [difference]


CHOICES = """\
spec:
  searchSpace:
    type: Discrete
    discrete:
      choices:
        - {name: depth, values: [1, 2]}
        - {name: layers, repeat: depth, choices: [{name: heads, values: [2, 4]}]}
  trainer: {task: "mine:train"}
  reward: {metric: score}
"""


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        (
            "values: [2, 4]",
            "values: [2, 8]",
            "spec.searchSpace.discrete.choices[1].choices[0].values: [2, 4] became [2, 8]",
        ),
        (
            "{name: depth, values: [1, 2]}",
            "{name: depth, values: [1, 2], when: {}}",
            "",
        ),
        (
            "heads, values: [2, 4]}]}",
            "heads, values: [2, 4]}]}\n        - {name: rate, values: [0.1]}",
            'spec.searchSpace.discrete.choices[2]: nothing became {"name": "rate", "values": [0.1], "when": {}, '
            '"repeat": null, "choices": []}',
        ),
    ],
)
def test_choices_that_changed_are_told_one_by_one(write: Write, before: str, after: str, difference: str) -> None:
    old = load_manifest(write(HEAD + CHOICES))
    new = load_manifest(write(HEAD + CHOICES.replace(before, after)))
    assert immutable_differences(old, new) == ([difference] if difference else [])


def test_a_long_value_is_told_in_part(write: Write) -> None:
    path = write(HEAD)
    (difference,) = immutable_differences(
        load_manifest(path), load_manifest(path, [f"spec.trainer.dataset.path={'x' * 500}"])
    )
    assert difference == f'spec.trainer.dataset.path: "digits" became "{"x" * 96}...'
