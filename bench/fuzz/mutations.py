"""Changes to bytes and to JSON, as accidents and attackers make them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator

_DEEP = "@deep@"
_DIGITS = "@digits@"
_RAW = {
    json.dumps(_DEEP).encode(): b"[" * 100_000 + b"]" * 100_000,
    json.dumps(_DIGITS).encode(): b"9" * 5_000,
}
_KEYS = ("", "format", "\x1b[31m", "__class__", "0")
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    10**9,
    1 << 31,
    1 << 63,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "0",
    "nan",
    "\x1b]0;title\x07\x1b[2J",
    "\u202e\u200b",
    "\udcff",
    "\0",
    "../../etc/passwd",
    "hf-hub:someone/something",
    "; touch x #",
    "x" * 70_000,
    [],
    [[]],
    [0] * 1_000,
    {},
    {"a": {}},
    _DEEP,
    _DIGITS,
)
"""What takes the place of a value in JSON: other types, the ends of ranges, text that terminals and shells obey."""


def mutate(content: bytes, rng: Rng) -> bytes:
    """Return other bytes than `content`, changed in one of the ways of `_BYTE_CHANGES`."""
    for _ in range(20):
        changed = bytearray(content)
        _BYTE_CHANGES[int(rng.integers(len(_BYTE_CHANGES)))](changed, rng)
        if changed != content:
            return bytes(changed)
    return bytes(content) + b"\0"


def mutate_json(content: bytes, rng: Rng, n: int = 1) -> bytes:
    """Return JSON in which `n` values, chosen at random at any depth, are odd, gone, doubled or renamed."""
    tree = [copy.deepcopy(json.loads(content))]
    for _ in range(n):
        parent, key = _places(tree)[int(rng.integers(len(_places(tree))))]
        _change_at(parent, key, rng)
    text = json.dumps(tree[0]).encode()
    for mark, raw in _RAW.items():
        text = text.replace(mark, raw)
    return text


def _flip(content: bytearray, rng: Rng) -> None:
    at = int(rng.integers(8 * len(content)))
    content[at // 8] ^= 1 << at % 8


def _truncate(content: bytearray, rng: Rng) -> None:
    del content[int(rng.integers(len(content))) :]


def _zero(content: bytearray, rng: Rng) -> None:
    first, last = _range(content, rng)
    content[first:last] = bytes(last - first)


def _swap(content: bytearray, rng: Rng) -> None:
    length = min(_length(rng), len(content) // 2)
    first = int(rng.integers(len(content) - 2 * length + 1))
    second = int(rng.integers(first + length, len(content) - length + 1))
    part = content[first : first + length]
    content[first : first + length] = content[second : second + length]
    content[second : second + length] = part


def _insert(content: bytearray, rng: Rng) -> None:
    at = int(rng.integers(len(content) + 1))
    content[at:at] = rng.bytes(_length(rng))


def _copy(content: bytearray, rng: Rng) -> None:
    first, last = _range(content, rng)
    at = int(rng.integers(len(content)))
    content[at : at + last - first] = content[first:last]


def _number(content: bytearray, rng: Rng) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    most = 1 << 8 * width
    number = int(rng.choice([0, 1, 7, 64, len(content) % most, most // 2 - 1, most // 2, most - 1], 1)[0]) % most
    at = int(rng.integers(max(1, len(content) - width)))
    content[at : at + width] = number.to_bytes(width, "little")


def _digit(content: bytearray, rng: Rng) -> None:
    """Change a number or word that stands in text, as JSON, XML and CSV have them."""
    places = [found.span() for found in re.finditer(rb"[0-9]+|[a-z_]{3,}", bytes(content[: 1 << 16]))]
    if places:
        first, last = places[int(rng.integers(len(places)))]
        content[first:last] = bytes(rng.choice([b"-1", b"0", b"9999999999", b"1e400", b"nan", b"\xff\xfe", b""]))


_BYTE_CHANGES: tuple[Callable[[bytearray, Rng], None], ...] = (
    _flip,
    _flip,
    _truncate,
    _zero,
    _swap,
    _insert,
    _copy,
    _number,
    _number,
    _digit,
)


def _length(rng: Rng) -> int:
    return int(2 ** rng.uniform(0, 9))


def _range(content: bytearray, rng: Rng) -> tuple[int, int]:
    first = int(rng.integers(len(content)))
    return first, min(len(content), first + _length(rng))


def _places(tree: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    """Return (list or object, index or key) of every value in it."""
    keys: list[Any] = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], dict | list):
            found += _places(tree[key])
    return found


def _change_at(parent: Any, key: Any, rng: Rng) -> None:  # noqa: ANN401 - any JSON
    kind = int(rng.integers(10))
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[_KEYS[int(rng.integers(len(_KEYS)))]] = parent.pop(key) if rng.integers(2) else 1
    elif kind == 2 and isinstance(parent, list) and len(parent) > 1:
        parent.pop(key) if rng.integers(2) else parent.append(copy.deepcopy(parent[key]))
    elif kind == 3 and type(parent[key]) in (int, float):
        parent[key] = parent[key] + 1 if rng.integers(2) else -parent[key]
    else:
        parent[key] = copy.deepcopy(ODD_VALUES[int(rng.integers(len(ODD_VALUES)))])
