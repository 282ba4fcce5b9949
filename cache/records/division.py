"""Which part of a dataset a steering was trained on, as files say it: known keys, numbers and plain words alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackbone.cache.errors import CacheError

_LEAST = {"cv": 2, "seed": 0, "fold": 0}  # Stackbone counts folds from 1; a file of another writer may not
_MOST = (1 << 32) - 1
_WORDS = ("group_by", "rare", "task", "dealing", "plan")
_COLUMN = "column"  # or file, whose name may be any text
_INNER = ("inner", "inner_splits")
_WORD = re.compile(r"[a-z]+(-[a-z]+)*")
_LONGEST = 1_000


def parse_division(raw: object) -> dict[str, Any]:
    """Return what a file says of a division, every value of its type: it is printed and typed as a command.

    That is ``{"split": NAME}``, or ``cv``, ``seed`` and ``fold`` (whole numbers, the fold at most ``cv``) with
    ``group_by``, ``rare``, ``task``, ``dealing``, ``plan`` (words) and ``column`` (text) or without. Either may name an
    inner fold of its training part by ``inner``, from 1, and ``inner_splits`` (whole numbers).

    Raises
    ------
    CacheError
        If it is anything else.
    """
    if not isinstance(raw, Mapping):
        message = f"its division is a JSON {type(raw).__name__}, not an object"
        raise CacheError(message)
    division = {key: value for key, value in raw.items() if key not in _INNER}
    inner = {key: raw[key] for key in _INNER if key in raw}
    if inner:
        return _parse_outer(division) | _parse_inner(inner)
    return _parse_outer(division)


def _parse_inner(inner: dict[str, Any]) -> dict[str, Any]:
    number, n_splits = (inner.get(key) for key in _INNER)
    if type(number) is not int or type(n_splits) is not int or not 1 <= number <= n_splits <= _MOST:
        message = f"its division names the inner fold {str(number)[:80]} of {str(n_splits)[:80]}"
        raise CacheError(message)
    return inner


def _parse_outer(division: dict[str, Any]) -> dict[str, Any]:
    if set(division) == {"split"}:
        split = division["split"]
        if type(split) is not str or not 0 < len(split) <= _LONGEST:
            message = f"the split of its division is {str(split)[:80]!r}, expected a name"
            raise CacheError(message)
        return division
    if not set(_LEAST) <= set(division) <= {*_LEAST, *_WORDS, _COLUMN}:
        message = f"its division has the keys {sorted(map(str, division))[:10]}, expected split, or cv, seed and fold"
        raise CacheError(message)
    for key, value in division.items():
        is_number = type(value) is int and key in _LEAST and _LEAST[key] <= value <= _MOST
        is_word = type(value) is str and key in _WORDS and len(value) < 40 and _WORD.fullmatch(value) is not None
        is_column = key == _COLUMN and type(value) is str and 0 < len(value) <= _LONGEST and value.isprintable()
        if not (is_number or is_word or is_column):
            message = (
                f"{key!r} of its division is {str(value)[:80]!r}, expected a {'number' if key in _LEAST else 'word'}"
            )
            raise CacheError(message)
    if division["fold"] > division["cv"]:
        message = f"its division names fold {division['fold']} of {division['cv']}"
        raise CacheError(message)
    return division
