"""Searches for recurrent cells and for choices: what the commands show of them, and what they cannot do."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest
from nas_api.architectures import Architecture, Discrete
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_cli.running.report import print_report
from nas_cli.state_directory import StateDirectory
from nas_controller.journal.journal import (
    BatchSampled,
    ControllerStarted,
    LeaseGranted,
    Measurement,
    SampledTrial,
    TrialFinished,
    TrialState,
)
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.proposal import Proposal
from rich.console import Console
from typer.testing import Result

Nas = Callable[..., Result]

CHOICES = Discrete.model_validate(
    {
        "decisions": [
            {"name": "depth", "value": 2},
            {"name": "layers.0.heads", "value": 2},
            {"name": "layers.0.gated", "value": True},
            {"name": "layers.1.heads", "value": 4},
            {"name": "rate", "value": 0.1},
        ]
    }
)
CHOICES_SPACE = """\
    type: Discrete
    discrete:
      choices:
        - {name: depth, values: [1, 2]}
        - name: layers
          repeat: depth
          choices:
            - {name: heads, values: [2, 4]}
            - {name: gated, values: [true, false], when: {heads: 2}}
        - {name: rate, values: [0.1, 0.2]}
"""


def write_state(directory: Path, space: str, architecture: Architecture) -> Path:
    """A search that has trained one architecture with a task of the user's own."""
    directory.mkdir()
    spec = f"searchSpace:\n{indent(dedent(space), '  ')}trainer: {{task: 'mine:train'}}\nreward: {{metric: score}}\n"
    (directory / "search.yaml").write_text(
        f"apiVersion: kubenas.dev/v1alpha1\nkind: NASSearch\nmetadata: {{name: mine}}\nspec:\n{indent(spec, '  ')}"
    )
    text, digest = architecture.canonical().to_json(), architecture.digest
    with SqliteJournal(directory / "journal.sqlite", "default/mine") as journal:
        journal.write(
            ControllerStarted(1, 1_700_000_000.0),
            BatchSampled(1, 0, (SampledTrial(1, 1, Proposal((0,), 1), text, digest, 0, 0),), 1_700_000_001.0),
            LeaseGranted("1.1", 1, "default-0", "request-1", 1, 1_700_000_002.0),
        ).result()
        journal.write(
            TrialFinished(
                1, 1, "1.1", "default-0", TrialState.SUCCEEDED, 0.5, "", "",
                (Measurement(1, {"score": 0.5}, 1.0),), 3.0, 3.0, 1_700_000_010.0,
            )
        ).result()  # fmt: skip
    return directory


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    return write_state(tmp_path / "choices", CHOICES_SPACE, CHOICES)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_state(tmp_path / "cells", "type: RecurrentCell\n", NAS_CELL)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_cell_is_shown_node_by_node_as_formulas(nas: Nas, cells: Path) -> None:
    shown = nas("show", "1", "-s", cells)
    assert shown.exit_code == 0, shown.output
    # Node 12, written in canonical order, combines nodes 8 and 9.
    table = lines(shown.stdout)
    assert "0 a0 = sigmoid(W0 x + U0 h)" in table
    assert any(line.startswith("14 h' = a14 = tanh(a12 * a13)") for line in table)
    assert sum("is the new memory c'" in line for line in table) == 1
    assert sum("= tanh(a" in line and "+ c)" in line for line in table) == 1


def test_choices_are_shown_with_a_table_for_each_repeat(nas: Nas, choices: Path) -> None:
    shown = nas("best", "-s", choices)
    assert shown.exit_code == 0, shown.output
    table = lines(shown.stdout)
    start = table.index("choice value")
    assert table[start : start + 10] == [
        "choice value", "depth 2", "", "layers", "round heads gated", "0 2 true", "1 4", "", "choice value", "rate 0.1"
    ]  # fmt: skip
    assert not any("parameters" in line for line in table)


def test_a_program_gets_the_architecture_as_json(nas: Nas, choices: Path, cells: Path) -> None:
    for state, architecture in ((choices, CHOICES), (cells, NAS_CELL)):
        written = json.loads(nas("show", "1", "-s", state, "-o", "json").stdout)["architecture"]
        assert written == json.loads(architecture.canonical().to_json())


def test_a_list_has_no_columns_for_what_these_do_not_have(nas: Nas, choices: Path, cells: Path) -> None:
    for state in (choices, cells):
        assert lines(nas("trials", "-s", state).stdout)[:2] == [
            "trial state reward score took reason",
            "1 Succeeded 0.5000 0.5 3.0s",
        ]


def test_both_are_drawn(nas: Nas, choices: Path, cells: Path, tmp_path: Path) -> None:
    for state in (choices, cells):
        plotted = nas("plot", "--trial", "1", "-o", tmp_path / "picture.svg", "-s", state)
        assert plotted.exit_code == 0, plotted.output
        assert "mine: trial 1, reward 0.5000" in (tmp_path / "picture.svg").read_text()


def test_choices_cannot_be_taken_away_as_pytorch(nas: Nas, choices: Path, tmp_path: Path) -> None:
    refused = nas("export", "1", "-o", tmp_path / "out", "-s", choices)
    assert refused.exit_code == 2
    assert "trial 1 is a Discrete that your own task mine:train builds" in " ".join(refused.stderr.split())
    assert "`nas show 1 -o json`" in refused.stderr


def test_nor_can_they_be_trained_by_us(nas: Nas, choices: Path) -> None:
    refused = nas("train", "1", "-s", choices)
    assert refused.exit_code == 2
    assert "trained by your own task mine:train" in refused.stderr
    assert "`nas show -o json` writes it for that" in refused.stderr


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("choices", "space choices depth, depth times layers (heads, gated), rate; 24 architectures"),
        (
            "cells",
            "space recurrent cells of base 8: add, multiply with identity, tanh, sigmoid, relu; 6.3e16 cells",
        ),
    ],
)
def test_a_space_is_described_with_its_size(nas: Nas, kind: str, expected: str, request: pytest.FixtureRequest) -> None:
    state: Path = request.getfixturevalue(kind)
    valid = nas("validate", state / "search.yaml")
    assert valid.exit_code == 0, valid.output
    assert expected in lines(valid.stdout)


def test_a_run_that_ends_proposes_only_what_can_be_done(choices: Path) -> None:
    written = io.StringIO()
    print_report(StateDirectory(choices), Console(file=written, width=200), ["nas", "run", "search.yaml"])
    text = written.getvalue()
    assert "the architecture, choice by choice" in text
    assert "nas show best -o json" in text
    assert "nas train" not in text
    assert "nas export" not in text
