"""One-versus-rest logistic regressions of many labels against scikit-learn's: seconds, objective, held-out mAP.

Both sides fit the same standardised float32 matrix with the same C, one after the other, with all cores to themselves,
each stopping at its own default tolerance. scikit-learn's are ``OneVsRestClassifier(LogisticRegression)``, with one job
and with one for each core. Objectives are computed afterwards in float64, summed over labels. The features
are made, not extracted: see `stack_speed.make_features`; labels are directions in them with noise, each cut so that 1%
to 40% of the images have it. ``python bench/multilabel.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from machine import arguments, report, spread
from stack_speed import make_features
from stackbone.stack.learners.labels.label_path import LabelPath
from stackbone.stack.metrics.several.labels import average_precisions

Matrix = NDArray[np.float32]
Presence = NDArray[np.int8]
Coefficients = tuple[NDArray[np.float64], NDArray[np.float64]]

FULL = (8000, 4000, 2048, 80)  # training rows, test rows, features, labels
QUICK = (2000, 1000, 512, 20)
STRENGTHS = (0.003, 0.1)
REPEATS = 3


@dataclass(frozen=True)
class Fit:
    """One solver's outcome at one C."""

    solver: str
    c: float
    seconds: dict[str, float]
    objective: float
    mean_ap: float


def make_labels(x: Matrix, n_labels: int, seed: int = 1) -> Presence:
    """Return ``(n, n_labels)`` labels that features tell in part, of 1% to 40% of the rows each."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((x.shape[1], n_labels), dtype=np.float32)
    score = StandardScaler().fit_transform(np.log1p(x)) @ directions
    score = score / score.std(axis=0) + 0.5 * rng.standard_normal(score.shape)
    shares = np.geomspace(0.01, 0.4, n_labels)
    cuts = [np.quantile(own, 1 - share) for own, share in zip(score.T, shares, strict=True)]
    presence: Presence = (score > cuts).astype(np.int8)
    return presence


def fit_together(x: Matrix, presence: Presence, c: float) -> Coefficients:
    """Fit all labels by one `LabelPath`."""
    path = LabelPath(x, presence, [np.arange(len(x))], standardise=False)
    coef, intercept = path.solve(c)[0].uncentred()
    return coef, intercept


def fit_one_by_one(x: Matrix, presence: Presence, c: float, n_jobs: int = 1) -> Coefficients:
    """Fit each label by scikit-learn."""
    model = OneVsRestClassifier(LogisticRegression(C=c, max_iter=10_000), n_jobs=n_jobs).fit(x, presence)
    coef = np.stack([each.coef_[0] for each in model.estimators_], axis=1).astype(np.float64)
    return coef, np.array([each.intercept_[0] for each in model.estimators_], np.float64)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "").parse_args()
    n_train, n_test, dim, n_labels = QUICK if options.quick else FULL
    x, _ = make_features(n_train + n_test, dim, n_labels)
    presence = make_labels(x, n_labels)
    x = StandardScaler().fit(x[:n_train]).transform(x).astype(np.float32)
    rivals: dict[str, Callable[[Matrix, Presence, float], Coefficients]] = {
        "stack, all labels together": fit_together,
        "OneVsRestClassifier, 1 job": fit_one_by_one,
        "OneVsRestClassifier, a job a core": partial(fit_one_by_one, n_jobs=os.cpu_count() or 1),
    }
    fits: list[Fit] = []
    for c in STRENGTHS:
        for solver, fit in rivals.items():
            repeats = REPEATS if fit is fit_together and not options.quick else 1
            seconds, found = _timed(partial(fit, x[:n_train], presence[:n_train], c), repeats)
            objective = _objective(x[:n_train], presence[:n_train], c, *found)
            held_out = average_precisions(presence[n_train:], x[n_train:] @ found[0] + found[1])
            fits.append(Fit(solver, c, seconds, objective, float(np.nanmean(held_out))))
            print(f"{solver}, C = {c:g}: {seconds['median']:.2f} s", file=sys.stderr)
    rows = []
    for each in fits:
        ours = next(other for other in fits if other.c == each.c)
        rows.append(
            [
                f"C = {each.c:g}: {each.solver}",
                f"{each.seconds['median']:.2f}",
                f"{each.seconds['median'] / ours.seconds['median']:.1f}",
                f"{each.objective:.6f}",
                f"{each.objective / ours.objective - 1:+.1e}",
                f"{each.mean_ap:.4f}",
            ]
        )
    title = f"One-versus-rest logistic regressions: {n_train:,} rows, {dim:,} features, {n_labels} labels"
    header = ["solver", "seconds", "times ours", "objective", "above ours", "held-out mAP"]
    report(title, header, rows, [asdict(each) for each in fits], options.json)


def _timed(run: Callable[[], Coefficients], repeats: int) -> tuple[dict[str, float], Coefficients]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return spread(seconds), found


def _objective(
    x: Matrix, presence: Presence, c: float, coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> float:
    """Return what both minimise, summed over labels, in float64."""
    z = x.astype(np.float64) @ coef + intercept
    loss = np.logaddexp(0, np.where(presence == 1, -z, z)).sum()
    return float(c * loss + np.square(coef).sum() / 2)


if __name__ == "__main__":
    main()
