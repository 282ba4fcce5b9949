"""Results that are a table: by column, as a frame, and row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Tabular(ABC):
    """What a command found, a row each."""

    @abstractmethod
    def columns(self) -> dict[str, list[Any]]:
        """Return the table by column; all columns have the same length."""

    def records(self) -> list[dict[str, Any]]:
        """Return the table row by row, column to value."""
        columns = self.columns()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return the table as a pandas DataFrame, with the columns that the command's ``--csv`` has."""
        import pandas as pd

        return pd.DataFrame(self.columns())
