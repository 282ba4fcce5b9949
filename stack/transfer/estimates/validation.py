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
from scipy.special import log_softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.transfer.classifier import STRENGTHS, fit_classifier, inner_folds
from stackbone.stack.transfer.estimates.density import effective_number, importance
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.method import Codes, Domains, LinearFitted, Matrix

Doubles = NDArray[np.float64]

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
    groups = None
    if domains.source_groups is not None and domains.target_groups is not None:
        groups = np.concatenate([domains.source_groups, domains.target_groups[seen]])
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


def fit_validated(x: Matrix, domains: Domains, *, weights: Doubles | None = None) -> Validated:
    """Fit the classifier of every method on labelled images, with the C that serves the target best.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, k)`` what a method makes of the features of the `labelled` images.
    domains : Domains
        Whose they are.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each counts for where the classifier learns, above 0.
    """
    known = labelled(domains)
    present, own = np.unique(known.codes, return_inverse=True)
    counts = None if weights is None else weights / weights.mean()
    if known.folds is None or len(present) < 2:
        fitted = fit_classifier(
            x, known.codes, domains.n_classes, seed=domains.seed, groups=known.groups, weights=counts
        )
        return Validated(fitted, np.inf)

    def criterion(said: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
        log_losses = -log_softmax(said.astype(np.float64), axis=1)[np.arange(len(rows)), own[rows]]
        return float(np.average(log_losses, weights=known.worth[rows]))

    c, said = search_strength(x, own.astype(np.int64), known.folds, STRENGTHS, criterion, counts)
    tested = np.concatenate([fold.test for fold in known.folds])
    fitted = fit_classifier(x, known.codes, domains.n_classes, seed=domains.seed, weights=counts, c=c)
    fitted.chosen["by"] = known.by
    return Validated(fitted, criterion(said[tested], tested))


def fit_pooled(domains: Domains) -> Validated:
    """Return the classifier of the features as they are cached, made once: what several methods start from."""
    return domains.once("pooled, validated", lambda: fit_validated(labelled_rows(domains), domains))


def labelled_rows(domains: Domains) -> Matrix:
    """Return ``(n, dim)`` features of the `labelled` images as they are cached."""
    return np.concatenate([domains.source, domains.target[domains.seen]])


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
        return "needs target images without a label"
    if fewest < images:
        return f"needs {images} images of each domain, and one has {fewest}"
    if len(np.unique(np.concatenate([domains.source_labels, seen]))) < 2:
        return "needs labelled images of two classes"
    return None
