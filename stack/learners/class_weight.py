"""What an image of each class counts for, as a user says it: balanced, in a file, or as JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from stackbone.cache.choices import nearest
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.errors import UsageError
from stackbone.cache.text import counted, from_json

BALANCED = "balanced"
"""Every class counts as much as any other, in all."""

NONE = "none"

_MOST_BYTES = 1 << 24
_BEYOND = 1e300  # and sums of weights still finite
_EXPECTED = (
    'a line for each class with its name and a number above 0, such as "cat,2.5" (CSV in UTF-8), or JSON such as '
    '{"cat": 2.5}'
)


def parse_class_weight(text: str | None) -> str | dict[str, float] | None:
    """Return the weights that ``--class-weight`` asks for.

    Parameters
    ----------
    text : str, optional
        ``balanced``, ``none``, a JSON object of numbers by class name, or the name of a file: of such an object, or of
        lines of a class and a number.

    Returns
    -------
    str or dict of str to float, optional
        ``balanced``, a number above 0 by class name, or None for none.

    Raises
    ------
    UsageError
        If there is no such file, or a weight is not a number above 0.
    """
    if text is None or text == NONE:
        return None
    if text == BALANCED:
        return BALANCED
    if text.lstrip().startswith("{"):
        return _from_json(text, "--class-weight")
    file = Path(text)
    where = f"the class weights in {text}"
    try:
        content = read_regular(file, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        message = f"{where} are not UTF-8 ({exc.reason}); expected {_EXPECTED}: save the file as UTF-8"
        raise UsageError(message) from exc
    except (OSError, ValueError) as exc:
        why = (exc.strerror if isinstance(exc, OSError) else None) or exc
        near = nearest(text, (BALANCED, NONE))
        meant = f"; did you mean {near!r}?" if near else ""
        message = (
            f"--class-weight is {text!r}: {BALANCED}, {NONE} or a file is expected, and that file cannot be read "
            f"({why}){meant}"
        )
        raise UsageError(message) from exc
    if content.lstrip().startswith("{"):
        return _from_json(content, where)
    try:
        return checked_weights(_lines(content, where), where)
    except csv.Error as exc:
        message = f"{where} are not CSV ({exc}); expected {_EXPECTED}"
        raise UsageError(message) from exc


def _from_json(text: str, where: str) -> dict[str, float]:
    try:
        found = from_json(text.encode())
    except ValueError as exc:
        message = f"{where}: this is not JSON ({exc}); expected {_EXPECTED}"
        raise UsageError(message) from exc
    if not isinstance(found, Mapping):
        message = f"{where}: expected {_EXPECTED}"
        raise UsageError(message)
    return checked_weights(found.items(), where)


def _lines(content: str, where: str) -> Iterable[tuple[str, Any]]:
    """Yield class and weight of each line; a first line whose second cell is no number names the columns."""
    reader = csv.reader(io.StringIO(content))
    for number, row in enumerate(reader):
        if not row:
            continue
        if len(row) != 2:
            message = f"{where}: line {reader.line_num} has {counted(len(row), 'cell')}; expected {_EXPECTED}"
            raise UsageError(message)
        try:
            yield row[0], float(row[1])
        except ValueError:
            if number:
                yield row[0], row[1]


def checked_weights(pairs: Iterable[tuple[str, Any]], where: str) -> dict[str, float]:
    """Return weights by class name.

    Parameters
    ----------
    pairs : iterable of (str, Any)
        Class and weight of each.
    where : str
        Of a message: what holds them.

    Raises
    ------
    UsageError
        If a weight is not a number above 0, a class has two, or there is none.
    """
    weights: dict[str, float] = {}
    for name, value in pairs:
        number = _as_float(value)
        if not 0 < number < _BEYOND:
            message = f"{where}: the weight of {name!r} is {value!r}; expected {_EXPECTED}"
            raise UsageError(message)
        if name in weights:
            message = f"{where}: the class {name!r} has two weights; leave one"
            raise UsageError(message)
        weights[name] = number
    if not weights:
        message = f"{where}: there is none; expected {_EXPECTED}"
        raise UsageError(message)
    return weights


def _as_float(value: object) -> float:
    """Return a number as a float, infinity beyond what one can hold; NaN of anything else."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
