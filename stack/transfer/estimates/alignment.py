"""Methods that bring the source's features to where the target's are, and learn there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.moments import TargetMap
from stackbone.stack.transfer.estimates.validation import fit_validated, lacking
from stackbone.stack.transfer.method import Domains, LinearFitted, Method

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Both domains in one space.

    Attributes
    ----------
    source : NDArray[np.float32]
        ``(n_source, k)`` the source's images there.
    target : TargetMap
        The way of the target's images to there.
    settings : dict of str to (float or str)
        Hyper-parameters that led there, by name.
    """

    source: Floats
    target: TargetMap
    settings: dict[str, float | str] = field(default_factory=dict)

    def labelled(self, domains: Domains) -> Floats:
        """Return ``(n, k)`` the labelled images there, those of the source first."""
        return np.concatenate([self.source, self.target.apply(domains.target[domains.seen])])


class Alignment(Method):
    """A method whose classifier learns from the source's images where it aligns them with the target's."""

    family = "feature"

    def fits(self, domains: Domains) -> str | None:
        """Return why not: a domain of one image has no spread."""
        return lacking(domains, images=2)

    @abstractmethod
    def align(self, domains: Domains) -> Iterator[Aligned]:
        """Yield alignments to choose from, one for each setting that is tried."""

    def fit(self, domains: Domains) -> LinearFitted:
        """Learn from aligned images, by the setting that serves the target best: see `estimates.validation`."""
        best: LinearFitted | None = None
        least = np.inf
        for aligned in self.align(domains):
            tried = fit_validated(aligned.labelled(domains), domains)
            if best is None or tried.loss < least:
                chosen = {**aligned.settings, **tried.fitted.chosen}
                best, least = LinearFitted(aligned.target.compose(tried.fitted.linear_map), chosen), tried.loss
        if best is None:
            message = f"{self.name} aligned nothing"
            raise ValueError(message)
        return best
