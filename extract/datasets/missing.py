"""The message about a path that does not exist."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from stackbone.cache.choices import nearest

_MOST_SIBLINGS = 10_000


def missing_message(path: Path) -> str:
    """Return how far a path leads, and which name in its last existing folder was probably meant."""
    if os.path.islink(path):
        target = os.readlink(path)
        return f"The link {str(path)!r} leads to {target!r}, which is missing. Expected data. Repair the link."
    there = path.parent
    while not os.path.lexists(there):
        there = there.parent
    if not os.path.isdir(there):
        return f"{str(there)!r} is not a folder; expected {str(path)!r}. Name the file itself, or a folder."
    wrong, *below = path.relative_to(there).parts
    found = f"There is no {str(path)!r}{f': {str(there)!r} has no {wrong!r}' if below else ''}."
    try:
        with os.scandir(there) as entries:
            siblings = [entry.name for entry in islice(entries, _MOST_SIBLINGS)]
    except OSError as exc:
        return (
            f"{found} The folder {str(there)!r} cannot be listed: {exc.strerror}. Give yourself read permission on it."
        )
    near = nearest(wrong, siblings)
    return f"{found} {f'Did you mean {str(there / near)!r}?' if near else 'Check the spelling.'}"
