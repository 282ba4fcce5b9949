"""Which of several settings serves the target best, where its labels are hidden.

Validated are labelled images out of fold: source images by their importance, so that their mean log-loss estimates the
target's (importance-weighted cross-validation: Sugiyama, Krauledat & Müller 2007, JMLR 8, 985-1005), and beside them
the target images whose label is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.rows import Matrix, RowsOfTwo
from stackbone.stack.transfer.classifier import STRENGTHS, WITHOUT_FOLDS, fit_classifier, inner_folds, log_losses
from stackbone.stack.transfer.estimates.density import effective_number, importance, joined_groups
from stackbone.stack.transfer.estimates.leading import leading_rows
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.method import Codes, Domains, LinearFitted

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

BY_IMPORTANCE = "importance-weighted log-loss on inner folds of the source"
BY_BOTH = "log-loss on inner folds, source images by importance"


@dataclass(frozen=True, eq=False)
class Labelled:
    """The images with a label that a method may see: all of the source, then those of the target.

    Attributes
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    n_source : int
        How many come from the source.
    groups : NDArray[np.int64], optional
        ``(n,)`` ids of what belongs together.
    worth : NDArray[np.float64]
        ``(n,)`` what each counts for where it is validated: those of the target 1; those of the source by their
        importance, and together for their effective number.
    folds : list of Fold, optional
        Inner folds, the same for every method; None where too few images allow none.
    by : str
        The criterion, in words.
    """

    codes: Codes
    n_source: int
    groups: Codes | None
    worth: Doubles
    folds: list[Fold] | None
    by: str


def labelled(domains: Domains) -> Labelled:
    """Return the labelled images of both domains."""
    return domains.once("labelled", lambda: _labelled(domains))


def _labelled(domains: Domains) -> Labelled:
    seen, weights = domains.seen, importance(domains)
    codes = np.concatenate([domains.source_labels, domains.target_labels[seen]])
    groups = joined_groups(domains, seen)
    own = weights / weights.sum() * effective_number(weights)
    _, present = np.unique(codes, return_inverse=True)
    folds = inner_folds(present, domains.seed, groups)
    by = BY_BOTH if len(seen) else BY_IMPORTANCE
    return Labelled(codes, len(weights), groups, np.concatenate([own, np.ones(len(seen))]), folds, by)


@dataclass(frozen=True, eq=False)
class Validated:
    """A classifier with what its like lost out of fold.

    Attributes
    ----------
    fitted : LinearFitted
        Of all labelled images.
    loss : float
        Mean log-loss in nats by `Labelled.worth`; infinite where there are no folds to tell.
    """

    fitted: LinearFitted
    loss: float

    @property
    def strength(self) -> float:
        """The C that was chosen."""
        return float(self.fitted.chosen["C"])


@dataclass(frozen=True)
class Strength:
    """The C that serves the target best, where its labels are hidden.

    Attributes
    ----------
    c : float
        In scikit-learn's sense.
    loss : float
        See `Validated`.
    by : str
        The criterion, in words.
    """

    c: float
    loss: float
    by: str


def validate(rows: Floats, domains: Domains, *, weights: Doubles | None = None) -> Strength:
    """Return the C of the classifier that serves the target best, without fitting that classifier.

    Parameters
    ----------
    rows : NDArray[np.float32]
        ``(n, k)`` the `labelled` images, in their `leading_rows`.
    domains : Domains
        Whose they are.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each counts for where the classifier learns, above 0.
    """
    known = labelled(domains)
    present, own = np.unique(known.codes, return_inverse=True)
    if known.folds is None or len(present) < 2:
        return Strength(float(WITHOUT_FOLDS["C"]), np.inf, str(WITHOUT_FOLDS["by"]))

    def criterion(said: Floats, tested: Codes) -> float:
        return float(np.average(log_losses(said, own[tested]), weights=known.worth[tested]))

    counts = None if weights is None else weights / weights.mean()
    own = own.astype(np.int64)
    c, said = search_strength(rows, own, known.folds, STRENGTHS, criterion, counts, standardise=False)
    tested = np.concatenate([fold.test for fold in known.folds])
    return Strength(c, criterion(said[tested], tested), known.by)


def fit_validated(
    x: Matrix, domains: Domains, *, weights: Doubles | None = None, strength: Strength | None = None
) -> Validated:
    """Fit the classifier of every method on labelled images, with the C that serves the target best.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, k)`` what a method makes of the features of the `labelled` images.
    domains : Domains
        Whose they are.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each counts for where the classifier learns, above 0.
    strength : Strength, optional
        C, where `validate` has found it.
    """
    chosen = strength or validate(leading_rows(x), domains, weights=weights)
    counts = None if weights is None else weights / weights.mean()
    codes = labelled(domains).codes
    fitted = fit_classifier(x, codes, domains.n_classes, seed=domains.seed, weights=counts, c=chosen.c)
    fitted.chosen["by"] = chosen.by
    return Validated(fitted, chosen.loss)


def searched_rows(domains: Domains) -> Floats:
    """Return the `leading_rows` of the labelled images as they are cached, found once."""
    return domains.once("searched rows", lambda: leading_rows(labelled_rows(domains)))


def pooled_strength(domains: Domains) -> Strength:
    """Return the C of `fit_pooled`, chosen once."""
    return domains.once("pooled, strength", lambda: validate(searched_rows(domains), domains))


def fit_pooled(domains: Domains) -> Validated:
    """Return the classifier of the features as they are cached, which several methods start from."""
    strength = pooled_strength(domains)
    fitted = fit_labelled(domains, strength.c)
    return Validated(LinearFitted(fitted.linear_map, {**fitted.chosen, "by": strength.by}), strength.loss)


def fit_labelled(domains: Domains, c: float) -> LinearFitted:
    """Return the classifier of the labelled images as they are cached, made once for each C."""

    def fit() -> LinearFitted:
        codes = np.concatenate([domains.source_labels, domains.target_labels[domains.seen]])
        return fit_classifier(labelled_rows(domains), codes, domains.n_classes, seed=domains.seed, c=c)

    return domains.once(f"labelled images, C {c!r}", fit)


def labelled_rows(domains: Domains) -> Matrix:
    """Return ``(n, dim)`` features of the `labelled` images as they are cached."""
    return rows_of_both(domains, domains.seen)


def rows_of_both(domains: Domains, of_target: Codes) -> RowsOfTwo:
    """Return all rows of the source, then these of the target, where they lie."""
    n = len(domains.source)
    return RowsOfTwo(domains.source, domains.target, np.concatenate([np.arange(n), n + of_target]))


def first_near_best(losses: Sequence[Doubles]) -> int:
    """Return the first of several classifiers that is not worse than the best by more than chance.

    Parameters
    ----------
    losses : sequence of NDArray[np.float64]
        ``(n,)`` loss of each image by each of them, those that leave least behind first. One is near the best where
        its mean loss exceeds the least by no more than the standard error of that difference over images (Breiman et
        al. 1984, Classification and Regression Trees, section 3.4.3).
    """
    least = min(losses, key=lambda each: float(each.mean()))
    beyond = [each - least for each in losses]
    near = [float(each.mean()) <= float(each.std()) / np.sqrt(len(each)) for each in beyond]
    return near.index(True)


def lacking(domains: Domains, *, target_labels: bool = False, hidden: bool = False, images: int = 1) -> str | None:
    """Return in words what these domains lack for a method, or None.

    Parameters
    ----------
    domains : Domains
        What is there.
    target_labels : bool
        Whether the method needs labels of target images, of two classes.
    hidden : bool
        Whether it needs target images without a label.
    images : int
        How many images of each domain it needs.
    """
    seen = domains.target_labels[domains.seen]
    fewest = min(len(domains.source), len(domains.target))
    if target_labels and len(np.unique(seen)) < 2:
        return "needs labels of target images" if len(seen) == 0 else "needs labelled target images of two classes"
    if hidden and len(seen) == len(domains.target):
        return "needs hidden labels to guess, and every target label is shown"
    if fewest < images:
        return f"needs {images} images of each domain, and one has {fewest}"
    if len(np.unique(np.concatenate([domains.source_labels, seen]))) < 2:
        return "needs labelled images of two classes"
    return None
