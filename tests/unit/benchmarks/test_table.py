"""Tables: which architectures are read, and what is said of those that cannot be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabular_benchmark.architecture_strings import ArchitectureStringError, read_architecture
from tabular_benchmark.table import TableError, read_table
from tabular_benchmark.training_seconds import NAS_BENCH_201, training_seconds

from tests.unit.benchmarks.tables import cell, cells, digits, write_table


def test_a_cell_has_a_decision_for_each_edge() -> None:
    text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    assert read_architecture(text) == {
        "edge_0_1": "nor_conv_3x3", "edge_0_2": "nor_conv_1x1", "edge_1_2": "skip_connect",
        "edge_0_3": "none", "edge_1_3": "avg_pool_3x3", "edge_2_3": "skip_connect",
    }  # fmt: skip


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_a_string_of_digits_has_a_decision_for_each(values: list[int]) -> None:
    read = read_architecture("".join(map(str, values)))
    assert read == {f"digit_{index}": value for index, value in enumerate(values)}


@pytest.mark.parametrize(
    "text", ["", "12a", "|conv|", "|conv~0|+", "|conv~0|conv~0|", "|conv~1|", "conv~0", "-12", "1.5", "²"]
)
def test_other_strings_are_refused(text: str) -> None:
    with pytest.raises(ArchitectureStringError):
        read_architecture(text)


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_the_space_is_what_the_rows_have(tmp_path: Path, name: str) -> None:
    table = read_table(cells(tmp_path / name), ["val", "test"])
    assert table.choices == dict.fromkeys(
        ("edge_0_1", "edge_0_2", "edge_1_2"), ("none", "nor_conv_3x3", "skip_connect")
    )
    assert table.size == 27
    row = table.row(["none", "nor_conv_3x3", "skip_connect"], "val")
    assert row is not None
    assert table.columns["val"][row] == pytest.approx(70.1)
    assert table.columns["test"][row] == 60
    table.require("val")


def test_positions_may_have_different_numbers_of_choices(tmp_path: Path) -> None:
    rows = [{"arch": f"{a}{b}", "y": a + b} for a in range(2) for b in (0, 3, 7)]
    assert read_table(write_table(tmp_path / "t.csv", rows), ["y"]).choices == {"digit_0": (0, 1), "digit_1": (0, 3, 7)}


def test_missing_cells_are_counted_and_named(tmp_path: Path) -> None:
    rows = [{"arch": f"{a}{b}", "y": "" if (a, b) == (0, 1) else a} for a in range(3) for b in range(3) if a != 2 or b]
    table = read_table(write_table(tmp_path / "t.csv", rows), ["y"])
    with pytest.raises(TableError) as refused:
        table.require("y")
    assert str(refused.value).startswith(
        "t.csv: 2 of the 9 architectures of its space have no y: 0/1 (row 2), 2/0 (no row)"
    )
    assert "--missing-fails" in str(refused.value)
    assert table.row([0, 1], "y") is None
    assert table.row([2, 0], "y") is None


def test_of_many_missing_cells_some_are_named(tmp_path: Path) -> None:
    rows = [{"arch": f"{a}" * 6, "y": a} for a in range(10)]
    with pytest.raises(TableError, match=r"999990 of the 1000000 .*0/0/0/0/0/5 \(no row\), \.\.\."):
        read_table(write_table(tmp_path / "t.csv", rows), ["y"]).require("y")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"arch": "01", "y": "high"}], "row 1: y is 'high', not a number"),
        ([{"arch": "01", "y": ""}, {"arch": "02", "y": "nan"}], "none of its 2 rows has a number in column y"),
        ([{"arch": "01", "y": 1}, {"arch": "01", "y": 2}], "row 2: '01' stands in row 1 already"),
        ([{"arch": "01", "y": 1}, {"arch": "011", "y": 2}], "row 2: '011' has other decisions"),
        ([{"arch": "conv", "y": 1}], "row 1: 'conv' is neither a cell"),
        ([{"arch": "01", "z": 1}], "has no column y: it has arch, z"),
        ([{"architecture": "01", "y": 1}], "has no column arch"),
    ],
)
def test_a_table_that_cannot_be_used_says_where_it_is_wrong(
    tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        read_table(write_table(tmp_path / "t.csv", rows), ["y"])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8bnonsense")
    for name in ("broken.csv.gz", "missing.csv"):
        with pytest.raises(TableError, match=f"{name} cannot be read"):
            read_table(tmp_path / name, ["y"])
    (tmp_path / "empty.csv").write_text("arch,y\n")
    with pytest.raises(TableError, match="has no rows"):
        read_table(tmp_path / "empty.csv", ["y"])


def test_the_seconds_of_a_cell_are_those_of_its_operations(tmp_path: Path) -> None:
    operations = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "none")
    table = read_table(write_table(tmp_path / "t.csv", [{"arch": cell(operations), "y": 1}]), ["y"])
    expected = 12 * (7.18 - 0.38 + 2 * 4.53 + 3.45 + 1.64)
    assert training_seconds(table, NAS_BENCH_201).tolist() == pytest.approx([expected])


def test_seconds_may_be_a_column(tmp_path: Path) -> None:
    table = read_table(cells(tmp_path / "t.csv"), ["val", "seconds"])
    assert training_seconds(table, "seconds").tolist() == table.columns["seconds"].tolist()


def test_seconds_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="knows no operation 0"):
        training_seconds(read_table(digits(tmp_path / "d.csv"), ["loss"]), NAS_BENCH_201)
    table = read_table(write_table(tmp_path / "t.csv", [{"arch": "0", "y": 0}, {"arch": "1", "y": 1}]), ["y"])
    with pytest.raises(TableError, match="must be above zero"):
        training_seconds(table, "y")
