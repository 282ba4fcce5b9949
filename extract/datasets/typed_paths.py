"""Paths as they are typed, made absolute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def absolute_paths(paths: Sequence[Path | str]) -> list[str]:
    """Return absolute paths of any number of files; see `absolute`."""
    return [os.path.abspath(path) if ".." not in os.fspath(path) else str(absolute(path)) for path in paths]


def absolute(path: Path | str) -> Path:
    """Return an absolute path; links are followed only where the path leads up.

    Resolving every link would name the dataset after the link's target instead of what was typed.
    """
    path = Path(path)
    return path.resolve() if ".." in path.parts else path.absolute()
