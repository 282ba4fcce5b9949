"""What is still to be done, in pieces that workers take, finish, or lose."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FIRST_IMAGES = 64  # of a piece, before a worker's pace is known
MOST_IMAGES = 2048
_PIECE_SECONDS = 45.0  # of work in a piece, which is committed at its end
_SHARE_OF_REST = 0.5  # of what is left for each worker: towards the end pieces get smaller, so that all end together
_MOST_LOSSES = 2  # of one piece, before it is parted


@dataclass(frozen=True, eq=False)
class Piece:
    """Images that one worker embeds and commits.

    Attributes
    ----------
    numbers
        (n,) int: which of the images of the run.
    n_lost
        How often a worker ended with it.
    lost_by
        The node of the last worker that had it, so that some of them may be committed; None if none had.
    """

    numbers: NDArray[np.intp]
    n_lost: int = 0
    lost_by: str | None = None

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass
class Work:
    """The images of a run that some feature set lacks, in order.

    Attributes
    ----------
    numbers
        (n,) int: which they are.
    n_done
        How many are done: committed, or failed.
    """

    numbers: NDArray[np.intp]
    n_done: int = 0
    _next: int = 0
    _lost: deque[Piece] = field(default_factory=deque)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, neither here nor with a worker."""
        return self.n_done >= len(self.numbers)

    def take(self, images_per_s: float | None, n_workers: int, *, not_of: str | None = None) -> Piece | None:
        """Return the next piece for a worker; None if no image waits for it.

        Parameters
        ----------
        images_per_s
            How fast the worker was; None before it did anything.
        n_workers
            How many share what is left.
        not_of
            A node that gets no piece that it lost: others are to try.
        """
        for place, piece in enumerate(self._lost):
            if not_of is None or piece.lost_by != not_of:
                del self._lost[place]
                return piece
        n_left = len(self.numbers) - self._next
        if not n_left:
            return None
        wanted = FIRST_IMAGES if images_per_s is None else round(images_per_s * _PIECE_SECONDS)
        share = math.ceil(n_left * _SHARE_OF_REST / max(1, n_workers))
        n = min(n_left, MOST_IMAGES, max(1, min(wanted, max(share, FIRST_IMAGES // 4))))
        piece = Piece(self.numbers[self._next : self._next + n])
        self._next += n
        return piece

    def finish(self, piece: Piece) -> None:
        """Take note that a piece is done."""
        self.n_done += len(piece)

    def put_back(self, piece: Piece, node: str) -> None:
        """Take a piece back from a worker on a node that cannot go on, which is none of its images' fault."""
        self._lost.append(Piece(piece.numbers, piece.n_lost, node))

    def lose(self, piece: Piece, node: str) -> bool:
        """Take a piece back whose worker on a node ended; False if it is one image, again: it is to blame.

        A piece that was lost twice is parted, so that an image which ends every worker is found, and costs no other.
        """
        n_lost = piece.n_lost + 1
        if n_lost < _MOST_LOSSES:
            self._lost.append(Piece(piece.numbers, n_lost, node))
            return True
        if len(piece) == 1:
            self.n_done += 1
            return False
        half = len(piece) // 2
        # Each half has one loss behind it: what was committed of it is looked up.
        self._lost += [Piece(part, 1, node) for part in (piece.numbers[:half], piece.numbers[half:])]
        return True
