"""Small tables for tests of the benchmark."""

import csv
import gzip
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

OPERATIONS = ("none", "skip_connect", "nor_conv_3x3")


def cell(operations: Sequence[str]) -> str:
    """A cell of NAS-Bench-201 with three nodes besides the input, or two of three operations."""
    named = iter(operations)
    nodes = range(1, 4) if len(operations) == 6 else range(1, 3)
    return "+".join("|" + "".join(f"{next(named)}~{source}|" for source in range(node)) for node in nodes)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A CSV file, compressed if its name says so."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def cells(path: Path) -> Path:
    """All 27 cells of three edges; the more 3x3 convolutions, the better: 60 to 90 percent, and the more seconds."""
    every = itertools.product(OPERATIONS, repeat=3)
    return write_table(
        path,
        [
            {
                "arch": cell(operations),
                "val": 60 + 10 * operations.count("nor_conv_3x3") + 0.1 * operations.count("skip_connect"),
                "test": 50 + 10 * operations.count("nor_conv_3x3"),
                "seconds": 10 + operations.count("nor_conv_3x3"),
            }
            for operations in every
        ],
    )


def digits(path: Path, *, decisions: int = 3, choices: int = 4) -> Path:
    """All strings of digits; the loss is their sum."""
    every = itertools.product(range(choices), repeat=decisions)
    return write_table(path, [{"arch": "".join(map(str, values)), "loss": 1 + sum(values)} for values in every])
