"""Whether one model is better than another, and whether they err on the same images.

Fold scores, or rights and wrongs per image, of models scored on the same rows flow in; a difference with
its interval, or the overlap of the errors, flows out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.fold import Fold

RESAMPLED_T = "corrected resampled t"
BOOTSTRAP = "paired bootstrap over images"


@dataclass(frozen=True)
class Difference:
    """By how much the first of two models is better than the second.

    Attributes
    ----------
    mean : float
        The difference, in the unit of the scores; above 0 where the first is the better.
    low, high : float or None
        Ends of the confidence interval; None where the differences do not vary, since without a spread
        there is nothing to tell how sure the difference is.
    p_value : float or None
        Two-sided, of no difference; None with the interval, but 1 where there is no difference at all.
    method : str
        How the interval was made: `RESAMPLED_T` or `BOOTSTRAP`.
    confidence : float
        Of the interval, 0 to 1.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    method: str
    confidence: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero lies outside."""
        return self.low is not None and not self.spans_zero

    @property
    def spans_zero(self) -> bool:
        """Whether there is an interval, and zero lies inside."""
        return self.low is not None and self.high is not None and self.low <= 0.0 <= self.high

    def to_dict(self) -> dict[str, object]:
        """Return the difference as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ErrorOverlap:
    """Which models err on the same images; what two do not share, a stack can repair.

    Attributes
    ----------
    names : list of str
        The models.
    jaccard : NDArray[np.float64]
        ``(n_models, n_models)`` images that both get wrong as a share of those that either does; 1 on the
        diagonal, 0 between two that never err.
    wrong : list of float
        Share of images that each gets wrong.
    oracle : float
        Share of images that at least one gets right: no vote among them can score higher.
    """

    names: list[str]
    jaccard: NDArray[np.float64]
    wrong: list[float]
    oracle: float

    def to_dict(self) -> dict[str, object]:
        """Return the overlap as a JSON object, the matrix as a list of rows."""
        return {"names": self.names, "jaccard": self.jaccard.tolist(), "wrong": self.wrong, "oracle": self.oracle}


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    n_train: float,
    n_test: float,
    *,
    tested: Sequence[int] | None = None,
    confidence: float = 0.95,
) -> Difference:
    """Compare two models by their scores on the folds of a (repeated) cross-validation.

    The corrected resampled t-test (Nadeau & Bengio 2003, Machine Learning 52, 239-281): the folds share
    training rows, so the variance of their mean is taken as (1/J + n_test/n_train) times the variance of
    the J differences, and not 1/J times. Bouckaert & Frank 2004 (PAKDD, LNCS 3056, 3-12) found it the
    test to take for repeated cross-validation too. It is a rule of thumb that leans to caution, and with
    three folds the interval is wide: repeat the cross-validation to narrow it.

    Parameters
    ----------
    a, b : array-like of float
        ``(n_folds,)`` scores of both models on the same folds, two or more.
    n_train, n_test : float
        Rows of the training and test part of a fold; their means where folds differ.
    tested : sequence of int, optional
        ``(n_folds,)`` rows of each test part. One row more in each of folds of 124, 126 and 127 is no spread, though
        the shares of a fold differ in the fourth decimal.
    confidence : float
        Of the interval.

    Returns
    -------
    Difference
        Of `a` above `b`, by Student's t with ``n_folds - 1`` degrees of freedom.

    Raises
    ------
    StackError
        If the scores are not two finite vectors of the same length, two folds at least, or a part is empty.
    UsageError
        If `confidence` is not between 0 and 1.
    """
    _check_confidence(confidence)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    _check_fold_scores(a, b)
    if not (n_train > 0 and n_test > 0):
        msg = f"folds of {n_train} training and {n_test} test rows; both must be above 0: pass the folds' own sizes"
        raise StackError(msg)
    differences = a - b
    mean = float(differences.mean())
    # Equal differences of decimal fractions are equal up to rounding only, and would pass for a tiny spread.
    rounding = 8 * np.finfo(np.float64).eps * max(np.abs(a).max(), np.abs(b).max())
    most = 1 if tested is None else max(tested)
    ahead = differences if tested is None else differences * np.asarray(tested)
    if min(np.ptp(differences), np.ptp(ahead) / most) <= rounding:
        return _without_spread(mean if abs(mean) > rounding else 0.0, RESAMPLED_T, confidence)
    n_folds = len(differences)
    error = float(np.sqrt((1 / n_folds + n_test / n_train) * differences.var(ddof=1)))
    reach = float(stdtrit(n_folds - 1, (1 + confidence) / 2)) * error
    p_value = 2 * float(stdtr(n_folds - 1, -abs(mean) / error))
    return Difference(mean, mean - reach, mean + reach, p_value, RESAMPLED_T, confidence)


def mean_sizes(folds: Sequence[Fold]) -> tuple[int, int]:
    """Return the mean number of training and of test rows."""
    return round(np.mean([len(f.train) for f in folds])), round(np.mean([len(f.test) for f in folds]))


def bootstrap_difference(
    right_a: NDArray[np.bool_],
    right_b: NDArray[np.bool_],
    *,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Difference:
    """Compare the accuracy of two models on the test part of a single split.

    The paired bootstrap: test images are drawn with replacement, each with the answers of both models
    (Koehn 2004, EMNLP), and the interval holds the middle percentiles of the differences (Efron &
    Tibshirani 1993, An Introduction to the Bootstrap, section 13.3). It knows how much the choice of test
    images matters, and not how much the choice of training images does. Images of a group resemble each other:
    groups are drawn whole (Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8).

    Parameters
    ----------
    right_a, right_b : NDArray[np.bool_]
        ``(n,)`` whether each model is right on each image.
    seed : int
        Seed of the draws.
    groups : NDArray[np.int64], optional
        ``(n,)`` group of each image.
    n_resamples : int
        Number of draws.
    confidence : float
        Of the interval.

    Returns
    -------
    Difference
        Of `right_a` above `right_b`; the p-value is twice the share of draws on the far side of 0, and never
        below ``2 / (n_resamples + 1)``.

    Raises
    ------
    StackError
        If there are no images or lengths disagree.
    UsageError
        If `confidence` is not between 0 and 1, or `n_resamples` is below 1.
    """
    _check_confidence(confidence)
    if n_resamples < 1:
        msg = f"n_resamples is {n_resamples}; expected 1 or more: leave it out for 10,000"
        raise UsageError(msg)
    _check_answers({"the first model": right_a, "the second model": right_b})
    n = len(right_a)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    mean = (only_a - only_b) / n
    if max(only_a, only_b, n - only_a - only_b) == n:
        return _without_spread(mean, BOOTSTRAP, confidence)
    lead = right_a.astype(np.int64) - right_b
    group = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    # Groups of the same size and lead are alike, so that a resample is one multinomial draw of how many of each kind.
    per_group = np.stack([np.bincount(group), np.bincount(group, weights=lead).astype(np.int64)])
    kinds, n_alike = np.unique(per_group, axis=1, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n_alike.sum(), n_alike / n_alike.sum(), size=n_resamples)
    sizes, leads = drawn @ kinds[0], drawn @ kinds[1]
    low, high = np.quantile(leads / sizes, [(1 - confidence) / 2, (1 + confidence) / 2])
    tail = min(int((leads <= 0).sum()), int((leads >= 0).sum()))
    p_value = min(1.0, 2 * (1 + tail) / (1 + n_resamples))
    return Difference(mean, float(low), float(high), p_value, BOOTSTRAP, confidence)


def error_overlap(wrong: Mapping[str, NDArray[np.bool_]]) -> ErrorOverlap:
    """Compare which images the models get wrong.

    Parameters
    ----------
    wrong : mapping of str to NDArray[np.bool_]
        Model to ``(n,)`` whether it is wrong on each image; the same images for all.

    Returns
    -------
    ErrorOverlap
        With the models in the mapping's order.

    Raises
    ------
    StackError
        If there are no models or no images, or lengths disagree.
    """
    _check_answers(wrong)
    errors = np.stack(list(wrong.values()))
    as_numbers = errors.astype(np.float64)
    both = as_numbers @ as_numbers.T
    either = np.diag(both)[:, None] + np.diag(both) - both
    jaccard = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    np.fill_diagonal(jaccard, 1.0)
    return ErrorOverlap(list(wrong), jaccard, errors.mean(axis=1).tolist(), float(1.0 - errors.all(axis=0).mean()))


def _without_spread(mean: float, method: str, confidence: float) -> Difference:
    return Difference(mean, None, None, 1.0 if mean == 0 else None, method, confidence)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        msg = f"confidence is {confidence}; expected a share between 0 and 1, such as 0.95"
        raise UsageError(msg)


def _check_fold_scores(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        msg = (
            f"fold scores of shapes {a.shape} and {b.shape} cannot be compared; expected one score per fold of "
            "both models, two folds at least: for a single split use bootstrap_difference"
        )
        raise StackError(msg)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        folds = np.flatnonzero(~(np.isfinite(a) & np.isfinite(b))) + 1
        msg = (
            f"fold scores are NaN or infinite in fold {', '.join(map(str, folds))} of {len(a)}; "
            "expected finite numbers: compare a metric that both models have on every fold"
        )
        raise StackError(msg)


def _check_answers(answers: Mapping[str, NDArray[np.bool_]]) -> None:
    shapes = {answer.shape for answer in answers.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes):
        found = ", ".join(f"{name} {answer.shape}" for name, answer in answers.items()) or "none"
        msg = f"answers per image cannot be compared: {found}; expected one for every image, of the same images of each"
        raise StackError(msg)
    for name, answer in answers.items():
        if answer.dtype != np.bool_:
            msg = f"answers of {name} are {answer.dtype}; expected booleans: pass `predicted == truth` or its negation"
            raise StackError(msg)
