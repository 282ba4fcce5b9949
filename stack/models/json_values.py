"""Values of a saved model's JSON, taken for what they should be or not at all."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from stackbone.cache import ModelError

_T = TypeVar("_T")


def expect(
    kind: type[_T], value: object, what: str, *, keys: set[str] | None = None, optional: Collection[str] = ()
) -> _T:
    """Return `value` if it is exactly of a type (True is not a number) and, where given, has just these keys.

    Those that are `optional` it may have too.

    Raises
    ------
    ModelError
        If it is not.
    """
    if type(value) is not kind:
        message = f"{what} is a JSON {type(value).__name__}, expected {kind.__name__}"
        raise ModelError(message)
    if keys is not None and isinstance(value, dict) and set(value) - set(optional) != keys:
        message = f"the keys of {what} differ from the format's in {sorted((set(value) - set(optional)) ^ keys)}"
        raise ModelError(message)
    return value


def expect_floats(raw: object, what: str) -> list[float]:
    """Return a list of numbers; errors as `expect`."""
    return [expect(float, each, what) for each in expect(list, raw, what)]
