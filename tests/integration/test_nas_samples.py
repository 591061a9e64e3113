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


def test_nas_run_lets_be_what_only_a_cluster_has(tmp_path: Path) -> None:
    """The same manifest runs here and there: no claim, image, Secret or GPU is looked for."""
    workplace = Workplace(tmp_path)
    workplace.write_manifest(
        "  trainer:",
        "    epochs: 1",
        "    image: registry.example/child:1",
        "    volumes: [{claimName: nowhere, mountPath: /data}]",
        "    environment: {COLOUR: green}",
        "    environmentSecret: nothing",
        "    egress: [{cidr: 10.0.0.0/8}]",
        "  pools: [{name: gpus, resources: {nvidia.com/gpu: 8}, queue: none, priorityClassName: low}]",
        trials=1,
    )
    done = workplace.nas("run", workplace.manifest, "--state", workplace.state, "--workers", "1", "--no-live")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not {"nowhere", "COLOUR", "nvidia"} & set((done.stdout + done.stderr).split())
