"""What an image may be to be embedded at all: how large, and whether its file may be cut short."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.cache.errors import UsageError
from stackbone.cache.records.provenance import ALLOWS_CUT, PIXEL_LIMIT, USUAL_PIXELS

MAX_PIXELS = USUAL_PIXELS
"""Unless another number is asked for."""


@dataclass(frozen=True)
class Limits:
    """Which images are let in. The pixels of an image that is let in do not depend on these, so neither do features.

    Attributes
    ----------
    allow_truncated
        Whether to take an image whose file is cut short: what is missing stays grey or black.
    max_pixels
        Pixels that an image may declare.

    Raises
    ------
    UsageError
        If `max_pixels` is under 1.
    """

    allow_truncated: bool = False
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            message = f"max_pixels is {self.max_pixels:,}; expected 1 or more, such as {MAX_PIXELS:,}, the default"
            raise UsageError(message)

    @property
    def provenance(self) -> dict[str, str]:
        """What a shard says of them, where they are not the defaults."""
        found = {ALLOWS_CUT: "yes"} if self.allow_truncated else {}
        return found if self.max_pixels == MAX_PIXELS else {**found, PIXEL_LIMIT: str(self.max_pixels)}


def limits_of(*, allow_truncated: bool, max_pixels: int | None) -> Limits:
    """Return the limits that a caller asks for; None means the usual number of pixels."""
    return Limits(allow_truncated, MAX_PIXELS if max_pixels is None else max_pixels)


USUAL = Limits()
ANY = Limits(allow_truncated=True, max_pixels=1 << 62)
"""For images that are in a cache already: whoever put them there let them in."""
