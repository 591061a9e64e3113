"""`export_language_model`: writes `model.py`, `model.safetensors` and `vocabulary.json`, and checks that they agree."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from nas_api.architectures import RecurrentCell
from nas_api.architectures.language_model_source import write_language_model_source
from nas_api.spec.trainer import LanguageModel, Trainer
from nas_child.data.cache import default_cache
from nas_child.data.text_division import load_search_text
from nas_child.network import LanguageModelNetwork
from nas_child.trained import VOCABULARY, WEIGHTS, load_metrics, write_vocabulary
from safetensors.torch import load_file, save_file

from nas_cli.exporting.exported import load_network
from nas_cli.failure import Failure

_TOLERANCE = 1e-4


def export_language_model(
    cell: RecurrentCell, trainer: Trainer, title: str, trained: Path, directory: Path, tell: Callable[[str], None]
) -> Mapping[str, Any] | None:
    """Writes the files into `directory`, which is made if need be.

    Args:
        cell: the architecture.
        trainer: of the search: sizes, and the text, for a cell that has not been trained to the end.
        title: of the module.
        trained: where `nas train` keeps weights, metrics and vocabulary.
        directory: where to write.
        tell: takes what has been done, in words.

    Returns:
        The metrics of the final training. None: there was none, and the weights are random.

    Raises:
        TaskError: the text cannot be read.
        Failure: the files do not give the scores that the network gives here.
        OSError: a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    settings = trainer.language_model
    metrics = load_metrics(trained)
    if metrics is not None:
        settings = LanguageModel.model_validate(metrics["language_model"])
        shutil.copyfile(trained / VOCABULARY, directory / VOCABULARY)
    else:
        tokens = load_search_text(trainer.dataset, settings, default_cache()).vocabulary.tokens
        write_vocabulary(directory, tokens)
    vocabulary = len(json.loads((directory / VOCABULARY).read_text(encoding="utf-8")))
    torch.manual_seed(0)
    ours = LanguageModelNetwork(cell, settings, vocabulary)
    if metrics is not None:
        ours.load_state_dict(load_file(trained / WEIGHTS))
    source = directory / "model.py"
    source.write_text(write_language_model_source(cell, settings, title, vocabulary, WEIGHTS))
    # Shared embeddings share their memory, which the format does not know.
    save_file({name: value.clone().contiguous() for name, value in ours.state_dict().items()}, directory / WEIGHTS)
    theirs = load_network(source)
    theirs.load_state_dict(load_file(directory / WEIGHTS))
    _compare(ours, theirs, vocabulary)
    tell(f"{source} and {WEIGHTS} give the same scores as the network of the search")
    tell(f"{directory / VOCABULARY} lists the tokens: the first has number 0")
    return metrics


def _compare(ours: LanguageModelNetwork, theirs: torch.nn.Module, vocabulary: int) -> None:
    tokens = torch.randint(vocabulary, (4, 2), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted, _ = ours.eval()(tokens, ours.initial_state(2))
        got, _ = theirs.eval()(tokens)
    difference = ((wanted - got).abs().max() / wanted.abs().max().clamp(min=1e-6)).item()
    if not difference <= _TOLERANCE:  # so written, a NaN fails, too
        raise Failure(
            f"model.py differs from the network of the search by {difference:.2g} of the largest score: do not use it. "
            "Please report this, with the trial's architecture"
        )
