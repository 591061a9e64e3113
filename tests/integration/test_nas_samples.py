"""Every manifest that a user finds in the repository is valid."""

from pathlib import Path

import pytest

from tests.integration.nas_program import Workplace

ROOT = Path(__file__).parents[2]
MANIFESTS = sorted([*ROOT.glob("manifests/samples/*.yaml"), *ROOT.glob("examples/**/*.yaml")])


def test_the_samples_are_found() -> None:
    assert {"digits.yaml", "fashion-mnist.yaml", "cifar10.yaml", "search.yaml"} <= {path.name for path in MANIFESTS}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_sample_is_valid(manifest: Path, tmp_path: Path) -> None:
    done = Workplace(tmp_path).nas("validate", manifest)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout
