"""Scores of fits, kept in the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fuzz.mutations import Rng, mutate, mutate_json
from fuzz.trial import MadeAnew, OutOfForm
from stackbone.cache.records.scores import remove_scores
from stackbone.stack.evaluation.kept_outcome import FitKey
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.solvers.linear import LinearMap


class Scores:
    """Scores of a fit, which are computed anew where they are not sound."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._key = FitKey("ab" * 32, ("resnet50-0123456789ab",), 6, 3, 3, 4, np.ones(6, np.bool_))
        self._outcome = BaseScores(
            0.5,
            rng.normal(size=(6, 3)).astype(np.float32),
            rng.normal(size=(3, 3)).astype(np.float32),
            LinearMap(rng.normal(size=(4, 3)).astype(np.float32), np.zeros(3, np.float32)),
        )

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        self._cache(folder).save(self._key, self._outcome, ["it did not converge"])

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        (path,) = folder.glob("*.scores")
        content = path.read_bytes()
        if not rng.integers(4):
            path.write_bytes(mutate(content, rng))
            return False
        line, _, arrays = content[32:].partition(b"\n")
        is_header = bool(rng.integers(2))
        changed = mutate_json(line, rng) + b"\n" + arrays if is_header else mutate(content[32:], rng)
        path.write_bytes(hashlib.sha256(changed).digest() + changed)
        return True

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        found = self._cache(folder).load(self._key)
        for text in [] if found is None else found[1]:
            text.encode("utf-8", "backslashreplace")
        remove_scores(folder, datasets=["none"], feature_sets=["none"])
        if found is None:
            raise MadeAnew
        outcome, warned = found
        assert isinstance(outcome, BaseScores)
        arrays = [outcome.out_of_fold, outcome.test, outcome.linear.coef, outcome.linear.intercept]
        if [each.shape for each in arrays] != [(6, 3), (3, 3), (4, 3), (3,)] or not all(
            np.isfinite(each).all() for each in arrays
        ):
            message = f"arrays of the shapes {[each.shape for each in arrays]}"
            raise OutOfForm(message)
        return outcome.chosen, [each.tobytes() for each in arrays], warned

    def _cache(self, folder: Path) -> ScoreCache:
        return ScoreCache(folder, {}, dataset="photos", feature_sets={})
