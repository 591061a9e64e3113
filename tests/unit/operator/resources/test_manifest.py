"""The ConfigMap with the manifest: controller and workers read the search that the cluster holds."""

from pathlib import Path

import pytest
import yaml
from nas_api.manifest import load_manifest
from nas_api.spec import NASSearch
from nas_operator.resources.manifest import build_manifest

from tests.unit.operator.resources.searches import FULL_SPEC, UID, edited, search_of

ROOT = Path(__file__).parents[4]
SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))


def read_back(search: NASSearch, tmp_path: Path) -> NASSearch:
    file = tmp_path / "search.yaml"
    file.write_text(build_manifest(search)["data"]["search.yaml"])
    return load_manifest(file)


@pytest.mark.parametrize(
    "spec",
    [{}, FULL_SPEC, {"budget": {"maxTrials": "unlimited", "targetReward": 0.9}}, {"controller": {"resources": {}}}],
    ids=["defaults", "full", "unlimited", "emptied"],
)
def test_the_manifest_is_read_back_as_it_was(spec: dict[str, object], tmp_path: Path) -> None:
    search = search_of(spec)
    assert read_back(search, tmp_path) == search


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_read_back_as_they_were(sample: Path, tmp_path: Path) -> None:
    search = load_manifest(sample)
    assert read_back(search, tmp_path).spec == search.spec


def test_only_what_is_not_the_default_is_written_so_that_an_older_controller_can_read_it() -> None:
    # The API server writes all defaults out, also those of fields that are newer than the controller.
    defaults = search_of().model_dump(mode="json", by_alias=True)["spec"]
    document = yaml.safe_load(build_manifest(search_of(defaults))["data"]["search.yaml"])
    assert document == {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "digits", "namespace": "research", "uid": UID},
    }


def test_the_status_changes_nothing() -> None:
    search = search_of()
    later = NASSearch.model_validate(search.model_dump() | {"status": {"updates": 7}})
    assert build_manifest(later) == build_manifest(search)


def test_an_edit_is_seen() -> None:
    assert build_manifest(search_of(edited({}, "budget.maxTrials", 7))) != build_manifest(search_of())
