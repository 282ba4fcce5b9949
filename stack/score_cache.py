"""Scores of fits that were made before: an experiment that changes a little computes a little.

A fit's key is the SHA-256 of all that decides its outcome: learner and its settings, the feature sets, the
images (by digest) and class codes of the training part in their order, the inner folds, the images of the test
part. A changed label, fold, backbone or setting is another key, so nothing stale is ever found. A file
``scores/KEY.scores`` in the cache directory is the SHA-256 of the key and of what follows, and then NumPy's npz; it is
whole or absent (written aside and renamed), and deleting it costs time only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from cache.errors import CacheError
from cache.files import make_folder, write_atomically
from stack.base import ClassScores
from stack.fit_warnings import messages
from stack.folds import Fold
from stack.linear import LinearMap
from stack.regressors import RegressionScores
from stack.scores import Prediction

SCORES_VERSION = 2
"""To be raised with any change of a learner that changes its scores by more than rounding."""

Arrays = dict[str, NDArray[Any]]

BaseOutcome = ClassScores | RegressionScores | Prediction
"""What a fit on features gives: scores of a base learner, or predictions alone."""

Outcome = TypeVar("Outcome", bound=BaseOutcome)

_CHECKSUM = 32  # bytes of a SHA-256
_log = logging.getLogger(__name__)


class ScoreCache:
    """The kept scores of one dataset's images.

    Parameters
    ----------
    folder : Path
        Where the files are; made when the first is written.
    feature_sets : mapping of str to (str or sequence of str)
        Name of each block of features to its feature set id; of features that differ from fold to fold, to one id for
        each outer fold.
    digests : NDArray[np.uint8]
        ``(n_images, 32)`` SHA-256 of each image, in the order of the blocks' rows.
    """

    def __init__(
        self, folder: Path, feature_sets: Mapping[str, str | Sequence[str]], digests: NDArray[np.uint8]
    ) -> None:
        self.folder = folder
        self._feature_sets = feature_sets
        self._digests = digests
        self._may_write = True

    def key(
        self,
        learner: Mapping[str, object],
        blocks: Sequence[str],
        y: NDArray[np.int64] | NDArray[np.float64],
        fold: Fold,
        inner: Sequence[Fold] = (),
        *,
        number: int,
    ) -> str:
        """Return the key of a fit.

        Parameters
        ----------
        learner : mapping
            Its name and settings, JSON-able.
        blocks : sequence of str
            Names of the blocks it sees, in order.
        y : NDArray[np.int64] or NDArray[np.float64]
            ``(n_images,)`` class codes, or targets of a regression.
        fold : Fold
            Its training and test part.
        inner : sequence of Fold
            Folds of the training part, if it uses them.
        number : int
            Of the outer fold, from 0: it decides which features of a steered backbone are used.
        """
        head = {
            "version": SCORES_VERSION,
            "learner": learner,
            "feature_sets": [_id(self._feature_sets[name], number) for name in blocks],
            "n_classes": int(y.max()) + 1 if y.dtype.kind == "i" else 0,
        }
        sha = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        arrays: list[NDArray[Any]] = [self._digests[fold.train], y[fold.train], self._digests[fold.test]]
        arrays += [rows for each in inner for rows in (each.train, each.test)]
        for array in arrays:
            sha.update(len(array).to_bytes(8, "little"))
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()

    def find_or_run(self, key: str, run: Callable[[], Outcome], found: list[str] | None = None) -> Outcome:
        """Return what was kept under a key; else the outcome of `run`, which is kept with what it was warned of.

        Parameters
        ----------
        key : str
            Of this fit; see `key`.
        run : callable
            The fit.
        found : list of str, optional
            The key is added to it where no fit was needed.
        """
        kept = self.load(key)
        if kept is not None:
            if found is not None:
                found.append(key)
            for message in kept.get("warnings", np.empty(0, np.str_)).tolist():
                warnings.warn(message, ConvergenceWarning, stacklevel=2)
            return cast(Outcome, _from_arrays(kept))
        outcome = run()
        said = messages()
        self.save(key, _to_arrays(outcome) | ({"warnings": np.array(said, np.str_)} if said else {}))
        return outcome

    def load(self, key: str) -> Arrays | None:
        """Return what was saved under a key; None if nothing was, or what is there is not what was saved."""
        try:
            kept = self._path(key).read_bytes()
        except OSError:
            return None
        content = kept[_CHECKSUM:]
        if kept[:_CHECKSUM] != _checksum(key, content):
            return None  # the fit that follows replaces it
        with np.load(BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def save(self, key: str, arrays: Arrays) -> None:
        """Keep the outcome of a fit; where nothing can be written, say so once and go on without."""
        if not self._may_write:
            return
        file = BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        content = file.getvalue()
        try:
            make_folder(self.folder)
            write_atomically(self._path(key), _checksum(key, content) + content)
        except CacheError as exc:
            self._may_write = False
            _log.warning("scores are not kept for later runs: %s", exc)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.scores"


def _id(feature_set: str | Sequence[str], number: int) -> str:
    return feature_set if isinstance(feature_set, str) else feature_set[number]


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def _to_arrays(outcome: BaseOutcome) -> Arrays:
    if isinstance(outcome, Prediction):
        return {"scores": outcome.scores, "probability": np.array(outcome.probability)}
    strength = {"c": outcome.c} if isinstance(outcome, ClassScores) else {"alpha": outcome.alpha}
    return {
        **{name: np.array(value) for name, value in strength.items()},
        "out_of_fold": outcome.out_of_fold,
        "test": outcome.test,
        "coef": outcome.linear.coef,
        "intercept": outcome.linear.intercept,
    }


def _from_arrays(kept: Arrays) -> BaseOutcome:
    if "scores" in kept:
        return Prediction(kept["scores"], probability=bool(kept["probability"]))
    linear = LinearMap(kept["coef"], kept["intercept"])
    if "alpha" in kept:
        return RegressionScores(float(kept["alpha"]), kept["out_of_fold"], kept["test"], linear)
    return ClassScores(float(kept["c"]), kept["out_of_fold"], kept["test"], linear)
