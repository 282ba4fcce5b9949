"""Parts of a dataset's images, for processes or machines that share the work without talking to each other."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, UsageError
from stackbone.cache.disk.digest_sets import digest_heads
from stackbone.cache.text import typed

MOST_PARTS = 1_000_000
_FORM = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class ImagePart:
    """The images whose digests leave one remainder, wherever their files lie and whatever other images there are.

    The first eight bytes of a SHA-256 are as good as a random number, so that parts are about equally large, and each
    image is in one of them.

    Attributes
    ----------
    number, of
        The part, from 1, and how many there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, digests: Digests) -> NDArray[np.bool_]:
        """Return (n,) bool: which of the images with these (n, 32) uint8 digests are in this part."""
        mine: NDArray[np.bool_] = digest_heads(digests) % np.uint64(self.of) == self.number - 1
        return mine


def parse_part(text: str) -> ImagePart:
    """Return the part that a text such as ``3/16`` names.

    Raises
    ------
    UsageError
        If it names none.
    """
    found = _FORM.fullmatch(text.strip())
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of <= MOST_PARTS:
        message = (
            f"{typed('--part', text)} is no part: give its number, from 1, and how many parts there are (at most "
            f"{MOST_PARTS:,}), such as --part 3/16"
        )
        raise UsageError(message)
    return ImagePart(number, of)
