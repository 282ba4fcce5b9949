"""Methods that bring the source's features to where the target's are, and learn there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.rows import Rows
from stackbone.stack.transfer.estimates.leading import leading_rows
from stackbone.stack.transfer.estimates.moments import DomainMap
from stackbone.stack.transfer.estimates.validation import fit_validated, lacking, validate
from stackbone.stack.transfer.method import Codes, Domains, LinearFitted, Method

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Both domains in one space.

    Attributes
    ----------
    source, target : DomainMap
        The ways of both domains' images to there.
    settings : dict of str to (float or str)
        Hyper-parameters that led there, by name.
    """

    source: DomainMap
    target: DomainMap
    settings: dict[str, float | str] = field(default_factory=dict)

    def labelled(self, domains: Domains) -> Floats:
        """Return ``(n, k)`` the labelled images there, those of the source first."""
        return self.rows(domains, domains.seen)

    def leading(self, domains: Domains) -> Floats:
        """Return the `leading_rows` of `labelled`."""
        x = self.labelled(domains)
        return leading_rows(x, out=x)

    def rows(self, domains: Domains, of_target: Codes) -> Floats:
        """Return ``(n_source + n, k)`` the source's images there, then these rows of the target."""
        n, project = len(domains.source), self.source.project
        x = np.empty((n + len(of_target), domains.source.shape[1] if project is None else project.shape[1]), np.float32)
        self.source.apply(domains.source, x[:n])
        self.target.apply(Rows([domains.target], of_target), x[n:])
        return x


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
        return domains.once(f"{self.name}, fitted", lambda: self._fit(domains))

    def _fit(self, domains: Domains) -> LinearFitted:
        tried = ((each, validate(each.leading(domains), domains)) for each in self.align(domains))
        aligned, strength = min(tried, key=lambda each: each[1].loss)
        fitted = fit_validated(aligned.labelled(domains), domains, strength=strength).fitted
        return LinearFitted(aligned.target.compose(fitted.linear_map), {**aligned.settings, **fitted.chosen})
