"""`export`: writes `model.py`, `model.safetensors` and `model.onnx`, and checks that all three say the same."""

import importlib.util
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from nas_api.architectures.pytorch_source import Standardization, write_source
from nas_child.network import ConvolutionalNetwork
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas_cli.exporting.subject import Subject
from nas_cli.failure import Failure

# Sums in another order differ in the last digits of float32, relative to the largest score.
_TOLERANCE = 1e-4
_BATCHES = (3, 8)


def export(subject: Subject, directory: Path, tell: Callable[[str], None]) -> None:
    """Writes the files into `directory`, which is made if need be.

    Raises:
        Failure: a file does not give the outputs that the network gives here.
        OSError: a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ours = ConvolutionalNetwork(subject.architecture, subject.image, subject.classes, subject.epsilon)
    ours.load_state_dict(dict(subject.weights))
    ours.eval()

    source = directory / "model.py"
    source.write_text(
        write_source(
            subject.architecture,
            subject.image,
            subject.classes,
            subject.title,
            subject.standardization,
            weights="model.safetensors",
            epsilon=subject.epsilon,
        )
    )
    module = load_network(source)
    save_file(renamed_weights(ours, module), directory / "model.safetensors")
    module.load_state_dict(load_file(directory / "model.safetensors"))
    module.eval()
    batches = [torch.rand(batch, *subject.image, generator=torch.Generator().manual_seed(batch)) for batch in _BATCHES]
    expected = [_scores(ours, _standardized(batch, subject.standardization)) for batch in batches]
    _compare("model.py", expected, [_scores(module, batch) for batch in batches])
    tell(f"{source} and model.safetensors give the same outputs as the network of the search")

    onnx = directory / "model.onnx"
    _write_onnx(module, batches[0], onnx)
    _compare("model.onnx", expected, _run_onnx(onnx, batches))
    tell(f"{onnx} gives the same outputs under onnxruntime")


def load_network(source: Path) -> nn.Module:
    """The `Network` of an exported module, with random weights."""
    spec = importlib.util.spec_from_file_location("exported_model", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.Network()
    return network


def renamed_weights(ours: nn.Module, theirs: nn.Module) -> dict[str, Tensor]:
    """The weights of `ours` under the names of `theirs`: both have the same layers in the same order."""
    state, names = ours.state_dict(), theirs.state_dict()
    assert [value.shape for value in state.values()] == [value.shape for value in names.values()]
    return {name: value.contiguous() for name, value in zip(names, state.values(), strict=True)}


def _scores(network: nn.Module, images: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    with torch.inference_mode():
        scores: Tensor = network(images)
    return scores.numpy()


def _standardized(images: Tensor, standardization: Standardization | None) -> Tensor:
    if standardization is None:
        return images
    mean, deviation = (torch.tensor(v).view(-1, 1, 1) for v in (standardization.mean, standardization.deviation))
    return (images - mean) / deviation


def _compare(
    what: str,
    expected: "list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]",
    found: "list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]",
) -> None:
    for wanted, got in zip(expected, found, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-6)
        difference = float(np.abs(wanted - got).max()) / scale
        if not difference <= _TOLERANCE:  # so written, a NaN fails, too
            raise Failure(
                f"{what} differs from the network of the search by {difference:.2g} of the largest score: "
                "do not use it. Please report this, with the trial's architecture"
            )


def _write_onnx(network: nn.Module, images: Tensor, path: Path) -> None:
    # The exporter prints its steps and warns of its own deprecations.
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            network,
            (images,),
            path,
            dynamo=True,
            input_names=["images"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )


def _run_onnx(path: Path, batches: list[Tensor]) -> "list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]":
    import onnxruntime  # type: ignore[import-untyped]  # it has none

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(["scores"], {"images": batch.numpy()})[0] for batch in batches]
