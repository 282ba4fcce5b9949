"""Files of some sort below a folder that holds no images beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.pruning import Exclusion, is_system_folder
from stackbone.extract.datasets.folders.walking import is_folder


def files_below(root: Path, exclusion: Exclusion, is_wanted: Callable[[str], bool]) -> list[str]:
    """Return the paths of files whose names are wanted, sorted; none where images are met: the folder is one of those.

    Paths are posix-style and relative to the folder. What is hidden, excluded or a system's is passed over, and so is
    what cannot be listed.
    """
    found: list[str] = []
    pending, seen = [""], set()
    while pending:
        prefix = pending.pop()
        folder = os.path.join(root, prefix)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or (exclusion and exclusion.covers(prefix, name)):
                        continue
                    if is_folder(entry):
                        pending += [] if is_system_folder(name) else [f"{prefix}{name}/"]
                    elif is_image_name(name):
                        return []
                    elif is_wanted(name):
                        found.append(prefix + name)
        except OSError:  # the listing of folders says so
            continue
    return sorted(found)
