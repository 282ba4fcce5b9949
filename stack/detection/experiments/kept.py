"""Detections of earlier runs, kept beside the scores of `stack`: what was trained once is not trained again.

A key covers all that decides them: the head, its version (of a plug-in also its package's) and its settings, the
feature sets and the digests of the images (which stand for the maps), boxes and sizes of the training images, sizes of
the others, classes, and the seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import CacheError
from stackbone.cache.places.place import Place, make_room, write_whole
from stackbone.cache.records.scores import UNFINISHED, Arrays, Origin, read_scores, write_scores
from stackbone.stack.detection.detections import MOST, Detections
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.fingerprint import boxes_bytes

DETECTIONS_VERSION = 1
"""To be raised with any change of a head that changes its detections by more than rounding."""

_ROW_BYTES = 4 * 6

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a head found.

    Attributes
    ----------
    detections : list of Detections
        Of each image.
    seconds : float
        That training and detecting took, when it was done.
    """

    detections: list[Detections]
    seconds: float


class DetectionCache:
    """The kept detections of one dataset's images.

    Parameters
    ----------
    folder : Path or ObjectPath
        Where the files are; made when the first is written.
    dataset : str
        Whose boxes are learnt.
    """

    def __init__(self, folder: Place, dataset: str) -> None:
        self.folder, self._dataset = folder, dataset
        self._may_write = True

    def load(self, key: str, n_images: int) -> Found | None:
        """Return what was kept under a key for so many images; None if nothing usable was."""
        kept = read_scores(self.folder, key, n_images * (MOST * _ROW_BYTES + 8) + 8)
        return None if kept is None else _from_arrays(kept.arrays, n_images)

    def save(self, key: str, feature_sets: tuple[str, ...], found: Found) -> None:
        """Keep what was found; where nothing can be written, say so once and go on without."""
        self._write(lambda: write_scores(self.folder, key, Origin(self._dataset, feature_sets), _to_arrays(found)))

    def load_array(self, key: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return the table that was kept under a key; None if none of this shape was."""
        kept = read_scores(self.folder, key, 4 * shape[0] * shape[1])
        found = None if kept is None else kept.arrays.get("table")
        return found if found is not None and found.shape == shape and found.dtype == np.float32 else None

    def save_array(self, key: str, feature_set: str, table: NDArray[np.float32]) -> None:
        """Keep a table of float32, as `save`."""
        origin = Origin(self._dataset, (feature_set,))
        self._write(lambda: write_scores(self.folder, key, origin, {"table": table}))

    def checkpoint(self, key: str) -> Place | None:
        """Return the file in which a training says how far it has come; None where nothing can be written."""
        path = self.folder / f"{key}{UNFINISHED}"
        self._write(lambda: _try_to_write(path))
        return path if self._may_write else None

    def finished(self, key: str) -> None:
        """Remove what a training that is done has left of how far it came."""
        with contextlib.suppress(OSError):  # it does no harm where it lies: the finished result is asked first
            (self.folder / f"{key}{UNFINISHED}").unlink()

    def _write(self, write: Callable[[], object]) -> None:
        """Write something, if that was possible until now; where it is not, say so once and go on without."""
        if not self._may_write:
            return
        try:
            write()
        except CacheError as exc:
            self._may_write = False
            _log.warning("detections, and how far trainings come, are not kept for later runs: %s", exc)


def key_of(
    described: Mapping[str, object],
    annotated: AnnotatedImages,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> str:
    """Return the key of a head that is trained on some rows and finds objects in others.

    Parameters
    ----------
    described : mapping
        Head, settings, feature sets, seed: JSON-able.
    annotated : AnnotatedImages
        All images.
    train, test : NDArray[np.int64]
        Rows of them.
    """
    head = {"version": DETECTIONS_VERSION, "classes": annotated.classes, **described}
    sha = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digests = annotated.images.digests
    for rows in (train, test):
        for array in (digests[rows], annotated.sizes[rows]):
            sha.update(len(array).to_bytes(8, "little"))
            sha.update(np.ascontiguousarray(array).tobytes())
    for row in train.tolist():
        sha.update(boxes_bytes(annotated.boxes[row]))
    return sha.hexdigest()


def _try_to_write(path: Place) -> None:
    """Raise `CacheError` unless a file can be written beside another; the other stays as it is."""
    make_room(path.parent)
    trial = path.parent / f"{path.name}-trial"
    write_whole(trial, b"trial")
    trial.unlink(missing_ok=True)


def _to_arrays(found: Found) -> Arrays:
    each = found.detections
    return {
        "corners": np.concatenate([one.corners for one in each], dtype=np.float32).reshape(-1, 4),
        "scores": np.concatenate([one.scores for one in each], dtype=np.float32),
        "classes": np.concatenate([one.classes for one in each]).astype(np.float32),
        "counts": np.array([len(one) for one in each], np.float64),
        "seconds": np.array([found.seconds], np.float64),
    }


def _from_arrays(arrays: Arrays, n_images: int) -> Found | None:
    """Return what `_to_arrays` was given; None if the arrays are not of its form."""
    if set(arrays) != {"corners", "scores", "classes", "counts", "seconds"}:
        return None
    counts = arrays["counts"].astype(np.int64)
    n = int(counts.sum())
    shapes = [arrays[name].shape for name in ("corners", "scores", "classes", "counts", "seconds")]
    if shapes != [(n, 4), (n,), (n,), (n_images,), (1,)] or (counts < 0).any():
        return None
    cuts = np.cumsum(counts)[:-1]
    parts = (np.split(arrays[name], cuts) for name in ("corners", "scores", "classes"))
    each = [
        Detections(corners, scores, classes.astype(np.int64)) for corners, scores, classes in zip(*parts, strict=True)
    ]
    return Found(each, float(arrays["seconds"][0]))
