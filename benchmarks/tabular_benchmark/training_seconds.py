"""How long the training of an architecture takes, by a model of its operations or by a column of the table."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tabular_benchmark.table import Table, TableError, Value

NAS_BENCH_201 = "nas-bench-201"
"""The model of CIFAR-10 cells: 12 epochs of 7.18 - 0.38 skip + 4.53 conv3x3 + 3.45 conv1x1 + 1.64 avgpool seconds, with
the counts of each operation in the cell."""

_EPOCHS = 12
_BASE = 7.18
_OPERATIONS: Mapping[Value, float] = {
    "skip_connect": -0.38,
    "nor_conv_3x3": 4.53,
    "nor_conv_1x1": 3.45,
    "avg_pool_3x3": 1.64,
    "none": 0.0,
}


def training_seconds(table: Table, model: str) -> NDArray[np.float64]:
    """Seconds that the architecture of each row trains, shape [rows].

    Args:
        table: with the column that `model` names.
        model: `NAS_BENCH_201` or a column of seconds.

    Raises:
        TableError: the model is not for this table, or gives no time above zero.
    """
    if model == NAS_BENCH_201:
        return np.array([_cell_seconds(table, values) for values in table.architectures])
    seconds = table.columns[model]
    filled = seconds[np.isfinite(seconds)]
    if len(filled) == 0 or filled.min() <= 0:
        raise TableError(f"{table.name}: the seconds of column {model} must be above zero")
    # A trial without a time still takes some.
    return np.where(np.isfinite(seconds), seconds, filled.mean())


def _cell_seconds(table: Table, operations: Sequence[Value]) -> float:
    unknown = set(operations) - _OPERATIONS.keys()
    if unknown:
        raise TableError(
            f"{table.name}: --seconds {NAS_BENCH_201} knows no operation {', '.join(map(str, unknown))}: "
            "name a column of the table instead"
        )
    return _EPOCHS * (_BASE + sum(_OPERATIONS[operation] for operation in operations))
