"""Arguments that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Manifest = Annotated[
    Path, typer.Argument(metavar="FILE", help="The manifest, a NASSearch in YAML.", show_default=False)
]
Trial = Annotated[
    str, typer.Argument(metavar="TRIAL", help="Number of the trial, or [bold]best[/].", show_default=False)
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        "-s",
        metavar="DIR",
        help="State directory of the search. Default: the only one in ./runs.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field of the manifest, as in [bold]--set spec.seed=1[/]. May be repeated.",
        show_default=False,
    ),
]


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Output(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


class DocumentOutput(StrEnum):
    """How one result is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
