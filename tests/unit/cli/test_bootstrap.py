"""The best architectures of a search as the beginning of another one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from nas_api.manifest import dump_manifest, load_manifest
from nas_api.spec import NASSearch
from nas_cli.bootstrap import warm_started
from nas_cli.failure import BadInput
from nas_cli.state_directory import StateDirectory
from typer.testing import Result

from .conftest import architecture

Nas = Callable[..., Result]

SPACE = "{layerTypes: [Convolution, MaxPooling], filters: [9, 10, 11, 12, 13, 14, 15, 16]}"
HEAD = "apiVersion: kubenas.dev/v1alpha1\nkind: NASSearch\nmetadata: {name: next}\n"


def manifest(directory: Path, space: str = SPACE, more: str = "") -> Path:
    path = directory / "next.yaml"
    path.write_text(f"{HEAD}spec:\n  searchSpace:\n    convNet: {space}\n{more}")
    return path


def digests(search: NASSearch) -> list[str]:
    return [given.architecture.digest for given in search.spec.controller.bootstrap.architectures]


BEST = [architecture(trial).digest for trial in (3, 8, 7)]


def begin(directory: Path, search: NASSearch) -> StateDirectory:
    """A state directory as `nas run` leaves it."""
    directory.mkdir(exist_ok=True)
    (directory / "search.yaml").write_text(dump_manifest(search))
    return StateDirectory(directory)


def test_the_section_that_is_printed_is_one_of_a_manifest(nas: Nas, state: Path, tmp_path: Path) -> None:
    printed = nas("bootstrap", "-s", state, "--top", 3)
    assert printed.exit_code == 0, printed.stderr
    assert yaml.safe_load(printed.stdout).keys() == {"controller"}
    indented = "".join(f"  {line}\n" for line in printed.stdout.splitlines())
    path = manifest(tmp_path, more=indented)
    assert digests(load_manifest(path)) == BEST
    valid = nas("validate", path)
    assert valid.exit_code == 0, valid.stderr
    assert "begins with 3 architectures" in valid.stdout


def test_a_manifest_whose_architectures_are_outside_its_space_is_refused_with_each_of_them(
    nas: Nas, state: Path, tmp_path: Path
) -> None:
    printed = nas("bootstrap", "-s", state, "--top", 2).stdout
    indented = "".join(f"  {line}\n" for line in printed.splitlines())
    path = manifest(tmp_path, "{filters: [8, 16]}", indented)
    refused = nas("validate", path)
    assert refused.exit_code == 2
    assert "controller.bootstrap.architectures[0] is not in the search space: layer 0: filters is 11" in refused.stderr
    assert "controller.bootstrap.architectures[1] is not in the search space" in refused.stderr


def test_a_search_without_a_success_has_nothing_to_begin_with(nas: Nas, state: Path) -> None:
    (state / "journal.sqlite").unlink()
    refused = nas("bootstrap", "-s", state)
    assert refused.exit_code == 2


def test_a_warm_start_begins_with_the_best_of_the_earlier_search(state: Path, tmp_path: Path) -> None:
    search = warm_started(load_manifest(manifest(tmp_path)), StateDirectory(tmp_path / "new"), state, 3)
    assert digests(search) == BEST
    assert digests(load_manifest(begin(tmp_path / "new", search).manifest)) == BEST


@pytest.mark.parametrize("again", [True, False], ids=["with the option", "without it"])
def test_a_search_that_was_warm_started_goes_on_with_what_it_began_with(
    state: Path, tmp_path: Path, again: bool
) -> None:
    given = load_manifest(manifest(tmp_path))
    directory = begin(tmp_path / "new", warm_started(given, StateDirectory(tmp_path / "new"), state, 3))
    assert digests(warm_started(given, directory, state if again else None, 1)) == BEST


def test_a_search_that_has_begun_without_a_warm_start_cannot_have_one(state: Path, tmp_path: Path) -> None:
    given = load_manifest(manifest(tmp_path))
    directory = begin(tmp_path / "new", given)
    with pytest.raises(BadInput, match="has begun without a warm start"):
        warm_started(given, directory, state, 3)
    assert warm_started(given, directory, None, 3) == given


def test_a_warm_start_from_a_search_in_another_space_names_what_is_outside(state: Path, tmp_path: Path) -> None:
    given = load_manifest(manifest(tmp_path, "{filters: [8, 16]}"))
    with pytest.raises(BadInput, match=r"architectures\[0\] is not in the search space: layer 0: filters is 11"):
        warm_started(given, StateDirectory(tmp_path / "new"), state, 3)


def test_a_warm_start_beside_a_bootstrap_of_the_manifest_is_refused(state: Path, tmp_path: Path) -> None:
    search = warm_started(load_manifest(manifest(tmp_path)), StateDirectory(tmp_path / "new"), state, 3)
    with pytest.raises(BadInput, match="leave one of them out"):
        warm_started(search, StateDirectory(tmp_path / "new"), state, 3)
