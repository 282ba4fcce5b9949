"""What the name of a domain that is not there may be meant to be."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.cache.choices import nearest
from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed


def meant(option: str, name: str, known: Sequence[str]) -> str:
    """Return what to type in place of a name that is not known, as a sentence; nothing where nobody can guess."""
    parts = [each.strip() for each in name.split(",")]
    if len(parts) > 1 and option == "--source" and set(parts) <= set(known):
        return f" Several sources are told one by one: type {' '.join(typed(option, each) for each in parts)}."
    near = nearest(name, known)
    return f" The nearest is {near!r}: type {typed(option, near)}." if near else ""


def check_datasets(source: Sequence[str], target: str, known: Sequence[str]) -> None:
    """Refuse names that no dataset of a cache has, if it has any.

    Raises
    ------
    UsageError
        It says what may be meant.
    """
    for option, name in (("--target", target), *(("--source", each) for each in source)):
        if known and name not in known:
            has = ", ".join(sorted(known))
            message = (
                f"{typed(option, name)}: the cache has no dataset {name!r}; it has {has}.{meant(option, name, known)}"
            )
            raise UsageError(message)
