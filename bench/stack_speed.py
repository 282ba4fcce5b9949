"""The solvers of `stack` against scikit-learn's, at the size of CUB-200-2011: seconds, objective, held-out accuracy.

Both sides fit the same float32 matrix with the same C, one after the other, with all cores to themselves, each stopping
at its own default tolerance; objectives are computed afterwards in float64. The features are made, not extracted: see
`make_features`. ``python bench/stack_speed.py [--quick] [--json FILE]``; in full, liblinear takes about ten minutes.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from machine import arguments, report, spread
from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from stackbone.stack.solvers.linear import LinearPath

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]

FULL = (8000, 3788, 2048, 200)  # training rows, test rows, features, classes: two of CUB's three folds, a ResNet50
QUICK = (2400, 1200, 600, 60)
SOFTMAX_C = 0.003
SOFTMAX_PATH = (0.0003, 0.001, 0.003, 0.01)  # one C after another, as the choice of C goes
SVM_C = 1.0  # the default of LinearSVC
REPEATS = 3


@dataclass(frozen=True)
class Fit:
    """One solver's outcome."""

    solver: str
    seconds: dict[str, float]
    objective: float
    accuracy: float
    steps: int


def make_features(n: int, dim: int, n_classes: int, seed: int = 0) -> tuple[Matrix, Codes]:
    """Make features that a linear classifier finds about as hard as a ResNet50's of CUB (60% right, or so).

    Classes and nuisance share a low-rank space (``dim / 8`` directions of falling strength, 1/√k), to which noise is
    added in every column; an exponential makes the values positive and skewed, as averages over a ReLU's map are; the
    columns' scales are log-normal (deviation 0.8), as those of averaged CNN features are.

    Returns
    -------
    x : NDArray[np.float32]
        ``(n, dim)``.
    codes : NDArray[np.int64]
        ``(n,)`` class codes, as many rows of each as can be.
    """
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % n_classes)
    strength = (1 / np.sqrt(np.arange(1, dim // 8 + 1))).astype(np.float32)
    centres = rng.standard_normal((n_classes, len(strength)), dtype=np.float32)
    latent = (0.4 * centres[codes] + rng.standard_normal((n, len(strength)), dtype=np.float32)) * strength
    x = latent @ rng.standard_normal((len(strength), dim), dtype=np.float32) / np.linalg.norm(strength)
    x += 0.7 * rng.standard_normal(x.shape, dtype=np.float32)
    np.exp(0.8 * x - 0.8, out=x)
    x *= rng.lognormal(-1.5, 0.8, dim).astype(np.float32)
    return x, codes


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "").parse_args()
    compare_solvers(QUICK if options.quick else FULL, 1 if options.quick else REPEATS, options.json)


def compare_solvers(size: tuple[int, int, int, int], repeats: int, file: Path | None) -> None:
    """Fit logistic regressions and linear SVMs by both libraries and print the table."""
    n_train, n_test, dim, n_classes = size
    x, y = make_features(n_train + n_test, dim, n_classes)
    train, test = (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])
    scaler = StandardScaler().fit(train[0])
    scaled = (scaler.transform(train[0]), y[:n_train]), (scaler.transform(test[0]), y[n_train:])
    length = np.sqrt(np.square(train[0], dtype=np.float64).sum(axis=1).mean()).astype(np.float32)
    short = (train[0] / length, train[1]), (test[0] / length, test[1])  # as the `svm:` baseline scales them
    fits = [
        _fit("stack SoftmaxRegression", SoftmaxRegression(SOFTMAX_C, standardise=False).fit, *scaled, repeats),
        _fit("scikit-learn LogisticRegression", LogisticRegression(C=SOFTMAX_C, max_iter=10_000).fit, *scaled, 1),
        _fit("stack LinearPath, C after C", follow_path, *scaled, repeats),
        _fit("scikit-learn LogisticRegression, C after C", follow_path_warmly, *scaled, 1),
        _fit("stack LinearSVM, rows of mean length 1", LinearSVM(SVM_C).fit, *short, repeats),
        _fit("scikit-learn LinearSVC, rows of mean length 1", LinearSVC(C=SVM_C, dual=True).fit, *short, 1),
        _fit("stack LinearSVM", LinearSVM(SVM_C).fit, train, test, repeats),
        # The faster of its two solvers here: at the quick size, dual=False takes ten times as long.
        _fit("scikit-learn LinearSVC", LinearSVC(C=SVM_C, dual=True).fit, train, test, 1),
    ]
    rows = []
    for fit, rival in zip(fits, [rival for rival in fits[1::2] for _ in range(2)], strict=True):
        seconds = fit.seconds["median"]
        rows.append(
            [
                fit.solver,
                f"{seconds:.2f}",
                f"{rival.seconds['median'] / seconds:.1f}",
                f"{fit.objective:.6g}",
                f"{fit.objective / rival.objective - 1:+.1e}",
                f"{fit.accuracy:.4f}",
                str(fit.steps),
            ]
        )
    title = (
        f"Solvers: {n_train:,} rows, {dim:,} features, {n_classes} classes; logistic regression with C = {SOFTMAX_C}, "
        f"and with {', '.join(map(str, SOFTMAX_PATH))} in turn (objective and accuracy of the last), on standardised "
        f"features; support vector machines with C = {SVM_C:g}, on features as they come where not said"
    )
    header = ["solver", "seconds", "times faster", "objective", "against scikit-learn's", "test accuracy", "steps"]
    report(title, header, rows, [asdict(fit) for fit in fits], file)


Model = Any  # one of four estimators, of which scikit-learn's have no types


def follow_path(x: Matrix, y: Codes) -> Model:
    """Fit one C after another by one `LinearPath`."""
    model = SoftmaxRegression(SOFTMAX_PATH[-1], standardise=False)
    model.classes_, model.n_features_in_, model.n_iter_ = np.unique(y), x.shape[1], 0
    path = LinearPath(x, y, len(model.classes_), [np.arange(len(y))], loss="log", standardise=False)
    for c in SOFTMAX_PATH:
        (found,) = path.solve(c)
        model.n_iter_ += path.iterations
    coef, model.intercept_ = found.uncentred()
    model.coef_ = coef.T
    return model


def follow_path_warmly(x: Matrix, y: Codes) -> Model:
    """Fit one C after another by scikit-learn's warm start."""
    model, steps = LogisticRegression(max_iter=10_000, warm_start=True), 0
    for c in SOFTMAX_PATH:
        steps += int(model.set_params(C=c).fit(x, y).n_iter_[0])
    model.n_iter_ = np.array([steps])
    return model


def _fit(
    solver: str,
    fit: Callable[[Matrix, Codes], Model],
    train: tuple[Matrix, Codes],
    test: tuple[Matrix, Codes],
    repeats: int,
) -> Fit:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # liblinear's; its steps are in the table
            model = fit(*train)
        seconds.append(time.perf_counter() - start)
    print(f"{solver}: {spread(seconds)['median']:.2f} s", file=sys.stderr)
    return Fit(solver, spread(seconds), _objective(model, *train), model.score(*test), int(np.max(model.n_iter_)))


def _objective(model: Model, x: Matrix, y: Codes) -> float:
    """Return what both libraries minimise, in float64."""
    coef, intercept = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    z = x @ coef.T + intercept
    penalty = np.square(coef).sum() / 2
    if hasattr(model, "predict_proba"):
        return float(-model.C * log_softmax(z, axis=1)[np.arange(len(y)), y].sum() + penalty)
    z[np.arange(len(y)), y] *= -1
    return float(model.C * np.square(np.maximum(1 + z, 0)).sum() + penalty + np.square(intercept).sum() / 2)


if __name__ == "__main__":
    main()
