"""What a base learner sees of each image: one block of features, or several outputs of one network side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """One member of a stack.

    Attributes
    ----------
    name : str
        Of its rows in the table: ``lr:NAME``.
    blocks : tuple of str
        Names of the blocks that it sees, in order.
    parts : tuple of (str, int)
        Name and number of columns of each part of these columns: an output, or a stage or block of a network. A single
        part, and nothing is to be weighed against each other.
    """

    name: str
    blocks: tuple[str, ...]
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each part."""
        return tuple(width for _, width in self.parts)


def one_each(blocks: Iterable[str]) -> list[Member]:
    """Return a member for each block, of one part."""
    return [Member(name, (name,)) for name in blocks]
