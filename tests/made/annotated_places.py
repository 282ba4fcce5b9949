"""Annotated datasets in archives and behind URLs."""

from __future__ import annotations

from pathlib import Path

import fsspec

from tests.made.archives import members_of, write_archive


def in_archive(folder: Path, file: Path) -> Path:
    """Write what lies in a folder into an archive, with what a system adds to it, and return its path."""
    return write_archive(file, {**members_of(folder), "__MACOSX/._data.yaml": b"\0", ".DS_Store": b"\0"})


def in_memory(folder: Path, url: str) -> str:
    """Copy what lies in a folder behind a URL, and return that."""
    files, path = fsspec.core.url_to_fs(url)
    for name, content in members_of(folder).items():
        files.pipe_file(f"{path}/{name}", content)
    return url


def places_of(folder: Path) -> list[Path | str]:
    """Return a folder, an archive of it, and itself behind a URL."""
    archive = in_archive(folder, folder.with_suffix(".zip"))
    return [folder, archive, in_memory(folder, f"memory://places{folder}")]
