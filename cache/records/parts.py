"""What the columns of a row of features are: parts side by side, a map, or several maps (see FORMAT.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stackbone.cache.errors import Malformed

PARTS = "parts"
ROW_SHAPE = "row_shape"
MAP_SHAPES = "map_shapes"
_MOST_NAME = 200


class Part(NamedTuple):
    """Some columns of a row that belong together, such as one stage's.

    Attributes
    ----------
    name
        Such as ``stage1`` or ``block12.cls``.
    n_columns
        How many there are.
    """

    name: str
    n_columns: int


@dataclass(frozen=True)
class RowForm:
    """What a row of features consists of.

    Attributes
    ----------
    parts
        From the first column to the last; empty where a row is one part.
    row_shape
        (h, w, d) where a row is a map, position by position from the top left, else empty.
    map_shapes
        (h, w, d) of each part where every part is such a map, else empty.
    """

    parts: tuple[Part, ...] = ()
    row_shape: tuple[int, ...] = ()
    map_shapes: tuple[tuple[int, int, int], ...] = ()

    def texts(self) -> dict[str, str]:
        """Return the attributes of a shard that say it; a row of one part has none."""
        parts = {PARTS: _json([list(part) for part in self.parts])} if self.parts else {}
        shape = {ROW_SHAPE: _json(list(self.row_shape))} if self.row_shape else {}
        shapes = {MAP_SHAPES: _json([list(each) for each in self.map_shapes])} if self.map_shapes else {}
        return parts | shape | shapes

    def problem(self, dim: int) -> str:
        """Return why rows of `dim` columns are not of this form, or ``""``."""
        n_columns = sum(part.n_columns for part in self.parts)
        if self.parts and n_columns != dim:
            return f"its parts have {n_columns:,} columns, its rows {dim:,}"
        if self.row_shape and math.prod(self.row_shape) != dim:
            return f"its row_shape is {list(self.row_shape)}, and its rows have {dim:,} columns"
        if self.map_shapes and [math.prod(each) for each in self.map_shapes] != [each[1] for each in self.parts]:
            return f"its map_shapes are {[list(each) for each in self.map_shapes]}, which are not its parts' columns"
        return ""


def parse_form(parts: Any, row_shape: Any, map_shapes: Any = None) -> RowForm:  # noqa: ANN401 - whatever a file holds
    """Return the form that three attributes tell, each None where it is absent.

    Raises
    ------
    Malformed
        If they are not what FORMAT.md says.
    """
    if parts is not None and not (_is_list(parts) and all(_is_part(each) for each in parts)):
        message = "its parts are not a JSON list of names and numbers of columns"
        raise Malformed(message)
    if row_shape is not None and not _is_shape(row_shape):
        message = "its row_shape is not a JSON list of height, width and depth"
        raise Malformed(message)
    if map_shapes is not None and not (_is_list(map_shapes) and all(map(_is_shape, map_shapes))):
        message = "its map_shapes are not a JSON list of heights, widths and depths"
        raise Malformed(message)
    shapes = tuple((h, w, d) for h, w, d in map_shapes or ())
    return RowForm(tuple(Part(*each) for each in parts or ()), tuple(row_shape or ()), shapes)


def _json(value: Sequence[object]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_count, value))


def _is_part(value: object) -> bool:
    if not (isinstance(value, list) and len(value) == 2):
        return False
    name, n_columns = value
    return type(name) is str and name.isprintable() and 0 < len(name) <= _MOST_NAME and _is_count(n_columns)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 1 << 31
