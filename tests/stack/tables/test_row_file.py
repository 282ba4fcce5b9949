"""Rows for programs: what they hold is what is read back, also where nothing is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from stackbone.stack.tables.row_file import write_rows

TYPES = {"trained_on": bool, "value": float, "weights": str}


@pytest.mark.parametrize("known", [[True, False, True], [True, None, False], [None, None, None]])
def test_true_and_false_and_unknown_are_told_apart_in_every_form(tmp_path: Path, known: list[bool | None]) -> None:
    rows: dict[str, list[Any]] = {"path": ["a.jpg", "b.jpg", "c.jpg"], "trained_on": known}
    write_rows(tmp_path / "rows.csv", [rows], TYPES)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        written = [row["trained_on"] for row in csv.DictReader(file)]
    assert written == [{True: "true", False: "false", None: ""}[each] for each in known]
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    write_rows(tmp_path / "rows.parquet", [rows], TYPES)
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert (table.schema.types[1], table.to_pydict()) == ("bool", rows)


@pytest.mark.parametrize(
    ("name", "values", "type_name"),
    [("weights", [None, None], "string"), ("value", [None, 1.5], "double"), ("trained_on", [], "bool")],
)
def test_a_column_has_its_type_whatever_is_known(tmp_path: Path, name: str, values: list[Any], type_name: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    write_rows(tmp_path / "rows.parquet", [{name: values}, {name: values[::-1]}], TYPES)
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert (str(table.schema.types[0]), table.to_pydict()) == (type_name, {name: values + values[::-1]})
