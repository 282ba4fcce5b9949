"""Tables of images. They have no seal: another cell is another table, and only its form can be judged."""

from __future__ import annotations

from pathlib import Path

from fuzz.mutations import Rng, mutate
from fuzz.trial import OutOfForm
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.kinds.table import read_table

_N = 40


def _columns() -> dict[str, list[str]]:
    return {
        "path": [f"folder {i % 3}/größe {i}.jpg" for i in range(_N)],
        "label": [f"class {i % 4}" for i in range(_N)],
        "split": ["train" if i % 2 else "test" for i in range(_N)],
        "group": [f"{i % 5}.0" for i in range(_N)],
    }


class _Table:
    file = ""

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        raise NotImplementedError

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        path = folder / self.file
        path.write_bytes(mutate(path.read_bytes(), rng))
        return True

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        entries = read_table(folder / self.file, folder, TableColumns()).entries
        texts = [text for path, marks in entries.items() for text in (path, *marks)]
        if not all(type(text) is str for text in texts) or any("\0" in path or not path for path in entries):
            message = f"paths {[path for path in entries if not path or chr(0) in path][:3]}"
            raise OutOfForm(message)
        return entries


class Csv(_Table):
    """A table as text."""

    file = "table.csv"

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        columns = _columns()
        rows = [list(columns), *zip(*columns.values(), strict=True)]
        (folder / self.file).write_text("".join(",".join(f'"{cell}"' for cell in row) + "\r\n" for row in rows))


class Parquet(_Table):
    """A table as Parquet, compressed and with dictionaries."""

    file = "table.parquet"

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table(_columns() | {"width": list(range(_N))})
        parquet.write_table(table, folder / self.file, row_group_size=25, compression="zstd")
