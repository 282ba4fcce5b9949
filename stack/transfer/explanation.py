"""Numbers that explain a verdict: how far the domains are apart, for each class too, and which source images hurt.

They take all labels of the target: nothing is chosen by them, and no score is of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import domains_of, everything
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.gap.class_gaps import class_gaps
from stackbone.stack.transfer.gap.distance import discrepancy, proxy_a_distance
from stackbone.stack.transfer.gap.influence import influence

MOST_SHOWN = 24
"""Source images that help least, in results and reports."""


@dataclass(frozen=True)
class ClassGap:
    """How far a class is from itself across the domains.

    Attributes
    ----------
    own, nearest : float or None
        Distance of its two means, and of its source mean to that of the nearest other class, in standard deviations of
        an image about its class; None where it cannot be told.
    """

    own: float | None
    nearest: float | None


@dataclass(frozen=True)
class DomainGap:
    """How far two domains are apart on one backbone.

    Attributes
    ----------
    backbone : str
        Its name.
    a_distance : float
        The proxy A-distance: 0 where a classifier cannot tell the domains apart, 2 where it never errs.
    squared_discrepancy, p_value : float
        The squared maximum mean discrepancy, and its permutation test.
    classes : dict of str to ClassGap
        By class.
    """

    backbone: str
    a_distance: float
    squared_discrepancy: float
    p_value: float
    classes: dict[str, ClassGap]

    @property
    def line(self) -> str:
        """The gap in a sentence, with the class that is farthest from itself."""
        far = {name: each.own for name, each in self.classes.items() if each.own is not None}
        worst = max(far, key=lambda name: far[name] or 0.0, default=None)
        of_class = (
            "" if worst is None else f"; {worst!r} is farthest from itself ({far[worst]:.2f} standard deviations)"
        )
        return (
            f"{self.backbone}: proxy A-distance {self.a_distance:.2f} of 2, squared MMD "
            f"{self.squared_discrepancy:.4f} (p = {self.p_value:.3f}){of_class}"
        )


@dataclass(frozen=True)
class LeastHelpful:
    """A source image that helps little, or hurts.

    Attributes
    ----------
    domain, path, label : str
        Of the image.
    sha256 : str
        Of its bytes, in hexadecimal; "" in a result that was written before it was kept.
    influence : float
        Mean over backbones of what the target's log-loss would lose if the image were there twice, as a share of
        the mean size over all source images; below 0 where it hurts.
    """

    domain: str
    path: str
    label: str
    influence: float
    sha256: str = ""


@dataclass(frozen=True)
class Explanation:
    """What explains a verdict.

    Attributes
    ----------
    gaps : list of DomainGap
        By backbone.
    least : list of LeastHelpful
        The source images that help least, the worst first.
    n_hurting : int
        Source images whose influence is below 0.
    """

    gaps: list[DomainGap]
    least: list[LeastHelpful]
    n_hurting: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)


def explain(
    pair: DomainPair,
    strengths: Mapping[str, float],
    seed: int,
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Measure the gap on each backbone, and which source images help a classifier of the source least.

    Parameters
    ----------
    pair : DomainPair
        Both domains.
    strengths : mapping of str to float
        By backbone, C of a classifier of the source: see `influence`.
    seed : int
        Of what is drawn.
    n_jobs : int, optional
        Backbones at a time; all cores by default.
    progress : callable, optional
        See `cache.progress.Progress`.
    """
    names = pair.target.names
    fits = {(f"gap {name}", 0): partial(_measure, pair, name, strengths[name], seed) for name in names}
    with recorded():  # its classifiers answer for no score
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
    gaps, each = zip(*(found[f"gap {name}", 0] for name in names), strict=True)
    mean = np.mean([one / (np.abs(one).mean() or 1.0) for one in each], axis=0)
    order = np.argsort(mean, kind="stable")[:MOST_SHOWN].tolist()
    source = pair.source
    least = [
        LeastHelpful(
            source.names[source.domain[row]],
            source.paths[row],
            str(source.labels[row]),
            round(float(mean[row]), 6),
            source.digests[row].tobytes().hex(),
        )
        for row in order
    ]
    return Explanation(list(gaps), least, int((mean < 0).sum()))


def _measure(pair: DomainPair, backbone: str, c: float, seed: int) -> tuple[DomainGap, NDArray[np.float64]]:
    domains = domains_of(pair, everything(pair, seed), Setting(None), backbone, seed)
    shown = domains.source, domains.source_labels, domains.target, domains.target_labels, domains.n_classes
    apart = discrepancy(domains)
    own, nearest = (_told(each) for each in class_gaps(*shown))
    gap = DomainGap(
        backbone=backbone,
        a_distance=proxy_a_distance(domains),
        squared_discrepancy=apart.squared,
        p_value=apart.p_value,
        classes={str(name): ClassGap(own[i], nearest[i]) for i, name in enumerate(pair.classes)},
    )
    return gap, influence(*shown, seed=seed, c=c)


def _told(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
