"""How large a table of images may be, and how its numbers are written: the same for text and Parquet.

A few kilobytes of Parquet can stand for gigabytes, and a file without a line end is one line: what is read is bounded.
"""

from __future__ import annotations

import re
from pathlib import Path

from stackbone.cache.errors import DatasetError

MOST_ROWS = 20_000_000
"""ImageNet-21k has 14 million."""

MOST_TEXT_BYTES = 2 << 30
"""Of the columns that are read, decoded."""

MOST_FURTHER = 50_000_000
"""Cells of the columns beside paths, labels, splits and groups; a larger table's are not kept."""

MOST_CELL = 131_072
"""Characters; the limit of Python's CSV reader. A path has 4,096 at the most."""

DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
ZERO_FRACTION = re.compile(r"\.0+\Z")


def too_large(file: Path, found: str) -> DatasetError:
    """Return the error for a table beyond a limit, which `found` names as in ``more than 20 rows``."""
    return DatasetError(
        f"The table {str(file)!r} has {found}. Expected at most {MOST_ROWS:,} rows, {MOST_TEXT_BYTES >> 20:,} MiB of "
        f"text in the columns that are read, and {MOST_CELL:,} characters in a cell. Check the file, or split it"
    )
