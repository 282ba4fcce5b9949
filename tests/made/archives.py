"""Tar and zip archives made on the spot."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KINDS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
"""Extensions of what `write_archive` writes."""

_MODES: dict[str, Any] = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}


def write_archive(file: Path, members: Mapping[str, bytes] | list[tuple[str, bytes]]) -> Path:
    """Write an archive of the kind that its name says, members in their order, and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = list(members.items()) if isinstance(members, Mapping) else members
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in rows:
                archive.writestr(name, content)
        return file
    with tarfile.open(file, _MODES[file.suffix]) as tar:
        for name, content in rows:
            add(tar, name, content)
    return file


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    """Add a member to a tar archive; `fields` are those of its header."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def members_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their paths, as an archive of it would hold them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
