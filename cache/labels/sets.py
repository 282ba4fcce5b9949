"""Several labels of one image, as the text that an index holds: their names, ascending, with a bar between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SETS = "sets"
"""The form of labels that are sets of names; that of one class each is ``""``."""

BAR = "|"


def join_names(names: Iterable[str]) -> str:
    """Return the text of a set of names: ``cat|indoor``; of no name, of which an image is known to have none, ``|``.

    Raises
    ------
    ValueError
        If a name is empty or holds a bar.
    """
    distinct = sorted(set(names))
    for name in distinct:
        if not name or BAR in name:
            message = f"{name!r} is no name of a label"
            raise ValueError(message)
    return BAR.join(distinct) or BAR


def split_names(text: str) -> list[str]:
    """Return the names that a text stands for: none of ``|``, and none of the empty text of an unlabelled image."""
    return [name for name in text.split(BAR) if name]


_SEPARATORS = ("|", ";", ",", "+", "&", "/")


def likely_separator(labels: Iterable[str]) -> str | None:
    """Return what seems to separate several names in labels that count as one class each; None if nothing does.

    Something does where half of the names that it separates, or more, occur in two different labels.
    """
    distinct = {label for label in labels if label}
    for separator in _SEPARATORS:
        together = [label for label in distinct if len(_parts(label, separator)) > 1]
        times = Counter(name for label in distinct for name in _parts(label, separator))
        named = {name for label in together for name in _parts(label, separator)}
        if together and 2 * sum(times[name] > 1 for name in named) >= len(named):
            return separator
    return None


def _parts(label: str, separator: str) -> set[str]:
    return {part.strip() for part in label.split(separator)} - {""}
