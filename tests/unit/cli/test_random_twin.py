"""The random twin of a search is the same search but for the policy, in a directory beside it."""

import io
import shutil
from pathlib import Path

import pytest
from nas_api.manifest import dump_manifest, load_manifest
from nas_cli.failure import BadInput
from nas_cli.random_twin import random_twin, twin_directory
from nas_cli.running.report import print_report
from nas_cli.state_directory import StateDirectory
from rich.console import Console


def test_it_differs_in_its_name_and_the_type_of_its_algorithm_alone(state: Path, tmp_path: Path) -> None:
    search = load_manifest(
        state / "search.yaml", ["spec.seed=7", "spec.controller.algorithm.reinforce.learningRate=0.1"]
    )
    (tmp_path / "twin.yaml").write_text(dump_manifest(random_twin(search)))
    twin = load_manifest(tmp_path / "twin.yaml")
    assert twin.metadata.name == "digits-random"
    assert twin.spec.controller.algorithm.type == "Random"
    assert load_manifest(
        tmp_path / "twin.yaml", ["metadata.name=digits", "spec.controller.algorithm.type=REINFORCE"]
    ) == search  # fmt: skip


def test_a_long_name_is_shortened(state: Path) -> None:
    twin = random_twin(load_manifest(state / "search.yaml", [f"metadata.name={'a' * 52}"]))
    assert twin.metadata.name == "a" * 45 + "-random"


def test_a_search_that_is_random_has_no_twin(state: Path) -> None:
    search = load_manifest(state / "search.yaml", ["spec.controller.algorithm.type=Random"])
    with pytest.raises(BadInput, match="its own random twin"):
        random_twin(search)


@pytest.mark.parametrize(
    ("path", "expected"), [("runs/a", "runs/a-random"), ("a/", "a-random"), ("/x/b.c", "/x/b.c-random")]
)
def test_it_lives_beside_its_search(path: str, expected: str) -> None:
    assert twin_directory(Path(path)) == Path(expected)


def test_it_lives_beside_its_search_also_when_that_is_named_by_dots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert twin_directory(Path()) == tmp_path / "a" / "b-random"
    assert twin_directory(Path("..")) == tmp_path / "a-random"


def test_the_report_of_a_search_with_a_twin_says_how_to_compare_them(state: Path) -> None:
    def said() -> str:
        console = Console(file=io.StringIO(), width=200)
        print_report(StateDirectory(state), console, ["nas", "run", "a.yaml"])
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "nas compare" not in said()
    shutil.copytree(state, twin_directory(state))
    assert f"nas compare {state}-random {state}" in said()
