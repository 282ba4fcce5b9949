"""A sheet of thumbnails: what is asked of it, and its writing, with a page from `stack` and pictures from `extract`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.text import counted
from stackbone.commands.shared.console import err, progress

if TYPE_CHECKING:
    from stackbone.cache.disk.reading import ListedFile
    from stackbone.stack.exploring.sheet import Sheet

SheetOption = Annotated[
    Path | None, typer.Option("--html", help="Write a sheet of thumbnails to this file, one HTML page")
]


def write_sheet(sheet: Sheet, page: Path) -> dict[str, Any]:
    """Write a sheet; return which file, and of which pictures there is none, JSON-able."""
    from stackbone.extract.images.thumbnails import thumbnails
    from stackbone.stack.exploring import sheet as html

    with progress() as on_progress:

        def small(files: Sequence[ListedFile]) -> list[bytes | str]:
            return thumbnails(files, on_progress=lambda done, total: on_progress("thumbnails", done, total))

        missing = html.write_sheet(sheet, page, small)
    if missing:
        path, reason = next(iter(missing.items()))
        err.note(f"note: {counted(len(missing), 'picture')} left out of the sheet; the first is {path!r}: {reason}")
    err.note(f"the sheet is in {page}")
    return {
        "html": str(page),
        "missing_pictures": [{"path": path, "reason": reason} for path, reason in missing.items()],
    }
