"""What each row counts for where a model learns, and where it is tested: the weight of its class, and of its image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import nearest
from stackbone.cache.errors import UsageError
from stackbone.cache.text import counted
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.tasks.truth import Truth

_SHOWN = 5


def make_part(
    number: int,
    fold: Fold,
    truth: Truth,
    inner_folds: Callable[[NDArray[np.int64]], list[Fold]],
    options: StackOptions,
    weights: Weights,
) -> Part:
    """Return one outer fold as learners see it.

    Parameters
    ----------
    number : int
        Of the fold, from 0.
    fold : Fold
        Its rows.
    truth : Truth
        Of every image.
    inner_folds : callable
        Divides a training part.
    options : StackOptions
        What weighs classes, and the metric that chooses.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for, above 0.
    """
    return Part(
        number,
        fold,
        truth.values[fold.train],
        truth.n_classes,
        inner_folds(fold.train),
        row_weights=row_weights(truth, fold.train, options.class_weight, weights),
        sample_weights=row_weights(truth, fold.train, None, weights),
        metric=None if options.metric is None else METRICS[options.metric],
    )


def row_weights(
    truth: Truth, rows: NDArray[np.int64], class_weight: str | Mapping[str, float] | None, weights: Weights
) -> Weights:
    """Return what some rows count for, 1 in the mean: the weight of each one's class times that of its image.

    ``balanced`` gives every class the same weight in all, as scikit-learn's `compute_class_weight` does: a class of a
    tenth of the images, ten times that of one of all of them.

    Parameters
    ----------
    truth : Truth
        Of every image.
    rows : NDArray[np.int64]
        ``(n,)`` rows, such as those of a training part.
    class_weight : str or mapping of str to float, optional
        As of `StackOptions`.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for, above 0.

    Returns
    -------
    NDArray[np.float64], optional
        ``(n,)``; None where all count alike.
    """
    if class_weight is None and weights is None:
        return None
    own = np.ones(len(rows)) if weights is None else weights[rows]
    if class_weight is not None:
        codes = truth.values[rows]
        own = own * _of_classes(truth.classes, codes, own, class_weight)[codes]
    found: NDArray[np.float64] = own / own.mean()
    return found


def check_class_weight(class_weight: str | Mapping[str, float] | None, names: Iterable[str]) -> None:
    """Refuse weights that are not of just the classes that take part.

    Raises
    ------
    UsageError
        If a class has none, or a weight is of another class.
    """
    if class_weight is None or isinstance(class_weight, str):
        return
    classes = [str(name) for name in names]
    unknown = [name for name in class_weight if name not in classes]
    lacking = [name for name in classes if name not in class_weight]
    if unknown:
        near = nearest(unknown[0], classes)
        meant = f"; did you mean {near!r}?" if near else "."
        message = (
            f"--class-weight names {counted(len(unknown), 'class', 'classes')} of which no image takes part: "
            f"{_listed(unknown)}{meant} There are {_listed(classes)}: correct or remove the others"
        )
        raise UsageError(message)
    if lacking:
        message = (
            f"--class-weight has no weight for {counted(len(lacking), 'class', 'classes')}: {_listed(lacking)}. Every "
            "class needs one, such as 1: add what is missing, or use --class-weight balanced"
        )
        raise UsageError(message)


def _of_classes(
    classes: NDArray[np.str_],
    codes: NDArray[np.int64],
    weights: NDArray[np.float64],
    class_weight: str | Mapping[str, float],
) -> NDArray[np.float64]:
    """Return the ``(n_classes,)`` weight of each class."""
    if isinstance(class_weight, str):  # balanced
        totals = np.bincount(codes, weights, len(classes))
        found: NDArray[np.float64] = np.zeros(len(classes))
        np.divide(totals.sum(), len(classes) * totals, out=found, where=totals > 0)
        return found
    return np.array([class_weight[str(name)] for name in classes], np.float64)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, map(str, names[:_SHOWN]))) + more
