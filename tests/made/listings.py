"""Made datasets: files of no bytes, tables of text and of Parquet, and what is read of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stackbone.cache.errors import StackboneError
from stackbone.extract.datasets.dataset import Dataset, open_dataset


def touch(folder: Path, *files: str) -> Path:
    """Make empty files below a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def write_parquet(file: Path, columns: Mapping[str, object]) -> Path:
    """Write a Parquet file of some columns, and return its path."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(dict(columns)), file)
    return file


def rows(dataset: Dataset) -> list[tuple[str, str, str, str]]:
    """Return path, label, split and group of each image."""
    return list(zip(dataset.paths, dataset.labels, dataset.splits, dataset.groups, strict=True))


def message(error: type[StackboneError], **arguments: object) -> str:
    """Open a dataset that must fail, and return the error's message."""
    with pytest.raises(error) as caught:
        open_dataset(**arguments)  # type: ignore[arg-type] # tests pass wrong types on purpose, too
    assert type(caught.value) is error
    return str(caught.value)
