"""Scores of fits that were made before: an experiment that changes a little computes a little.

A fit's key is the SHA-256 of all that decides its outcome: learner and its settings, the features of the training part
and of the test part (each row by the SHA-256 of its values), the class codes of the training part in their order, the
inner folds; where there are any, what rows count for and the metric that chooses. A change of any of these is another
key, so nothing stale is ever found, whatever became of a feature set meanwhile; a merged shard, a renamed image or a
new neighbour changes no key. Nor does the device that a fit is solved on, which changes it by rounding: that is kept
beside the scores, and told. Files are those of `cache.records.scores`; deleting them costs time only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError
from stackbone.cache.places.place import Place
from stackbone.cache.records.scores import Origin, read_scores, write_scores
from stackbone.stack.computing.arithmetic import CPU, chosen_arithmetic
from stackbone.stack.evaluation.kept_outcome import FitKey, from_arrays, most_bytes, to_arrays
from stackbone.stack.fitting.fits import KeptFit
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, PerFold, Viewed
from stackbone.stack.learners.learner import BaseOutcome

SCORES_VERSION = 3
"""To be raised with any change of a learner that changes its scores by more than rounding."""

Outcome = TypeVar("Outcome", bound=BaseOutcome)

_log = logging.getLogger(__name__)


class ScoreCache:
    """The kept scores of one dataset's images.

    Parameters
    ----------
    folder : Path or ObjectPath
        Where the files are; made when the first is written.
    blocks : mapping of str to Features
        The features themselves, by the names that fits know them by.
    dataset : str
        Whose labels are learnt.
    feature_sets : mapping of str to (str or sequence of str)
        Name of each block to its feature set's id; of features that differ from fold to fold, to one for each outer
        fold. They decide nothing: `cache.upkeep.forget` finds by them what hangs on a feature set.

    Attributes
    ----------
    solved_on
        The devices, in words, that the fits which were found were solved on.
    """

    def __init__(
        self,
        folder: Place,
        blocks: Mapping[str, Features],
        *,
        dataset: str,
        feature_sets: Mapping[str, str | Sequence[str]],
    ) -> None:
        self.folder = folder
        self._rows = {name: _hash_features(features) for name, features in blocks.items()}
        self._dataset = dataset
        self._feature_sets = feature_sets
        self.solved_on: set[str] = set()
        self._may_write = True

    def key(
        self,
        learner: Mapping[str, object],
        blocks: Sequence[str],
        y: NDArray[np.int64] | NDArray[np.int8] | NDArray[np.float64],
        fold: Fold,
        inner: Sequence[Fold] = (),
        *,
        number: int,
    ) -> FitKey:
        """Return the key of a fit.

        Parameters
        ----------
        learner : mapping
            Its name and settings, JSON-able.
        blocks : sequence of str
            Names of the blocks it sees, in order.
        y : NDArray[np.int64], NDArray[np.int8] or NDArray[np.float64]
            ``(n_images,)`` class codes, or targets of a regression; ``(n_images, n_labels)`` ones and zeros, or several
            targets.
        fold : Fold
            Its training and test part.
        inner : sequence of Fold
            Folds of the training part, if it uses them.
        number : int
            Of the outer fold, from 0: it decides which features of a steered backbone are used.
        """
        features = [_of_fold(self._rows[name], number) for name in blocks]
        n_classes = y.shape[1] if y.ndim == 2 else int(y.max()) + 1 if y.dtype.kind == "i" else 0
        head = {
            "version": SCORES_VERSION,
            "learner": learner,
            "dims": [each.dim for each in features],
            "n_classes": n_classes,
        }
        sha = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        arrays: list[NDArray[Any]] = [each.sha256[rows] for each in features for rows in (fold.train, fold.test)]
        arrays += [y[fold.train], *(rows for each in inner for rows in (each.train, each.test))]
        for array in arrays:
            sha.update(len(array).to_bytes(8, "little"))
            sha.update(np.ascontiguousarray(array).tobytes())
        tested = np.zeros(len(fold.train), np.bool_)
        for each in inner:
            tested[each.test] = True
        return FitKey(
            digest=sha.hexdigest(),
            feature_sets=tuple(_of_fold(self._feature_sets[name], number) for name in blocks),
            n_train=len(fold.train),
            n_test=len(fold.test),
            n_classes=n_classes,
            dim=sum(each.dim for each in features),
            tested=tested,
            has_labels=y.ndim == 2 and y.dtype.kind == "i",
            has_numbers=y.dtype.kind == "f",
        )

    def find_or_run(self, key: FitKey, run: Callable[[], Outcome], found: list[str] | None = None) -> Outcome:
        """Return what was kept under a key; else the outcome of `run`, which is kept with what it was warned of.

        Parameters
        ----------
        key : FitKey
            Of this fit; see `key`.
        run : callable
            The fit.
        found : list of str, optional
            The key's digest is added to it where no fit was needed.
        """
        return self.kept(key, run, found)()

    def kept(self, key: FitKey, run: Callable[[], Outcome], found: list[str] | None = None) -> KeptFit[Outcome]:
        """Return a fit with the place where its outcome is kept; parameters as of `find_or_run`."""

        def find() -> Outcome | None:
            kept = self.load(key)
            if kept is None:
                return None
            if found is not None:
                found.append(key.digest)
            outcome, said = kept
            for message in said:
                warnings.warn(message, ConvergenceWarning, stacklevel=2)
            return cast(Outcome, outcome)

        return KeptFit(find, run, lambda outcome, said: self.save(key, outcome, said))

    def load(self, key: FitKey) -> tuple[BaseOutcome, list[str]] | None:
        """Return what was kept under a key and what it was warned of; None if it cannot be this fit's."""
        kept = read_scores(self.folder, key.digest, most_bytes(key))
        outcome = None if kept is None else from_arrays(kept.arrays, key)
        if kept is None or outcome is None:
            return None
        self.solved_on.add(kept.solved_on or CPU)
        return outcome, kept.warnings

    def save(self, key: FitKey, outcome: BaseOutcome, warned: Sequence[str] = ()) -> None:
        """Keep the outcome of a fit and its warnings; where nothing can be written, say so once and go on without."""
        if not self._may_write:
            return
        device = chosen_arithmetic().name
        try:
            write_scores(
                self.folder,
                key.digest,
                Origin(self._dataset, key.feature_sets),
                to_arrays(outcome, has_numbers=key.has_numbers),
                warned,
                "" if device == CPU else device,
            )
        except CacheError as exc:
            self._may_write = False
            _log.warning("scores are not kept for later runs: %s", exc)


@dataclass(frozen=True, eq=False)
class _HashedRows:
    """``(n_images, 32)`` SHA-256 of each image's values, of all views, and how many values a view has."""

    sha256: Digests
    dim: int


def _hash_features(features: Features) -> _HashedRows | list[_HashedRows]:
    if isinstance(features, Viewed):
        return _hash_rows(features.values.swapaxes(0, 1))
    if not isinstance(features, PerFold):
        return _hash_rows(features)
    hashed = {id(x): _hash_rows(x) for x in {id(x): x for x in features.blocks}.values()}
    return [hashed[id(x)] for x in features.blocks]


def _hash_rows(x: NDArray[np.float32]) -> _HashedRows:
    n, dim = len(x), x.shape[-1]
    digests = np.empty((n, DIGEST_BYTES), np.uint8)
    for row in range(n):
        digests[row] = np.frombuffer(hashlib.sha256(np.ascontiguousarray(x[row]).data).digest(), np.uint8)
    return _HashedRows(digests, dim)


_T = TypeVar("_T", str, _HashedRows)


def _of_fold(value: _T | Sequence[_T], number: int) -> _T:
    return value if isinstance(value, str | _HashedRows) else value[number]
