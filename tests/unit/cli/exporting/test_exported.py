"""`export` writes three files that give the outputs of the network, and refuses to be content with less."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it has none
import pytest
import torch
from nas_api.architectures import (
    AveragePooling,
    BatchNormalization,
    ConvNet,
    Convolution,
    ImageShape,
    Layer,
    MaxPooling,
)
from nas_api.architectures.pytorch_source import Standardization, write_source
from nas_child.network import ConvolutionalNetwork
from nas_cli.exporting import exported
from nas_cli.exporting.exported import export, load_network
from nas_cli.exporting.subject import Subject
from nas_cli.failure import Failure
from safetensors.torch import load_file

torch.set_num_threads(1)

# Every kind of layer, windows of odd and even size, strides, inputs of several sizes, two loose ends.
ARCHITECTURE = ConvNet(
    layers=(
        Layer(operation=Convolution(filter_height=3, filter_width=5, filters=6)),
        Layer(operation=MaxPooling(size=2, stride=2), inputs=(0,)),
        Layer(operation=Convolution(filter_height=2, filter_width=3, filters=5, stride_width=3), inputs=(0, 1)),
        Layer(operation=AveragePooling(size=2, stride=2), inputs=(0,)),
        Layer(operation=AveragePooling(size=3, stride=1), inputs=(2, 3)),
        Layer(operation=BatchNormalization(), inputs=()),
        Layer(operation=MaxPooling(size=3, stride=2), inputs=(4, 5)),
    )
)
IMAGE = ImageShape(3, 9, 10)
STANDARDIZATION = Standardization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def subject() -> Subject:
    torch.manual_seed(1)
    network = ConvolutionalNetwork(ARCHITECTURE, IMAGE, 4)
    return Subject(ARCHITECTURE, IMAGE, 4, "A network", network.state_dict(), STANDARDIZATION, None)


def test_code_weights_and_onnx_give_the_outputs_of_the_network_for_any_batch_size(tmp_path: Path) -> None:
    told: list[str] = []
    export(subject(), tmp_path / "deep" / "out", told.append)

    out = tmp_path / "deep" / "out"
    assert sorted(file.name for file in out.iterdir() if file.is_file()) == [
        "model.onnx", "model.py", "model.safetensors",
    ]  # fmt: skip
    network = load_network(out / "model.py")
    network.load_state_dict(load_file(out / "model.safetensors"))
    network.eval()
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    ours = ConvolutionalNetwork(ARCHITECTURE, IMAGE, 4)
    ours.load_state_dict(dict(subject().weights))
    ours.eval()
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (STANDARDIZATION.mean, STANDARDIZATION.deviation))
    for batch in (1, 2, 17):
        pixels = torch.rand(batch, *IMAGE)
        with torch.inference_mode():
            expected = ours((pixels - mean) / deviation)
            torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=1e-5)
        scores = session.run(["scores"], {"images": pixels.numpy()})[0]
        np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert len(told) == 2


def test_a_file_that_differs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = write_source

    def wrong(*arguments: Any, **named: Any) -> str:
        source = right(*arguments, **named)
        return source.replace("x5 = self.pool5(concatenate(x3, x4))", "x5 = self.pool5(concatenate(x4, x3))")

    monkeypatch.setattr(exported, "write_source", wrong)
    with pytest.raises(Failure, match=r"model\.py differs"):
        export(subject(), tmp_path, lambda _: None)
