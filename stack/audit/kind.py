"""What a kind of finding is, and which kinds there are."""

from __future__ import annotations

from abc import ABC, abstractmethod

from stackbone.cache.plugins import Plugins
from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding

LABELS, FEATURES, SCORES, FACTS = "labels", "features", "scores", "facts"
"""What a kind may need: labels that name classes, plain features, out-of-fold scores, a look at the image files."""


class Kind(ABC):
    """One kind of finding; a file of `stack.audit.kinds` declares it, or a tuple of related ones, as ``KIND``.

    Attributes
    ----------
    name : str
        As users type it, and as rows have it.
    title : str
        What its findings are, as a heading says it.
    place : int
        Kinds follow each other by ascending place.
    needs : tuple of str
        Of `LABELS`, `FEATURES`, `SCORES` and `FACTS`; without one of them the kind is left out, with the reason.
    uses : tuple of str
        What else it looks at where it is there.
    """

    name: str
    title: str
    place: int
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @abstractmethod
    def find(self, audited: Audited) -> list[Finding]:
        """Return what is found, in any order: the audit sorts by descending score."""


KINDS: Plugins[Kind] = Plugins(
    Kind,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.audit",
    "stackbone.stack.audit.kinds",
    "KIND",
    order=lambda each: (each.place, each.name),
)
