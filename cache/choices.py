"""Options that take one of a few words: the message about any other word, and which was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from stackbone.cache.errors import UsageError


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that is most like `word`; None if none is alike to `cutoff`, from 0 to 1."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def unknown_choice(what: str, chosen: str, known: Iterable[str]) -> str:
    """Return the message about a word that is not among the known ones: it lists them and suggests the nearest.

    Parameters
    ----------
    what
        What is chosen, such as ``engine`` or ``--precision``.
    """
    known = list(known)
    near = nearest(chosen, known)
    meant = f"; did you mean {near!r}?" if near else ""
    return f"unknown {what} {chosen!r}: choose from {', '.join(known)}{meant}"


def check_choice(what: str, chosen: str, known: Iterable[str]) -> None:
    """Raise `UsageError`, with the sentence of `unknown_choice`, unless `chosen` is one of the known words."""
    known = list(known)
    if chosen not in known:
        raise UsageError(unknown_choice(what, chosen, known))
