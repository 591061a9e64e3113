"""The sample manifests are valid, and are what their comments say."""

from pathlib import Path

import pytest
from nas_api.manifest import load_manifest
from nas_api.spec import Dataset, NASSearchSpec, Trainer, Volume
from nas_api.spec.controller import Controller, Parallelism
from nas_cli.manifest import describe

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"
SAMPLE_NAMES = ["digits", "fashion-mnist", "cifar10", "spot", "characters", "words"]


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_sample_is_valid_and_named_like_its_file(name: str) -> None:
    search = load_manifest(SAMPLES / f"{name}.yaml")
    assert search.metadata.name == name
    assert describe(search)


def test_every_sample_is_tested_here() -> None:
    assert {file.stem for file in SAMPLES.glob("*.yaml")} == set(SAMPLE_NAMES)


def test_the_paper_s_settings_are_the_defaults_except_for_data_workers_and_replicas() -> None:
    spec = load_manifest(SAMPLES / "cifar10.yaml").spec
    own = {"path": "/data/cifar10", "format": "CIFAR10"}
    assert spec.trainer.dataset == Dataset.model_validate(own)
    assert spec.trainer == Trainer(
        dataset=spec.trainer.dataset,
        augmentation="CropFlip",
        volumes=(Volume(claim_name="cifar10", mount_path="/data"),),
    )
    assert spec.controller == Controller(parallelism=Parallelism(replicas=100, batch_size=8))
    defaults = NASSearchSpec()
    others = {"trainer": defaults.trainer, "pools": defaults.pools, "controller": defaults.controller}
    assert spec.model_copy(update=others) == defaults
