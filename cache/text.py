"""Text from files as a terminal may show it and a shell may take it, and numbers as JSON may hold them."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any, NoReturn


def printable(text: str) -> str:
    r"""Return text that shows what it holds and commands nothing.

    Names of folders, classes and columns come from files, and a terminal obeys what is in them. Whatever has no ink of
    its own is written as an escape: control characters (``\x1b``, ``\n``), marks that turn the direction of
    writing (``\u202e``), characters without width (``\u200b``), spaces that are no plain one (``\xa0``), bytes that are
    not UTF-8 (``\udcff``).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def typed(*words: object) -> str:
    """Return words as they are to be typed into a shell, quoted where it would make something else of them."""
    return shlex.join(map(str, words))


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number of things in words: ``1 image``, ``1,200 images``; `plural` if it is not the noun and an s."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def to_json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON
    """Return JSON in ASCII; a number that is not finite, for which JSON has no word, becomes null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def from_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return what JSON says.

    Raises
    ------
    ValueError
        If it is not JSON, is nested too deeply, or holds a number for which JSON has no word, such as NaN.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as exc:
        message = "it is nested too deeply"
        raise ValueError(message) from exc


def _refuse_constant(name: str) -> NoReturn:
    message = f"it holds the number {name}"
    raise ValueError(message)


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
