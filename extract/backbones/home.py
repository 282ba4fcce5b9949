"""Folders of the user's own; a service may run as a user that has none."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str) -> Path | None:
    """Return a path with its ``~`` replaced; None where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None


def cache_home() -> Path | None:
    """Return where programs keep what they can make again: ``XDG_CACHE_HOME``, else ``~/.cache``; None without home."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def torch_downloads() -> Path | None:
    """Return the folder where torch, and so timm, keeps weights with an address of their own; None without home."""
    chosen = os.environ.get("TORCH_HOME")
    home = cache_home() if chosen is None else expanded(chosen)
    if home is None:
        return None
    return (home / "torch" if chosen is None else home) / "hub" / "checkpoints"
