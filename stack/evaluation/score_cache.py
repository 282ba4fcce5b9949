"""Scores of fits that were made before: an experiment that changes a little computes a little.

A fit's key is the SHA-256 of all that decides its outcome: learner and its settings, the features of the training part
and of the test part (each row by the SHA-256 of its values), the class codes of the training part in their order, the
inner folds; where there are any, what rows count for and the metric that chooses. A change of any of these is another
key, so nothing stale is ever found, whatever became of a feature set meanwhile; a merged shard, a renamed image or a
new neighbour changes no key. Files are those of `cache.records.scores`; deleting them costs time only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError
from stackbone.cache.records.scores import Arrays, Origin, read_scores, write_scores
from stackbone.stack.fitting.fit_warnings import messages
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, PerFold, Viewed
from stackbone.stack.learners.learner import BaseOutcome, BaseScores
from stackbone.stack.learners.part_weights import PartRecord
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.solvers.linear import LinearMap

SCORES_VERSION = 3
"""To be raised with any change of a learner that changes its scores by more than rounding."""

Outcome = TypeVar("Outcome", bound=BaseOutcome)

_NUMBER_BYTES = 8  # at most
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FitKey:
    """What decides a fit's outcome, and the shape that the outcome has.

    Attributes
    ----------
    digest : str
        64 hexadecimal digits.
    feature_sets : tuple of str
        Ids of the feature sets that it sees.
    n_train, n_test, n_classes, dim : int
        Rows of both parts, classes or labels (0 for a regression), columns of all blocks together.
    tested : NDArray[np.bool_]
        ``(n_train,)``: which rows an inner fold tests.
    has_labels : bool
        Whether an image can have several labels; an outcome then has thresholds.
    """

    digest: str
    feature_sets: tuple[str, ...]
    n_train: int
    n_test: int
    n_classes: int
    dim: int
    tested: NDArray[np.bool_]
    has_labels: bool = False


class ScoreCache:
    """The kept scores of one dataset's images.

    Parameters
    ----------
    folder : Path
        Where the files are; made when the first is written.
    blocks : mapping of str to Features
        The features themselves, by the names that fits know them by.
    dataset : str
        Whose labels are learnt.
    feature_sets : mapping of str to (str or sequence of str)
        Name of each block to its feature set's id; of features that differ from fold to fold, to one for each outer
        fold. They decide nothing: `cache.upkeep.forget` finds by them what hangs on a feature set.
    """

    def __init__(
        self,
        folder: Path,
        blocks: Mapping[str, Features],
        *,
        dataset: str,
        feature_sets: Mapping[str, str | Sequence[str]],
    ) -> None:
        self.folder = folder
        self._rows = {name: _hash_features(features) for name, features in blocks.items()}
        self._dataset = dataset
        self._feature_sets = feature_sets
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
            ``(n_images,)`` class codes, or targets of a regression; ``(n_images, n_labels)`` ones and zeros.
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
        kept = self.load(key)
        if kept is not None:
            if found is not None:
                found.append(key.digest)
            outcome, said = kept
            for message in said:
                warnings.warn(message, ConvergenceWarning, stacklevel=2)
            return cast(Outcome, outcome)
        outcome = run()
        self.save(key, outcome, messages())
        return outcome

    def load(self, key: FitKey) -> tuple[BaseOutcome, list[str]] | None:
        """Return what was kept under a key and what it was warned of; None if it cannot be this fit's."""
        kept = read_scores(self.folder, key.digest, _most_bytes(key))
        outcome = None if kept is None else _from_arrays(kept.arrays, key)
        return None if kept is None or outcome is None else (outcome, kept.warnings)

    def save(self, key: FitKey, outcome: BaseOutcome, warned: Sequence[str] = ()) -> None:
        """Keep the outcome of a fit and its warnings; where nothing can be written, say so once and go on without."""
        if not self._may_write:
            return
        try:
            write_scores(
                self.folder,
                key.digest,
                Origin(self._dataset, key.feature_sets),
                _to_arrays(outcome, key.n_classes),
                warned,
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


def _most_bytes(key: FitKey) -> int:
    outputs = max(1, key.n_classes)
    of_parts = len(PartRecord._fields) * key.dim  # at most: a part has a column
    return _NUMBER_BYTES * (1 + outputs * (key.n_train + key.n_test + key.dim + 2) + key.dim + of_parts)


def _strength(n_classes: int) -> str:
    """Return the name under which the chosen strength of regularisation is kept."""
    return "c" if n_classes else "alpha"


def _to_arrays(outcome: BaseOutcome, n_classes: int) -> Arrays:
    if isinstance(outcome, Prediction):
        return {"scores": outcome.scores, "probability": np.array(outcome.probability)}
    return {
        _strength(n_classes): np.array(outcome.chosen, np.float64),
        "out_of_fold": outcome.out_of_fold,
        "test": outcome.test,
        "coef": outcome.linear.coef,
        "intercept": outcome.linear.intercept,
        "mean": outcome.linear.mean
        if outcome.linear.mean is not None
        else np.zeros(len(outcome.linear.coef), np.float32),
        **({} if outcome.parts is None else {"parts": outcome.parts}),
        **({} if outcome.thresholds is None else {"thresholds": outcome.thresholds}),
    }


def _from_arrays(arrays: Arrays, key: FitKey) -> BaseOutcome | None:
    """Return the outcome that arrays hold; None if a name, shape, type or number cannot be that of this fit."""
    n_outputs = max(1, key.n_classes)
    if set(arrays) == {"scores", "probability"}:
        scores, probability = arrays["scores"], arrays["probability"]
        fits = scores.shape == (key.n_test, *([key.n_classes] if key.n_classes else [])) and scores.dtype.kind == "f"
        if not fits or probability.shape or probability.dtype != np.bool_ or not np.isfinite(scores).all():
            return None
        return Prediction(scores, probability=bool(probability))
    strength = _strength(key.n_classes)
    known = set(arrays) - {"parts", "thresholds"} == {strength, "out_of_fold", "test", "coef", "intercept", "mean"}
    if not known or ("thresholds" in arrays) != key.has_labels:
        return None
    columns = (key.n_classes,) if key.n_classes else ()
    number = np.float32 if key.n_classes else np.float64
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        strength: ((), np.float64),
        "out_of_fold": ((key.n_train, *columns), number),
        "test": ((key.n_test, *columns), number),
        "coef": ((key.dim, n_outputs), np.float32),
        "intercept": ((n_outputs,), np.float32),
        "mean": ((key.dim,), np.float32),
        **({"parts": ((*arrays["parts"].shape[:1], len(PartRecord._fields)), np.float64)} if "parts" in arrays else {}),
        **({"thresholds": ((key.n_classes,), np.float64)} if "thresholds" in arrays else {}),
    }
    if any(arrays[name].shape != shape or arrays[name].dtype != dtype for name, (shape, dtype) in expected.items()):
        return None
    out_of_fold = arrays["out_of_fold"]
    scored = np.isfinite(out_of_fold[key.tested]).all() and np.isnan(out_of_fold[~key.tested]).all()
    if not scored or not all(np.isfinite(arrays[name]).all() for name in expected if name != "out_of_fold"):
        return None
    chosen, linear = float(arrays[strength]), LinearMap(arrays["coef"], arrays["intercept"], arrays["mean"])
    is_strength = chosen > 0 if key.n_classes else chosen >= 0
    if not is_strength:
        return None
    return BaseScores(chosen, out_of_fold, arrays["test"], linear, arrays.get("parts"), arrays.get("thresholds"))
