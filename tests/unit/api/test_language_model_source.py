"""The PyTorch source of a language model: it computes what the network of the search computes, and stands alone."""

import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_api.architectures import RecurrentCell
from nas_api.architectures.language_model_source import write_language_model_source
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_api.spec.trainer import LanguageModel
from nas_child.network import LanguageModelNetwork

from tests.unit.child.network.cells import cells

torch.set_num_threads(1)


@st.composite
def sizes(draw: st.DrawFn) -> LanguageModel:
    hidden = draw(st.integers(1, 9))
    shared = draw(st.booleans())
    return LanguageModel(
        hidden_size=hidden,
        embedding_size=None if shared else draw(st.none() | st.integers(1, 9)),
        layers=draw(st.integers(1, 3)),
        shared_embeddings=shared,
        dropout=draw(st.sampled_from([0.0, 0.5, 1 / 3])),
    )


def written(directory: Path, cell: RecurrentCell, settings_: LanguageModel, vocabulary: int | None) -> Path:
    file = directory / "model.py"
    file.write_text(write_language_model_source(cell, settings_, "A network", vocabulary))
    return file


def network_in(file: Path) -> Any:
    return runpy.run_path(str(file))["Network"]


@given(cells(), sizes(), st.integers(2, 20))
@settings(max_examples=60, deadline=None)
def test_gives_the_same_scores_gradients_and_state(
    tmp_path_factory: pytest.TempPathFactory, cell: RecurrentCell, settings_: LanguageModel, vocabulary: int
) -> None:
    ours = LanguageModelNetwork(cell, settings_, vocabulary).double().eval()
    theirs = network_in(written(tmp_path_factory.mktemp("export"), cell, settings_, vocabulary))().double().eval()
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randint(vocabulary, (5, 3))
    scores, state = ours(tokens[:3], ours.initial_state(3))
    its_scores, its_state = theirs(tokens[:3])
    torch.testing.assert_close(its_scores, scores, rtol=1e-9, atol=1e-9)
    scores, _ = ours(tokens[3:], state)
    its_scores, _ = theirs(tokens[3:], its_state)
    torch.testing.assert_close(its_scores, scores, rtol=1e-9, atol=1e-9)
    for outputs in (scores, its_scores):
        outputs.square().sum().backward()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(its.grad, mine.grad, rtol=1e-8, atol=1e-8)


@given(cells(largest=20), sizes())
@settings(max_examples=15, deadline=None)
def test_is_formatted_as_ruff_formats_it(cell: RecurrentCell, settings_: LanguageModel) -> None:
    largest = settings_.model_copy(update={"hidden_size": 65_536, "embedding_size": 65_535, "layers": 16})
    ruff = Path(sys.executable).with_name("ruff")
    for source in (
        write_language_model_source(cell, settings_, "A network"),
        write_language_model_source(cell, largest, "A network", 10_000_000, weights="model.safetensors"),
    ):
        formatted = subprocess.run(
            [ruff, "format", "--isolated", "--line-length", "100", "-"],
            input=source, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert source == formatted


def test_a_node_is_a_line_and_the_memory_has_a_name() -> None:
    source = write_language_model_source(NAS_CELL, LanguageModel(), "Trial 7 of the search words", 10_000)
    assert source.startswith('"""Trial 7 of the search words.\n\n')
    lines = [line.strip() for line in source.splitlines()]
    begin = lines.index("n0 = torch.sigmoid(x[0] + h[0])")
    assert lines[begin + 3] == "n3 = torch.relu(x[3] * h[3])"
    assert lines[begin + 8 : begin + 18] == [
        "n8 = torch.tanh(n0 * n1)",
        "n8 = torch.tanh(n8 + c)",
        "n9 = torch.tanh(n2 + n3)",
        "n10 = torch.tanh(n4 * n5)",
        "n11 = torch.sigmoid(n6 + n7)",
        "new_c = n8 * n9",
        "n12 = new_c",
        "n13 = torch.tanh(n10 + n11)",
        "n14 = torch.tanh(n12 * n13)",
        "return n14, new_c",
    ]


def test_learns_a_text_where_nothing_of_ours_can_be_imported(tmp_path: Path) -> None:
    file = written(tmp_path, NAS_CELL, LanguageModel(hidden_size=16, layers=1, dropout=0), None)
    (tmp_path / "text.txt").write_text("abc" * 1000)
    ran = subprocess.run(
        [sys.executable, "-I", file.name, "text.txt"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    losses = [float(line.rpartition(" ")[2]) for line in ran.stdout.splitlines()]
    assert len(losses) == 20
    assert losses[-1] < losses[0] - 0.1
    assert "nas_" not in file.read_text()


@given(cells(), sizes())
@settings(max_examples=8, deadline=None)
def test_learns_its_own_source_whatever_the_cell(
    tmp_path_factory: pytest.TempPathFactory, cell: RecurrentCell, settings_: LanguageModel
) -> None:
    file = written(tmp_path_factory.mktemp("export"), cell, settings_, None)
    with redirect_stdout(StringIO()) as output, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(file)])
        runpy.run_path(str(file), run_name="__main__")
    assert len(output.getvalue().splitlines()) == 20


def test_says_how_it_is_used_with_and_without_what_is_known(tmp_path: Path) -> None:
    known = write_language_model_source(NAS_CELL, LanguageModel(), "A network", 100, weights="model.safetensors")
    assert '    network.load_state_dict(load_file("model.safetensors"))\n' in known
    unknown = write_language_model_source(NAS_CELL, LanguageModel(), "A network")
    assert "network = Network(vocabulary)  # with random weights" in unknown
    assert "safetensors" not in unknown
    with pytest.raises(TypeError, match="vocabulary"):
        network_in(written(tmp_path, NAS_CELL, LanguageModel(hidden_size=2), None))()
