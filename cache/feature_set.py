"""One feature set: a folder of shards that share a spec, joined to images by digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests, as_keys
from stackbone.cache.disk.digest_sets import are_among
from stackbone.cache.disk.scratch import empty_array
from stackbone.cache.errors import CacheError, CorruptFileError
from stackbone.cache.hdf5.opening import corrupt_message
from stackbone.cache.maps.reader import MapReader
from stackbone.cache.places.opened import AT_ONCE, WHOLE_AT_ONCE, side_by_side
from stackbone.cache.places.place import Place, files_in, make_room
from stackbone.cache.records import shard
from stackbone.cache.records.feature_name import FeatureName, parse_feature_name
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.records.provenance import CUT, Provenance, merge_provenance, names_cut
from stackbone.cache.records.seen import SeenRecord, read_seen
from stackbone.cache.records.shards.content import ShardHeader, Sizes
from stackbone.cache.records.spec import FeatureSpec

_T = TypeVar("_T")
LOOKS = 100  # at a folder, whose shards `compact` may replace while they are read
_ROWS_COPIED = 4096  # at a time: one image may be listed a million times


@dataclass(frozen=True)
class FeatureSet:
    """One folder of shards that share a spec.

    Attributes
    ----------
    id
        ``NAME-XXXXXXXXXXXX``.
    backbone
        Its name part as it is typed, such as ``timm:resnet18.a1_in1k`` or ``resnet50@stages``; see `name`.
    fingerprint
        Its other part.
    folder
        Where its shards lie; the folder need not exist yet.
    """

    id: str
    backbone: str
    fingerprint: str
    folder: Place

    @property
    def name(self) -> FeatureName:
        """Which backbone made it, which of its outputs it holds, and of which view of the images."""
        return parse_feature_name(self.backbone)

    def shards(self) -> list[Place]:
        """Return its shards in the order that decides between doubles: by file name."""
        return files_in(self.folder, shard.PATTERN)

    def header(self) -> ShardHeader:
        """Return the header of its first shard.

        Raises
        ------
        CacheError
            If it has no shard yet, or that shard is damaged.
        """
        for _, header in self.read_each(shard.read_header, n_at_once=1):
            return header
        message = f"the feature set {self.id} in {self.folder.parent} has no shard yet. Run `stackbone extract`"
        raise CacheError(message)

    def parts(self) -> tuple[Part, ...]:
        """Return what its columns are, from the first to the last: one part, named as the output, where it has no more.

        Raises
        ------
        CacheError
            As of `header`.
        """
        header = self.header()
        return header.form.parts or (Part(header.spec.output, header.dim),)

    def provenance(self) -> Provenance:
        """Return the circumstances in which its features were made, of all shards together; errors as `read_each`."""
        return merge_provenance([header.provenance for _, header in self.read_each(shard.read_header)])

    def seen(self) -> SeenRecord | None:
        """Return which images the steering of its backbone saw the labels of; None for a plain backbone.

        Raises
        ------
        CacheError
            If it has no shard yet, or no record though its backbone was steered.
        CorruptFileError
            If the record is damaged, or of another steering.
        """
        steering = self.header().spec.steering
        return None if steering is None else read_seen(self.folder, steering)

    def digests(self) -> Digests:
        """Return the (n, 32) digests of all its rows, doubles included."""
        parts = [digests for _, digests in self.read_each(shard.read_digests)]
        return np.concatenate(parts) if parts else np.zeros((0, DIGEST_BYTES), np.uint8)

    def read_each(self, read: Callable[[Place, str], _T], *, n_at_once: int = AT_ONCE) -> Iterator[tuple[Place, _T]]:
        """Yield (path, what `read` returns) of every shard; on an object store, `read` is called of so many at once.

        A shard that another process merged away meanwhile is passed over, and what took its place is read; rows
        may come twice then. This is the one place that tells vanished from damaged.

        Raises
        ------
        CacheError
            If shards vanish again and again.
        """
        done: set[str] = set()
        for _ in range(LOOKS):
            waiting = [path for path in self.shards() if path.name not in done]
            if not waiting:
                return
            with suppress(FileNotFoundError):
                for path, found in side_by_side(waiting, lambda path: read(path, self.fingerprint), n_at_once):
                    done.add(path.name)
                    yield path, found
        message = (
            f"shards of {self.id} in {self.folder.parent} vanished {LOOKS} times while they were read: another "
            "process keeps merging or removing them. Run again when it is done"
        )
        raise CacheError(message)

    def missing(self, digests: Digests) -> NDArray[np.bool_]:
        """Return (n,) bool: True where an image of `digests` has no features here."""
        return self.look_up(digests)[0]

    def look_up(self, digests: Digests) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return two (n,) bool: where an image of `digests` has no features, and where it has and its file was cut."""
        rows, cut = [np.zeros((0, DIGEST_BYTES), np.uint8)], []
        for _, (header, found, _) in self.read_each(shard.read_summary):
            rows.append(found)
            cut += [header.provenance[CUT]] if CUT in header.provenance else []
        missing = ~are_among(digests, np.concatenate(rows))
        if not cut:
            return missing, np.zeros(len(digests), np.bool_)
        return missing, ~missing & np.array(names_cut(cut, (row.tobytes().hex() for row in digests)), np.bool_)

    def append(
        self,
        spec: FeatureSpec,
        digests: Digests,
        features: NDArray[np.floating],
        provenance: Mapping[str, str],
        form: RowForm | None = None,
        *,
        sizes: Sizes | None = None,
        merge: str = "",
    ) -> Place:
        """Commit rows as one new shard and return its path; parameters and errors as of `write_shard`."""
        if spec.fingerprint != self.fingerprint:
            message = f"features made by the spec {spec.fingerprint} do not belong in the feature set {self.id}"
            raise CacheError(message)
        make_room(self.folder)
        return shard.write_shard(self.folder, spec, digests, features, provenance, form, sizes=sizes, merge=merge)

    def load(
        self, digests: Digests, convert: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    ) -> NDArray[np.float32]:
        """Return features aligned with `digests`, in one pass over the shards.

        Memory: the result (a large one in a scratch file), two shards (of an object store five), about 10 bytes a row.

        Parameters
        ----------
        digests
            (n, 32) uint8; doubles are allowed.
        convert
            What to keep of features, if not all: of (m, dim) float32 it returns (m, k) float32, for some images at a
            time.

        Returns
        -------
        numpy.ndarray
            (n, dim) float32, or (n, k); row i belongs to ``digests[i]``.

        Raises
        ------
        CacheError
            If an image has no features here.
        CorruptFileError
            If a shard is damaged.
        """
        result: NDArray[np.float32] | None = None
        for targets, rows, features in self._matching(digests):
            part, places = features, rows
            if convert:
                used, places = np.unique(rows, return_inverse=True)
                part = convert(features[used])
            if result is None:
                result = empty_array((len(digests), part.shape[1]))
            for start in range(0, len(targets), _ROWS_COPIED):
                piece = slice(start, start + _ROWS_COPIED)
                result[targets[piece]] = part[places[piece]]
        return np.zeros((0, 0), np.float32) if result is None else result

    def stream(self, digests: Digests) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield features of `digests` shard after shard, for who needs no more than some at a time.

        Memory: two shards, and about 10 bytes a row.

        Parameters
        ----------
        digests
            (n, 32) uint8; doubles are allowed.

        Yields
        ------
        places, features
            (m,) int64 and (m, dim) float32; row i belongs to ``digests[places[i]]``. Every place comes once.

        Raises
        ------
        CacheError, CorruptFileError
            As of `load`; where an image has no features, after all others were given.
        """
        for targets, rows, features in self._matching(digests):
            yield targets, features[rows]

    def maps(self) -> MapReader:
        """Return what reads its maps, image by image; shards that are committed later are not in it.

        Raises
        ------
        UsageError
            If its rows are no maps of several strides.
        CacheError
            As of `read_each`; or if it has no shard yet.
        """
        return MapReader(self.id, self.header(), self.read_each)

    def _matching(self, digests: Digests) -> Iterator[tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.float32]]]:
        """Yield of each shard which digests are found in it first, in which of its rows, and all of its features."""
        wanted = as_keys(digests)
        order = np.argsort(wanted)
        found = np.zeros(len(wanted), np.bool_)
        dim = 0
        for path, (part_digests, features) in self.read_each(shard.read_rows, n_at_once=WHOLE_AT_ONCE):
            dim = dim or features.shape[1]
            if features.shape[1] != dim:
                found_dim = f"it has {features.shape[1]} features a row, other shards of {self.id} have {dim}"
                raise CorruptFileError(corrupt_message(path, found_dim))
            targets, rows = _match(wanted, order, part_digests)
            new = ~found[targets]
            found[targets] = True
            yield targets[new], rows[new], features
        if not found.all():
            message = (
                f"the feature set {self.id} lacks {int((~found).sum()):,} of {len(digests):,} images. "
                "Run `stackbone extract` on the dataset to embed them"
            )
            raise CacheError(message)


def _match(
    wanted: NDArray[np.bytes_], order: NDArray[np.intp], digests: Digests
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (places in `wanted`, the first row of `digests` of the same image), every such pair.

    `order` sorts `wanted`; sorting a copy instead would take four times the memory.
    """
    keys, rows = np.unique(as_keys(digests), return_index=True)
    start = np.searchsorted(wanted, keys, side="left", sorter=order)
    count = np.searchsorted(wanted, keys, side="right", sorter=order) - start
    nth_use = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return order[np.repeat(start, count) + nth_use], np.repeat(rows, count)
