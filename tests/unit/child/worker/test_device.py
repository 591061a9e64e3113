"""Which device a worker takes."""

from pathlib import Path

import pytest
from nas_child.device import DeviceError, choose


@pytest.fixture
def two_gpus(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "visible_before", "device", "visible_after"),
    [
        ("auto", None, "cuda:0", "0"),
        ("cuda", None, "cuda:0", "0"),
        ("cuda:1", None, "cuda:0", "1"),
        ("cuda:1", "4,7", "cuda:0", "7"),
        ("auto", "GPU-abc,GPU-def", "cuda:0", "GPU-abc"),
        ("auto", "", "cpu", ""),
        ("cpu", None, "cpu", ""),
        ("cpu", "0,1", "cpu", ""),
    ],
)
def test_the_chosen_device_is_the_only_visible_one(
    two_gpus: Path, wanted: str, visible_before: str | None, device: str, visible_after: str
) -> None:
    environment = {} if visible_before is None else {"CUDA_VISIBLE_DEVICES": visible_before}
    assert choose(wanted, environment, two_gpus) == device
    assert environment["CUDA_VISIBLE_DEVICES"] == visible_after


def test_without_a_gpu_auto_is_the_cpu(tmp_path: Path) -> None:
    assert choose("auto", {}, tmp_path) == "cpu"


@pytest.mark.parametrize(
    ("wanted", "visible", "message"),
    [
        ("cuda:2", None, "device cuda:2 is not here: this worker sees 2 GPUs"),
        ("cuda:1", "3", r"this worker sees 1 GPU \(CUDA_VISIBLE_DEVICES=3\)"),
        ("cuda:0", "", r"this worker sees no GPU \(CUDA_VISIBLE_DEVICES=\)"),
        ("gpu", None, "device 'gpu' is none of cpu, cuda:0, cuda:1, ... and auto"),
        ("cuda:-1", None, "is none of"),
    ],
)
def test_a_device_that_is_not_here_is_an_error_that_says_what_is(
    two_gpus: Path, wanted: str, visible: str | None, message: str
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(DeviceError, match=message):
        choose(wanted, environment, two_gpus)
