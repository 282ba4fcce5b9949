"""Folds that stay: images are dealt to folds by their content, so that a changed label or image moves few others.

The images of a class (or its groups) stand in the order of a hash of seed and content, and the order is cut into parts
of about equal size. Whatever is added, removed or moved to another class shifts each cut by one place at most. That is
not so of scikit-learn's splitters, which shuffle rows: one row more or less is another shuffle of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_labels import class_sizes, resolve_groups
from stackbone.stack.folds.groups import join_groups
from stackbone.stack.folds.splitters import ATTEMPTS, RowDealer, check_seed, find_lost

DEALINGS = ("digests", "rows")
"""How images are dealt to folds: by content, as here, or by row, as scikit-learn's splitters and Stackbone 0.1.0 do."""

Parts = list[NDArray[np.int64]]
"""Ascending rows of each test part."""


class Dealer(Protocol):
    """Deals the same rows once for each repeat of a cross-validation, every time otherwise."""

    def stratified(
        self,
        codes: NDArray[np.int64],
        names: NDArray[np.str_],
        group: NDArray[np.int64],
        tested: NDArray[np.bool_],
        n_splits: int,
    ) -> Parts:
        """Divide the tested rows into test parts of about equal class proportions.

        Parameters
        ----------
        codes, group : NDArray[np.int64]
            ``(n,)`` class codes, indices into `names`, and group ids, none negative.
        names : NDArray[np.str_]
            ``(n_classes,)`` class names.
        tested : NDArray[np.bool_]
            ``(n,)`` rows to divide; each of their classes has `n_splits` groups among them or more, and no group is
            partly among them.
        n_splits : int
            Number of parts.

        Returns
        -------
        list of NDArray[np.int64]
            Ascending rows of each test part; of the last attempt if all were unlucky (`splitters.find_lost` tells).
        """

    def plain(self, group: NDArray[np.int64], n_splits: int) -> Parts:
        """Divide all rows into test parts of about equal size, whatever their labels.

        Parameters
        ----------
        group : NDArray[np.int64]
            ``(n,)`` group ids, 0 to the number of groups - 1 without gaps.
        n_splits : int
            Number of parts, at most the number of groups.
        """

    def orders(self, group: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield orders of the groups in which to deal them: of this repeat, one for each attempt.

        Parameters
        ----------
        group : NDArray[np.int64]
            ``(n,)`` group ids, 0 to the number of groups - 1 without gaps.
        """


@dataclass(frozen=True, eq=False)
class Units:
    """What the rows of a division are: which of them belong together, and what they are dealt by.

    Attributes
    ----------
    groups : NDArray[np.int64], optional
        ``(n,)`` group ids; None where nothing groups the rows.
    digests : Digests, optional
        ``(n, 32)`` SHA-256 of each image, to deal by; None where rows are dealt as scikit-learn deals them.
    times : NDArray[np.float64], optional
        ``(n,)`` when each image was made, where folds train on the past and test on the future.
    """

    groups: NDArray[np.int64] | None = None
    digests: Digests | None = None
    times: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """What a message counts."""
        return "images" if self.groups is None else "groups of images"

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Return those of some rows."""
        groups, digests, times = self.groups, self.digests, self.times
        return type(self)(
            None if groups is None else groups[rows],
            None if digests is None else digests[rows],
            None if times is None else times[rows],
        )

    def ids(self, n: int) -> NDArray[np.int64]:
        """Return ``(n,)`` group ids, 0 upwards by first appearance; rows of one digest are one group.

        Raises
        ------
        StackError
            If groups or digests are those of other rows.
        """
        group = resolve_groups(self.groups, n)
        if self.digests is None:
            return group
        if self.digests.shape != (n, DIGEST_BYTES) or self.digests.dtype != np.uint8:
            msg = (
                f"digests have shape {self.digests.shape} and type {self.digests.dtype} for {n} labels; expected "
                f"({n}, {DIGEST_BYTES}) uint8, the SHA-256 of each image"
            )
            raise StackError(msg)
        words = np.ascontiguousarray(self.digests).view(np.uint64).reshape(n, -1)
        first = np.sort(words[:, 0])
        if (first[1:] != first[:-1]).all():
            return group
        _, image = np.unique(words, axis=0, return_inverse=True)
        return join_groups(group, image.reshape(n))

    def grow(self, n: int, more: int) -> Self:
        """Return those of these `n` rows and of so many made ones that belong to nothing."""
        groups, digests = self.groups, self.digests
        if groups is not None:
            groups = np.concatenate([resolve_groups(groups, n), n + np.arange(more)])
        if digests is not None:
            made = [np.frombuffer(hashlib.sha256(f"made {i}".encode()).digest(), np.uint8) for i in range(more)]
            digests = np.concatenate([digests, np.reshape(made, (more, DIGEST_BYTES)).astype(np.uint8)])
        return type(self)(groups, digests)

    def dealer(self, seed: int) -> Dealer:
        """Return what deals these rows.

        Raises
        ------
        UsageError
            If `seed` is out of range.
        """
        return RowDealer(seed) if self.digests is None else DigestDealer(self.digests, seed)


class DigestDealer:
    """Deals by digest: see the module.

    Every class is cut by itself, so that each fold has its share of images of every class to one image, where each is
    its own group, and whole folds differ by one image a class at most. A group lies in the fold of the rarest of its
    classes (the one in fewest groups, compared by powers of two so that the order seldom changes; of equals the first
    by name), at the place of the smallest hash of its images; the folds of a class of `k` groups or more have one each.

    In `k` folds, what joins or leaves a class moves at most ``k - 1`` others, so that a changed label moves at most
    ``2 (k - 1)``, and on average less than half of that. Of groups the cuts shift by as many images as changed, or as
    the group has whose first image changed, and then to the next whole group. Where a class grows or shrinks past a
    power of two in number of groups, those groups that lie across it and other classes may change folds.

    Parameters
    ----------
    digests : Digests
        ``(n, 32)`` SHA-256 of each row's image.
    seed : int
        0 to 2³² - 1.
    """

    def __init__(self, digests: Digests, seed: int) -> None:
        check_seed(seed)
        self._digests, self._seed, self._repeats = digests, seed, count()

    def stratified(
        self,
        codes: NDArray[np.int64],
        names: NDArray[np.str_],
        group: NDArray[np.int64],
        tested: NDArray[np.bool_],
        n_splits: int,
    ) -> Parts:
        """See `Dealer`; where a fold would test all images of a class, the next of `ATTEMPTS` hashes is taken."""
        rows = np.flatnonzero(tested)
        _, unit = np.unique(group[rows], return_inverse=True)
        home = _home_classes(codes[rows], unit, len(names))
        parts: Parts = []
        for salt in self._salts():
            folds = _deal(unit, home, names, _hash_rows(self._digests[rows], salt), n_splits, salt)
            parts = [rows[folds == number] for number in range(n_splits)]
            if all(len(part) and not len(find_lost(codes, part)) for part in parts):
                break
        return parts

    def plain(self, group: NDArray[np.int64], n_splits: int) -> Parts:
        """See `Dealer`: all rows as one class."""
        salt = next(self._salts())
        home = np.zeros(int(group.max()) + 1, np.int64)
        folds = _deal(group, home, np.array([""]), _hash_rows(self._digests, salt), n_splits, salt)
        return [np.flatnonzero(folds == number) for number in range(n_splits)]

    def orders(self, group: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """See `Dealer`: by the smallest hash of each group's images."""
        for salt in self._salts():
            place = np.full(int(group.max()) + 1, np.iinfo(np.uint64).max, np.uint64)
            np.minimum.at(place, group, _hash_rows(self._digests, salt))
            yield np.argsort(place, kind="stable")

    def _salts(self) -> Iterator[bytes]:
        repeat = next(self._repeats)
        return (f"{self._seed}/{repeat}/{attempt}".encode() for attempt in range(ATTEMPTS))


def _home_classes(codes: NDArray[np.int64], unit: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return the ``(n_units,)`` class by which each unit is dealt."""
    octave = np.frexp(class_sizes(codes, unit, n_classes))[1]
    rank = np.empty(n_classes, np.int64)
    rarest_first = np.lexsort((np.arange(n_classes), octave))
    rank[rarest_first] = np.arange(n_classes)
    best = np.full(int(unit.max()) + 1, n_classes)
    np.minimum.at(best, unit, rank[codes])
    return np.asarray(rarest_first[best], np.int64)


def _deal(
    unit: NDArray[np.int64],
    home: NDArray[np.int64],
    names: NDArray[np.str_],
    drawn: NDArray[np.uint64],
    n_splits: int,
    salt: bytes,
) -> NDArray[np.int64]:
    """Return the ``(n,)`` fold of each row, by the hashes `drawn` for the rows and the classes of their units."""
    place = np.full(len(home), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(place, unit, drawn)
    weights = np.bincount(unit)
    fold = np.empty(len(home), np.int64)
    ordered = np.lexsort((place, home))
    starts = np.flatnonzero(np.diff(home[ordered], prepend=-1))
    for units in np.split(ordered, starts[1:]):
        turn = int.from_bytes(_sha256(salt, str(names[home[units[0]]])), "big") % n_splits
        fold[units] = _cut(weights[units], n_splits, turn)
    return fold[unit]


def _cut(weights: NDArray[np.int64], n_splits: int, turn: int) -> NDArray[np.int64]:
    """Return the fold of each of a class's units in their order: parts of about equal weight, one after the other.

    A unit belongs to the part that its middle lies in. The parts are shifted by less than half a unit of mean weight,
    from class to class by another `turn`, so that what is left over does not always fall to the same folds.
    """
    n, total = len(weights), int(weights.sum())
    middles = (2 * np.cumsum(weights) - weights) * n * n_splits  # in whole numbers: the same on every machine
    marks = (2 * n * np.arange(1, n_splits) + 2 * turn - n_splits + 1) * total
    cuts = np.searchsorted(middles, marks)
    if n >= n_splits:  # a unit for each
        places = np.arange(n_splits - 1)
        cuts = places + np.maximum.accumulate(np.maximum(cuts - places, 1))
        cuts = np.minimum(cuts, n - n_splits + 1 + places)
    return np.searchsorted(cuts, np.arange(n), side="right")


def _hash_rows(digests: Digests, salt: bytes) -> NDArray[np.uint64]:
    """Return ``(n,)`` hashes of salt and digest: SplitMix64's finaliser (Steele, Lea & Flood 2014, OOPSLA, figure 17).

    Digests are random already; what is needed is another order of them for every salt, in little time.
    """
    hashed = np.full(len(digests), int.from_bytes(_sha256(salt, "")[:8], "big"), np.uint64)
    for word in np.ascontiguousarray(digests).view(">u8").T:
        hashed ^= word.astype(np.uint64)
        hashed ^= hashed >> np.uint64(30)
        hashed *= np.uint64(0xBF58476D1CE4E5B9)
        hashed ^= hashed >> np.uint64(27)
        hashed *= np.uint64(0x94D049BB133111EB)
        hashed ^= hashed >> np.uint64(31)
    return hashed


def _sha256(salt: bytes, text: str) -> bytes:
    return hashlib.sha256(salt + b"\0" + text.encode("utf-8", "surrogatepass")).digest()
