"""The generated reference, and the command line of the generators."""

from pathlib import Path

import pytest
from nas_api.generation import write_or_check
from nas_api.reference import reference_files
from nas_api.spec import NASSearch
from nas_api.spec.schema import fields, inlined_schema

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(reference_files()))
def test_the_generated_page_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == reference_files()[name]


def test_every_field_has_a_row_with_a_description() -> None:
    page = reference_files()["nassearch.md"]
    for path, schema in fields(inlined_schema(NASSearch)):
        assert schema["description"].strip() or path[-1] == 0, path
        if path[-1] != 0:
            assert f"| `{path[-1]}` |" in page


def test_a_section_is_linked_to_by_the_field_above_it() -> None:
    page = reference_files()["nassearch.md"]
    assert "| `convNet` | [mapping](#specsearchspaceconvnet) |" in page
    assert "\n## spec.searchSpace.convNet\n" in page
    assert "| `pools` | [list of mappings](#specpools) | one named `default` |" in page
    assert "\n## spec.pools[]\n" in page


def test_both_exponents_of_the_language_reward_are_explained() -> None:
    page = reference_files()["nassearch.md"]
    assert "k = 3" in page
    assert "k = 2" in page


def test_generated_files_are_written_and_then_pass_the_check(tmp_path: Path) -> None:
    arguments = ["-o", str(tmp_path / "out")]
    assert write_or_check({"a.md": "text\n"}, "", [*arguments, "--check"]) == 1
    assert not (tmp_path / "out").exists()
    assert write_or_check({"a.md": "text\n"}, "", arguments) == 0
    assert (tmp_path / "out" / "a.md").read_text() == "text\n"
    assert write_or_check({"a.md": "text\n"}, "", [*arguments, "--check"]) == 0


def test_a_file_that_differs_fails_the_check_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.md").write_text("old")
    assert write_or_check({"a.md": "new"}, "", ["-o", str(tmp_path), "--check"]) == 1
    assert "a.md is not what the models say" in capsys.readouterr().err
    assert (tmp_path / "a.md").read_text() == "old"
