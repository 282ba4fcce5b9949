"""Packages of somebody else's, made on the spot, that add to Stackbone through entry points."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path


def install_plugin(folder: Path, package: str, source: str, entry_points: Mapping[str, str]) -> Path:
    """Write a package as pip would install it; it is there for whoever has `folder` in ``sys.path``.

    Parameters
    ----------
    package
        Name of its one module, and of the package.
    source
        What the module holds.
    entry_points
        By group, such as ``stackbone.backbones``, the module's names to add, such as ``BACKBONES``; or, with a colon,
        any place.

    Returns
    -------
    Path
        `folder`, for ``PYTHONPATH``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{package}.py").write_text(textwrap.dedent(source))
    record = folder / f"{package}-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, name in entry_points.items():
        lines += [f"[{group}]", f"{package} = {name if ':' in name else f'{package}:{name}'}"]
    (record / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
