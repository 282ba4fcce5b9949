"""A cache: feature sets beside each other, and the datasets that use them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.box_file import FOLDER as BOXES
from stackbone.cache.boxes.box_file import boxes_path, read_boxes, remove_boxes, write_boxes
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.corrections.batch import FOLDER as CORRECTIONS
from stackbone.cache.corrections.batch import Batch, read_batches, remove_batch, write_batch
from stackbone.cache.corrections.corrected import correct
from stackbone.cache.disk.digest import Digests
from stackbone.cache.errors import CacheError, RemoteError, UsageError
from stackbone.cache.feature_set import FeatureSet
from stackbone.cache.findings.applied import read_whole_index
from stackbone.cache.findings.found import FOLDER as FINDINGS
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.place import Place, look_afresh, make_room, modified_ns, place_of, remove_left_over
from stackbone.cache.records.given import check_given_name, given_digests, given_features, given_spec
from stackbone.cache.records.indexes.index import DatasetIndex, uncorrected
from stackbone.cache.records.indexes.index_file import index_path, is_dataset_name, write_index
from stackbone.cache.records.spec import FeatureSpec, feature_set_id, full_name, parse_feature_set_id
from stackbone.cache.text import counted

DEFAULT_CACHE = "features"
_GIVEN_BYTES = 16 << 20  # of features given at once that go into one shard
_OTHER_KEY = "Give what was made in another way another name or provenance"


def default_cache() -> Place:
    """Return the cache of this environment, a folder or a URL: ``STACKBONE_CACHE``, else ``features``."""
    return place_of(os.environ.get("STACKBONE_CACHE") or DEFAULT_CACHE)


class FeatureStore:
    """A cache: a folder, or one on an object store.

    Parameters
    ----------
    root
        The folder, or the URL of one, such as ``s3://bucket/features``; the first commit creates it.

    Raises
    ------
    CacheError
        If something else than a folder is there.
    UsageError
        If the root is a URL that was made a `Path`.

    Examples
    --------
    >>> store = FeatureStore("features")
    >>> index = store.dataset()
    >>> [feature_set.id for feature_set in store.covering(index)]
    ['resnet50-0123456789ab']
    """

    def __init__(self, root: str | os.PathLike[str] | ObjectPath | None = None) -> None:
        self.root = place_of(root) if root is not None else default_cache()
        if not isinstance(self.root, ObjectPath) and os.path.lexists(self.root) and not os.path.isdir(self.root):
            message = f"the cache {self.root} is not a folder. Name another one with --cache"
            raise CacheError(message)

    def check_there(self) -> None:
        """Raise `CacheError` if there is no such directory: of what is not there nothing can be said."""
        if not self.root.is_dir():
            message = f"there is no cache at {self.root}: name another with --cache, or run `stackbone extract` first"
            raise CacheError(message)

    def feature_set(self, backbone: str, spec: FeatureSpec) -> FeatureSet:
        """Return the feature set of a backbone's spec, whether or not it has rows yet; see `feature_set_id`."""
        identity = feature_set_id(backbone, spec)
        return FeatureSet(identity, str(full_name(backbone, spec)), spec.fingerprint, self.root / identity)

    def feature_sets(self) -> list[FeatureSet]:
        """Return every feature set here, by name."""
        return list(self._feature_sets())

    def _feature_sets(self) -> Iterator[FeatureSet]:
        for folder in self._folders():
            parsed = parse_feature_set_id(folder.name)
            if parsed and folder.is_dir():
                yield FeatureSet(folder.name, *parsed, folder)

    def _folders(self) -> list[Place]:
        try:
            return sorted(self.root.iterdir()) if self.root.is_dir() else []
        except RemoteError:
            raise
        except OSError as exc:
            message = (
                f"could not list the cache {self.root}: {exc.strerror or exc}. "
                "Check its permissions, or name another one with --cache"
            )
            raise CacheError(message) from exc

    def add_features(
        self,
        name: str,
        digests: Digests | Sequence[str],
        features: NDArray[np.floating],
        provenance: Mapping[str, str],
    ) -> FeatureSet:
        """Commit features that were made elsewhere, for `stack` to use like any other.

        The key of the feature set is `name`, `provenance` and the type of the features: rows of further images join it
        when they are added with the same ones. Rows that are there already, equal ones, are passed over.

        Parameters
        ----------
        name
            Of the features, as of a backbone; letters, digits, ``.`` and ``_``.
        digests
            ``(n, 32) uint8``, or n texts of 64 hex digits: the SHA-256 of each image file's bytes, each once, such as
            ``index.image_sha256`` of a dataset.
        features
            ``(n, dim) float32`` or ``float16``, finite; row i is of image i.
        provenance
            What made them, as texts by name; they cannot be made again here, so say all that it takes.

        Returns
        -------
        FeatureSet

        Raises
        ------
        UsageError
            If an argument is none of these.
        CacheError
            If rows of an image are there that differ, or rows of another length; or as `FeatureSet.append`.
        """
        check_given_name(name)
        rows = given_digests(digests)
        given = given_features(features, len(rows))
        spec = given_spec(provenance, given.dtype)
        found = self.feature_set(name, spec)
        lacking = found.missing(rows)
        _check_same(found, rows[~lacking], given[~lacking], given.shape[1])
        notes = {**provenance, "created": datetime.now(UTC).isoformat(timespec="seconds")}
        rows, given = rows[lacking], given[lacking]
        step = max(1, _GIVEN_BYTES // given[:1].nbytes) if len(given) else 1
        for start in range(0, len(rows), step):
            found.append(spec, rows[start : start + step], given[start : start + step], notes)
        return found

    def covering(self, index: DatasetIndex) -> list[FeatureSet]:
        """Return the feature sets that hold every sound image of a dataset."""
        digests = index.image_sha256[index.ok]
        return [each for each in self.feature_sets() if each.shards() and not each.missing(digests).any()]

    def dataset_names(self) -> list[str]:
        """Return the names of the datasets here, the most lately written first."""
        written = []
        for path in (self.root / "datasets").glob("*.h5"):
            with suppress(FileNotFoundError):  # forgotten meanwhile
                if is_dataset_name(path.stem):
                    written.append((modified_ns(path), path.stem))
        return [name for _, name in sorted(written, reverse=True)]

    def dataset(self, name: str | None = None) -> DatasetIndex:
        """Return the index of a dataset, by default of the most lately written one.

        Raises
        ------
        CacheError
            If there is no dataset here.
        UsageError
            If there is none of this name; the message lists those that are.
        """
        names = self.dataset_names()
        if not names:
            message = (
                f"there is no dataset in the cache in {self.root}. Run `stackbone extract FOLDER` first, "
                "or name another cache with --cache"
            )
            raise CacheError(message)
        if name is not None and name not in names:
            message = f"the cache in {self.root} has no dataset {name!r}; it has {', '.join(sorted(names))}"
            raise UsageError(message)
        path = index_path(self.root, name or names[0])
        try:
            return self.corrected(read_whole_index(self.root, path))
        except FileNotFoundError as exc:
            message = f"the dataset {path.stem!r} in the cache {self.root} was removed just now. Run again"
            raise CacheError(message) from exc

    def write_dataset(self, index: DatasetIndex) -> None:
        """Commit the index of a dataset, with its own labels where some are corrected; errors as `write_index`."""
        path = index_path(self.root, index.name)
        make_room(path.parent)
        write_index(path, uncorrected(index))

    def corrected(self, index: DatasetIndex) -> DatasetIndex:
        """Return the index of a dataset here with the labels that were corrected beside it.

        Raises
        ------
        CorruptFileError, NewerVersionError, CacheError
            If a file of corrections is damaged, or cannot be read.
        """
        batches = self.corrections(index.name)
        if not batches:
            return index
        found = correct(uncorrected(index).label, index.image_sha256, index.label_form, batches)
        return replace(index, label=found.label, corrected=found)

    def corrections(self, dataset: str) -> list[Batch]:
        """Return the corrections of a dataset's labels, a batch for each run of `relabel`; errors as `corrected`."""
        return [*read_batches(self.root, dataset).values()]

    def add_corrections(self, dataset: str, batch: Batch) -> None:
        """Commit corrections of a dataset's labels, after those that are there; errors as `write_batch`."""
        write_batch(self.root, dataset, batch)

    def undo_corrections(self, dataset: str) -> Batch | None:
        """Take the last batch of corrections back, and return it; None where there is none; errors as `corrected`."""
        look_afresh(self.root / CORRECTIONS / dataset)  # the last of them may be another machine's
        while found := read_batches(self.root, dataset):
            path, batch = found.popitem()
            with suppress(FileNotFoundError):  # taken back by another run just now, which says so: the next one is ours
                remove_batch(path)
                return batch
        return None

    def boxes(self, dataset: str) -> BoxTable | None:
        """Return the boxes that a dataset's annotations tell of its images; None where they tell none.

        Raises
        ------
        CorruptFileError, NewerVersionError, CacheError
            If their file is damaged, or cannot be read.
        """
        try:
            return read_boxes(boxes_path(self.root, dataset))
        except FileNotFoundError:
            return None

    def write_boxes(self, dataset: str, table: BoxTable | None) -> None:
        """Commit the boxes of a dataset in the place of those that are there; None removes them.

        Raises
        ------
        UsageError
            If the name cannot be a dataset's.
        CacheError
            If the table is none that a reader takes, or the cache cannot be written.
        """
        index_path(self.root, dataset)  # refuses a name that would be no plain file's
        if table is None:
            remove_boxes(self.root, dataset)
        else:
            write_boxes(self.root, dataset, table)

    @property
    def scores_folder(self) -> Place:
        """Where `stack` keeps what it computed."""
        return self.root / "scores"

    def remove_abandoned(self) -> int:
        """Remove temporary files of dead writers; return how many there were."""
        folders = [
            self.root / "datasets",
            self.root / BOXES,
            self.scores_folder,
            *(self.root / FINDINGS).glob("*"),
            *(each.folder for each in self.feature_sets()),
        ]
        return sum(remove_left_over(folder) for folder in folders)


def _check_same(found: FeatureSet, digests: Digests, features: NDArray[np.float32], dim: int) -> None:
    """Refuse rows of images that a feature set holds other rows of, and rows of another length than its."""
    if not found.shards():
        return
    there = found.header().dim
    if there != dim:
        message = f"the features {found.id} have {there:,} columns, and those given {dim:,}. {_OTHER_KEY}"
        raise CacheError(message)
    if len(digests):
        same = (found.load(digests) == features).all(axis=1)
        if not same.all():
            n, row = int((~same).sum()), int((~same).argmax())
            message = (
                f"{found.id} holds other features of {counted(n, 'image')} of those given, such as of "
                f"{digests[row].tobytes().hex()}. Nothing was added. {_OTHER_KEY}"
            )
            raise CacheError(message)
