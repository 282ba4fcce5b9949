"""Columns of texts of which many are equal, such as labels: each text once, and a small number for each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import eq, index
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

_PIECE = 1 << 16  # rows turned into Python numbers at a time

Codes = NDArray[np.unsignedinteger[Any]]


class CodedTexts(Sequence[str]):
    """A sequence of texts that takes one to four bytes for each, beside the different ones.

    It is read as a list is, equals a list of the same texts and no tuple, and NumPy makes an array of it, whose items
    may be wider than those of the list's. It cannot be changed, added to, repeated, ordered against another, or turned
    into JSON: for these, make a list of it with ``list(texts)``.

    Parameters
    ----------
    names : list of str
        The different texts.
    codes : NDArray of unsigned integers
        ``(n,)`` which of them stands in each row.
    """

    __slots__ = ("codes", "names")

    def __init__(self, names: list[str], codes: NDArray[Any]) -> None:
        self.names = names
        self.codes: Codes = codes.astype(np.min_scalar_type(max(len(names) - 1, 0)), copy=False)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, which: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, which: slice) -> CodedTexts: ...
    def __getitem__(self, which: SupportsIndex | slice) -> str | CodedTexts:
        if isinstance(which, slice):
            return CodedTexts(self.names, self.codes[which])
        return self.names[int(self.codes[index(which)])]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.codes), _PIECE):
            yield from map(self.names.__getitem__, self.codes[start : start + _PIECE].tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | CodedTexts):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return repr(list(self))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        """Return an array of the texts, for NumPy."""
        return np.asarray(self.names, dtype)[self.codes] if self.names else np.asarray([], dtype or "U1")

    def used(self) -> list[int]:
        """Return the ascending codes that stand in a row."""
        return np.flatnonzero(np.bincount(self.codes, minlength=1) if len(self.codes) else []).tolist()


Texts = list[str] | CodedTexts
"""A column of texts in memory."""


def code_texts(texts: Sequence[str]) -> CodedTexts:
    """Return the same texts, coded in the order in which each is met first; itself if they are coded."""
    if isinstance(texts, CodedTexts):
        return texts
    names = list(dict.fromkeys(texts))
    code_of = {name: code for code, name in enumerate(names)}
    return CodedTexts(names, np.fromiter(map(code_of.__getitem__, texts), np.uint32, len(texts)))


def count_texts(texts: Sequence[str], rows: NDArray[np.intp]) -> Counter[str]:
    """Return how often each text stands in these rows, in the order in which it is met there first."""
    if not isinstance(texts, CodedTexts):
        return Counter(texts[row] for row in rows.tolist())
    codes, first, counts = np.unique(texts.codes[rows], return_index=True, return_counts=True)
    order = np.argsort(first)
    found = zip(codes[order].tolist(), counts[order].tolist(), strict=True)
    return Counter({texts.names[code]: count for code, count in found})


def are_told(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return ``(n,)`` which of the texts say anything."""
    if isinstance(texts, CodedTexts):
        told: NDArray[np.bool_] = np.array([bool(name) for name in texts.names], np.bool_)[texts.codes]
        return told
    return np.fromiter(map(bool, texts), np.bool_, len(texts))


def join_texts(columns: Sequence[Texts]) -> Texts:
    """Return columns one after another; coded where all are."""
    coded = [each for each in columns if isinstance(each, CodedTexts)]
    if not coded or len(coded) < len(columns):
        return list(chain.from_iterable(columns))
    known: dict[str, int] = {}
    parts = [np.array([known.setdefault(name, len(known)) for name in each.names])[each.codes] for each in coded]
    return CodedTexts(list(known), np.concatenate(parts))


def longest(texts: Sequence[str]) -> int:
    """Return the characters of the longest text."""
    different = [texts.names[code] for code in texts.used()] if isinstance(texts, CodedTexts) else texts
    return max(map(len, different), default=0)
