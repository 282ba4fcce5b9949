"""Labels of a folder's images, corrected by a table that lists some of them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from stackbone.cache.text import counted
from stackbone.extract.datasets.kind import Entries, Listing
from stackbone.extract.datasets.tables.places import Placed

_MARKS = ("label", "split", "group")


def corrected(base: Listing, file: Path, table: Placed, marks: frozenset[str]) -> Listing:
    """Return a listing with what a table says of its images in place of what the folder says.

    A row gives its image the label, split and group that the table has columns for; an empty cell takes the label away.
    Images that the table does not list stay as they are. A row for a file that the folder's listing does not hold adds
    it; a row for a file that does not exist is passed over.

    Parameters
    ----------
    base
        The folder's own listing.
    file
        The table.
    table
        Its images by path, relative to the root of `base` or absolute.
    marks
        Which of ``label``, ``split`` and ``group`` it has columns for.
    """
    entries = dict(base.entries)
    lost: list[str] = []
    n_changed = n_same = n_added = 0
    for path, said in table.entries.items():
        old = base.entries.get(path)
        if old is None and not os.path.lexists(os.path.join(base.root, path)):
            lost.append(path)
            continue
        new = _merged(old or ("", "", ""), said, marks)
        entries[path] = new
        n_added += old is None
        n_changed += old is not None and old != new
        n_same += old == new
    stays = f"; {counted(n_same, 'image')} that it lists had it right" if n_same else ""
    what = f"what the folder says of {counted(n_changed, 'image')}" if n_changed else "nothing that the folder says"
    notes = [f"{file.name!r} corrects {what}{stays}."]
    if n_added:
        notes.append(f"{file.name!r} adds {counted(n_added, 'image')} that the folder's own listing does not have.")
    if lost:
        notes.append(
            f"{counted(len(lost), 'row')} of {file.name!r} {'names' if len(lost) == 1 else 'name'} no image, such as "
            f"{lost[0][:200]!r}."
        )
    if table.entries:
        notes += _kept_notes(base.entries, table.entries, file, has_labels="label" in marks)
    return replace(base, entries=entries, notes=[*base.notes, *table.notes, *notes])


def _merged(old: tuple[str, str, str], said: tuple[str, str, str], marks: frozenset[str]) -> tuple[str, str, str]:
    label, split, group = (new if key in marks else kept for key, kept, new in zip(_MARKS, old, said, strict=True))
    return label, split, group


def _kept_notes(base: Entries, table: Entries, file: Path, *, has_labels: bool) -> list[str]:
    """Return what to say of the images that the table does not list."""
    kept = Counter(entry[0] for path, entry in base.items() if path not in table)
    if not kept:
        return []
    classes = [label for label, _ in kept.most_common() if label]
    named = ", ".join(map(repr, classes[:3])) + (", ..." if len(classes) > 3 else "")
    one = kept.total() == 1
    if has_labels:
        what = f"{'keeps' if one else 'keep'} {'its label' if one else 'their labels'} ({named})"
        what = what if classes else f"{'has' if one else 'have'} no label"
    else:
        what = f"{'stays as it is' if one else 'stay as they are'}"
    new = sorted(set(classes) - {entry[0] for entry in table.values()}) if has_labels else []
    unshared = " The table has no such label." if new and len(new) == len(classes) else ""
    return [
        f"{counted(kept.total(), 'image')} that {file.name!r} does not list {what}; "
        f"--only-listed leaves {'it' if one else 'them'} out.{unshared}"
    ]
