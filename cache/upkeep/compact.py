"""Merge shards into fewer, larger ones without doubles, and drop rows that nobody needs any more."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests, as_keys
from stackbone.cache.errors import CacheError, CorruptFileError, RemoteError
from stackbone.cache.feature_set import LOOKS, FeatureSet
from stackbone.cache.findings.applied import read_listed_digests
from stackbone.cache.hdf5.opening import corrupt_message
from stackbone.cache.places.opened import WHOLE_AT_ONCE, side_by_side
from stackbone.cache.places.place import Place, locked, look_afresh, sync_folder
from stackbone.cache.records import shard
from stackbone.cache.records.indexes.index_file import index_path
from stackbone.cache.records.provenance import merge_provenance
from stackbone.cache.records.seen import FILE as RECORD
from stackbone.cache.records.shards.content import ShardHeader, Sizes
from stackbone.cache.store import FeatureStore
from stackbone.cache.text import counted

TARGET_BYTES = 64 << 20  # of features in a shard: bounds the memory that a reader or a merge needs


class _Rows(NamedTuple):
    """Some rows: (n, 32) digests, (n, dim) features, and (n, 2) sizes of the images, where all shards tell them."""

    digests: Digests
    features: NDArray[np.floating]
    sizes: Sizes | None

    def take(self, rows: NDArray[np.intp] | slice) -> _Rows:
        """Return those of some places."""
        sizes = None if self.sizes is None else self.sizes[rows]
        return _Rows(self.digests[rows], self.features[rows], sizes)


@dataclass(frozen=True)
class Compaction:
    """What compaction did to a feature set: shards and rows before and after."""

    feature_set: str
    shards_before: int
    shards_after: int
    rows_before: int
    rows_after: int

    def line(self) -> str:
        """Return one line for people."""
        if self.shards_before == self.shards_after and self.rows_before == self.rows_after:
            return f"{self.feature_set}: nothing to do, {_size(self.rows_after, self.shards_after)}"
        return (
            f"{self.feature_set}: {_size(self.rows_before, self.shards_before)} became "
            f"{_size(self.rows_after, self.shards_after)}"
        )


def _size(rows: int, shards: int) -> str:
    return f"{counted(rows, 'row')} in {counted(shards, 'shard')}"


def compact(feature_set: FeatureSet, *, drop: Digests | None = None) -> Compaction:
    """Merge a feature set's shards into a few of about 64 MiB, dropping doubles.

    New shards are durable before an old one is removed, so a reader at any moment, and a crash at any moment, finds
    every row. Two processes may do it at once.

    Parameters
    ----------
    drop
        Digests of rows to leave out. (Not those to keep: rows that are committed meanwhile must stay.)

    Raises
    ------
    CorruptFileError
        If a shard is damaged; nothing is removed then.
    CacheError
        If the folder cannot be written, or shards vanish again and again.
    """
    for _ in range(LOOKS):
        if not feature_set.folder.is_dir():
            return Compaction(feature_set.id, 0, 0, 0, 0)
        try:
            with locked(feature_set.folder):
                return _compact(feature_set, drop)
        except FileNotFoundError:  # set aside, forgotten, or merged by another machine: what was merged here is kept
            continue
        except RemoteError:
            raise
        except OSError as exc:
            raise CacheError(_os_message(feature_set, exc)) from exc
    message = f"a shard of {feature_set.id} vanished: another machine is compacting it. Run again when it is done"
    raise CacheError(message)


def _compact(feature_set: FeatureSet, drop: Digests | None) -> Compaction:
    old = feature_set.shards()
    prove = partial(shard.read_proven, fingerprint=feature_set.fingerprint)
    headers = [header for _, (header, _) in side_by_side(old, prove, WHOLE_AT_ONCE)]
    for path, header in zip(old, headers, strict=True):
        if (header.dim, header.form) != (headers[0].dim, headers[0].form):
            found = f"it has {header.dim} features a row, {old[0].name} has {headers[0].dim}"
            if header.dim == headers[0].dim:
                found = f"the parts of its rows are not those of {old[0].name}"
            raise CorruptFileError(corrupt_message(path, found))
    rows_before = sum(header.n_rows for header in headers)
    wanted = _distinct(old, feature_set.fingerprint, drop)
    if not old or (len(wanted) == rows_before and len(old) <= _n_shards(headers)):
        return Compaction(feature_set.id, len(old), len(old), rows_before, rows_before)
    provenance = merge_provenance([header.provenance for header in headers])
    rows_each = _rows_each(headers[0])
    dtype = np.result_type(*(header.dtype for header in headers))
    # A name of this run's own: whoever found the old shards, on another machine, removes none of the new ones.
    merge = uuid.uuid4().hex
    form = headers[0].form
    new = [
        feature_set.append(
            headers[0].spec,
            rows.digests,
            rows.features.astype(dtype, copy=False),
            provenance,
            form,
            sizes=rows.sizes,
            merge=merge,
        )
        for rows in _regroup(_selected(old, feature_set, wanted), rows_each)
    ]
    _remove(old)
    return Compaction(feature_set.id, len(old), len(new), rows_before, len(wanted))


def used_digests(store: FeatureStore, leaving: Sequence[str] = ()) -> Digests:
    """Return the digests that a dataset of the cache lists, those that are leaving aside.

    An image whose file could not be read lately is used: its features are as sound as before.

    Raises
    ------
    CacheError
        If no dataset stays, one is removed in this moment, or an index or a file of findings is damaged.
    """
    look_afresh(store.root)  # a dataset that another machine has committed meanwhile is used
    parts = [_listed_digests(store, name) for name in store.dataset_names() if name not in leaving]
    if not parts:
        message = (
            f"no dataset would stay in the cache {store.root}, so every row would count as unused. "
            "To remove whole feature sets, name them"
        )
        raise CacheError(message)
    return np.concatenate(parts)


def _listed_digests(store: FeatureStore, name: str) -> Digests:
    try:
        return read_listed_digests(store.root, index_path(store.root, name))
    except FileNotFoundError as exc:
        message = f"the dataset {name!r} in the cache {store.root} was removed just now. Nothing was changed. Run again"
        raise CacheError(message) from exc


def remove_feature_set(feature_set: FeatureSet) -> int:
    """Remove a feature set's shards, its record of a steering, and its folder if nothing else is in it.

    Returns
    -------
    int
        How many shards there were.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    look_afresh(feature_set.folder)
    shards = feature_set.shards()
    try:
        _remove(shards)
        look_afresh(feature_set.folder)
        if not feature_set.shards():  # another process may have committed one meanwhile, which needs the record
            (feature_set.folder / RECORD).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            if not any(feature_set.folder.iterdir()):
                feature_set.folder.rmdir()
    except RemoteError:
        raise
    except OSError as exc:
        raise CacheError(_os_message(feature_set, exc)) from exc
    return len(shards)


def _os_message(feature_set: FeatureSet, exc: OSError) -> str:
    return (
        f"could not change the feature set {feature_set.id} in {feature_set.folder.parent}: {exc.strerror or exc}. "
        "No row was lost. Check its permissions and its disk, and run again"
    )


def _distinct(paths: list[Place], fingerprint: str, drop: Digests | None) -> NDArray[np.bytes_]:
    if not paths:
        return np.zeros(0, f"S{DIGEST_BYTES}")
    read = partial(shard.read_digests, fingerprint=fingerprint)
    keys = np.unique(np.concatenate([as_keys(digests) for _, digests in side_by_side(paths, read)]))
    return keys if drop is None else np.setdiff1d(keys, as_keys(drop))


def _rows_each(header: ShardHeader) -> int:
    return max(1, TARGET_BYTES // (header.dim * np.dtype(header.dtype).itemsize))


def _n_shards(headers: list[ShardHeader]) -> int:
    return math.ceil(sum(header.n_rows for header in headers) / _rows_each(headers[0])) if headers else 0


def _selected(paths: Sequence[Place], feature_set: FeatureSet, wanted: NDArray[np.bytes_]) -> Iterator[_Rows]:
    """Yield the wanted rows of each shard, each digest once, the first shard's row before a later one's."""
    taken = np.zeros(len(wanted), np.bool_)
    read = partial(shard.read_kept_rows, fingerprint=feature_set.fingerprint)
    for _, kept in side_by_side(paths, read, WHOLE_AT_ONCE):
        found = _Rows(*kept)
        keys, first = np.unique(as_keys(found.digests), return_index=True)
        slots = np.searchsorted(wanted, keys)
        hit = slots < len(wanted)
        hit[hit] = (wanted[slots[hit]] == keys[hit]) & ~taken[slots[hit]]
        taken[slots[hit]] = True
        rows = np.sort(first[hit])
        if len(rows):
            yield found.take(rows)


def _regroup(parts: Iterable[_Rows], rows_each: int) -> Iterator[_Rows]:
    """Yield the same rows in pieces of `rows_each`; the last may be smaller."""
    waiting: list[_Rows] = []
    n_waiting = 0
    for part in parts:
        for start in range(0, len(part.digests), rows_each):
            piece = part.take(slice(start, start + rows_each))
            room = rows_each - n_waiting
            waiting.append(piece.take(slice(room)))
            n_waiting += len(waiting[-1].digests)
            if n_waiting == rows_each:
                yield _join(waiting)
                waiting = [piece.take(slice(room, None))]
                n_waiting = len(waiting[0].digests)
    if n_waiting:
        yield _join(waiting)


def _join(parts: list[_Rows]) -> _Rows:
    sizes = [each.sizes for each in parts if each.sizes is not None]
    return _Rows(
        np.concatenate([each.digests for each in parts]),
        np.concatenate([each.features for each in parts]),
        np.concatenate(sizes) if len(sizes) == len(parts) else None,
    )


def _remove(paths: Sequence[Place]) -> None:
    for _ in side_by_side(paths, lambda path: path.unlink(missing_ok=True)):
        pass
    for folder in {path.parent for path in paths}:
        sync_folder(folder)
