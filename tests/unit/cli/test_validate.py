"""`nas validate` says what a manifest asks for, or everything that is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from nas_cli.manifest import describe, read_manifest
from typer.testing import Result

Nas = Callable[..., Result]


@pytest.fixture
def manifest(state: Path) -> Path:
    return state / "search.yaml"


def test_a_valid_manifest_is_described(nas: Nas, manifest: Path) -> None:
    valid = nas("validate", manifest, "--set", "spec.budget.maxTrials=40", "--set", "spec.seed=3")
    assert valid.exit_code == 0
    assert "is valid" in valid.stdout
    assert "40 trials" in valid.stdout
    assert "2 epochs" in valid.stdout
    assert "1 * max(val_accuracy of the last 5 reports) ^ 3" in valid.stdout


def test_the_description_names_every_bound(manifest: Path) -> None:
    overrides = ["spec.budget.maxTrials=unlimited", "spec.budget.maxDuration=2h", "spec.budget.targetReward=0.9"]
    assert "ends at    2h or a reward of 0.9" in describe(read_manifest(manifest, overrides))
    assert "no bound" in describe(read_manifest(manifest, ["spec.budget.maxTrials=unlimited"]))


def test_everything_that_is_wrong_is_told_at_once(nas: Nas, manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("maxTrials: 12", "maxTrials: 0") + "  sede: 3\n")
    failed = nas("validate", manifest)
    assert failed.exit_code == 2
    assert failed.stdout == ""
    assert f"{manifest}:9" in failed.stderr
    assert "maxTrials" in failed.stderr
    assert "did you mean seed?" in failed.stderr


def test_a_bad_override_is_told(nas: Nas, manifest: Path) -> None:
    failed = nas("validate", manifest, "--set", "spec.budget.maxTrials=many")
    assert failed.exit_code == 2
    assert "--set spec.budget.maxTrials=many" in failed.stderr
