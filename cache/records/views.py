"""Names of the views of an image, as they are typed: a list, and groups that stand for lists.

A view is a change of the picture before a network sees it, and gives features of its own. What each is made of is in
`extract.views`; the names are here, since whoever stacks features types them too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stackbone.cache.choices import nearest
from stackbone.cache.errors import UsageError
from stackbone.cache.records.feature_name import PLAIN

MIRROR = "hflip"
"""The plain view mirrored; behind the name of a corner, the corner mirrored."""
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
AUGMENTED = "augment"
"""How the names of random views begin: ``augment0``, ``augment1``, ..."""
MOST_AUGMENTED = 1000

_FIVE = (PLAIN, *CORNERS)
VIEW_GROUPS: dict[str, tuple[str, ...]] = {
    "five-crop": _FIVE,
    "ten-crop": (*_FIVE, MIRROR, *(f"{corner}_{MIRROR}" for corner in CORNERS)),
}
"""Group to its views: the centre of five crops is the plain view, so that it is not computed again."""

_NAMED = VIEW_GROUPS["ten-crop"]
_NUMBERED = re.compile(rf"{AUGMENTED}(0|[1-9]\d{{0,2}})")
_SEVERAL = re.compile(rf"{AUGMENTED}:(.*)")


def expand_views(asked: str | Sequence[str]) -> list[str]:
    """Return the names of views that a comma-separated text, or a list, stands for: each once, in order.

    ``augment:K`` stands for ``augment0`` to ``augment(K-1)``, so that a larger K adds views and changes none.

    Raises
    ------
    UsageError
        If a name is unknown, there is none, or K is no number from 1 to `MOST_AUGMENTED`.
    """
    names = [name.strip() for name in (asked.split(",") if isinstance(asked, str) else asked)]
    found = [view for name in filter(None, names) for view in _expand(name)]
    if not found:
        message = f"no view was named. Give one or more of {_choices()}, separated by commas"
        raise UsageError(message)
    return list(dict.fromkeys(found))


def is_view_group(name: str) -> bool:
    """Return whether a name stands for a list of views, as ``five-crop`` and ``augment:4`` do."""
    return name in VIEW_GROUPS or _SEVERAL.fullmatch(name) is not None


def augmented_number(view: str) -> int | None:
    """Return K of ``augmentK``; None for a view that is not random."""
    match = _NUMBERED.fullmatch(view)
    return int(match[1]) if match else None


def view_order(view: str) -> tuple[int, int]:
    """Return a key that sorts views as they are listed: the plain one first, random ones by number, last."""
    number = augmented_number(view)
    return (1, number) if number is not None else (0, _NAMED.index(view) if view in _NAMED else len(_NAMED))


def is_known_view(name: str) -> bool:
    """Return whether this is the name of one view."""
    return name in _NAMED or augmented_number(name) is not None


def known_view(view: str) -> str:
    """Return a view that a spec names, as far as this Stackbone can make it; the plain one in place of any other."""
    return view if is_known_view(view) else PLAIN


def _expand(name: str) -> Sequence[str]:
    if name in VIEW_GROUPS:
        return VIEW_GROUPS[name]
    if several := _SEVERAL.fullmatch(name):
        count = int(several[1]) if several[1].isascii() and several[1].isdigit() and len(several[1]) < 5 else 0
        if not 1 <= count <= MOST_AUGMENTED:
            message = (
                f"{name!r} asks for {several[1]!r} random views; expected a number from 1 to {MOST_AUGMENTED:,}, such "
                f"as {AUGMENTED}:4"
            )
            raise UsageError(message)
        return [f"{AUGMENTED}{number}" for number in range(count)]
    if is_known_view(name):
        return (name,)
    near = nearest(name.lower().replace("-", "_"), _NAMED) or nearest(name.lower(), [*VIEW_GROUPS, f"{AUGMENTED}:4"])
    meant = f"; did you mean {near!r}?" if near else ""
    message = f"unknown view {name!r}: choose from {_choices()}{meant}"
    raise UsageError(message)


def _choices() -> str:
    return ", ".join([*_NAMED, *VIEW_GROUPS, f"{AUGMENTED}:K"])
