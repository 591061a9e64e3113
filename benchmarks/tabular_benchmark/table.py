"""`Table`: the training results of every architecture of a space, read from a CSV file."""

import csv
import gzip
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tabular_benchmark.architecture_strings import ArchitectureStringError, read_architecture

Value = str | int | float
Choices = Mapping[str, tuple[Value, ...]]
_NAMED = 5  # missing cells that a message names; it counts the others


class TableError(Exception):
    """A table cannot be used; the message says where it is wrong and what to do."""


@dataclass(frozen=True)
class Table:
    """A row for each architecture, and columns of numbers.

    The space is what the rows have: a decision for each position of the architectures, and of each the values that
    stand there in any row.
    """

    name: str
    choices: Choices  # values by decision, in order
    architectures: Mapping[tuple[Value, ...], int]  # to the index of their row
    columns: Mapping[str, NDArray[np.float64]]  # shape [rows]; NaN where a cell is empty

    @property
    def size(self) -> int:
        """Architectures of the space, with a row or without."""
        return math.prod(len(values) for values in self.choices.values())

    def row(self, architecture: Sequence[Value], column: str) -> int | None:
        """The index of the row of an architecture. None: it has none, or its cell in `column` is empty."""
        row = self.architectures.get(tuple(architecture))
        return None if row is None or math.isnan(self.columns[column][row]) else row

    def require(self, column: str) -> None:
        """Sees that a column has a number for every architecture of the space.

        Raises:
            TableError: cells are missing; the message counts them and names some.
        """
        filled = int(np.isfinite(self.columns[column]).sum())
        if filled == self.size:
            return
        raise TableError(
            f"{self.name}: {self.size - filled} of the {self.size} architectures of its space have no {column}: "
            f"{', '.join(self._missing(column))}{', ...' if self.size - filled > _NAMED else ''}. Complete the table, "
            "or count them as failed trials with --missing-fails"
        )

    def _missing(self, column: str) -> Iterator[str]:
        every = itertools.product(*self.choices.values())
        missing = (values for values in every if self.row(values, column) is None)
        for values in itertools.islice(missing, _NAMED):
            row = self.architectures.get(values)
            yield "/".join(map(str, values)) + (" (no row)" if row is None else f" (row {row + 1})")


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Reads the `arch` column and some `columns` of numbers from a CSV file, compressed with gzip or not.

    Raises:
        TableError: the file cannot be read, lacks a column, has an architecture twice or one that does not fit the
            others, a cell that is neither a number nor empty, or a column without a number.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text))
    absent = [name for name in ("arch", *columns) if name not in (reader.fieldnames or ())]
    if absent:
        raise TableError(f"{path} has no column {', '.join(absent)}: it has {', '.join(reader.fieldnames or ())}")
    architectures: dict[tuple[Value, ...], int] = {}
    cells: dict[str, list[float]] = {name: [] for name in columns}
    names: tuple[str, ...] | None = None
    for index, line in enumerate(reader):
        where = f"{path}, row {index + 1}"
        try:
            decisions = read_architecture(line["arch"] or "")
        except ArchitectureStringError as error:
            raise TableError(f"{where}: {error}") from error
        names = names or tuple(decisions)
        values = tuple(decisions.values())
        if tuple(decisions) != names:
            raise TableError(f"{where}: {line['arch']!r} has other decisions than the architectures before it")
        if values in architectures:
            raise TableError(f"{where}: {line['arch']!r} stands in row {architectures[values] + 1} already")
        architectures[values] = index
        for column, numbers in cells.items():
            numbers.append(_number(line[column], f"{where}: {column}"))
    if not architectures or names is None:
        raise TableError(f"{path} has no rows")
    for column, numbers in cells.items():
        if all(map(math.isnan, numbers)):
            raise TableError(f"{path}: none of its {len(numbers)} rows has a number in column {column}: fill it")
    choices = {name: tuple(sorted({values[i] for values in architectures})) for i, name in enumerate(names)}
    return Table(path.name, choices, architectures, {name: np.array(numbers) for name, numbers in cells.items()})


def _number(cell: str | None, where: str) -> float:
    if cell is None or not cell.strip():
        return math.nan
    try:
        number = float(cell)
    except ValueError:
        raise TableError(f"{where} is {cell!r}, not a number") from None
    return number if math.isfinite(number) else math.nan
