"""What a look at an image file tells; others take it, since this room opens no images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from stackbone.cache.disk.reading import ListedFile


class Facts(Protocol):
    """What is measured of an image file, as `extract.images.measured.facts.ImageFacts` holds it."""

    @property
    def brightness(self) -> float:
        """Mean luminance, 0 (black) to 1 (white)."""

    @property
    def highlight(self) -> float:
        """Luminance that 95% of the pixels do not exceed, 0 to 1."""

    @property
    def sharpness(self) -> float:
        """How strong its edges are, see there."""

    @property
    def camera(self) -> str:
        """Make and model of the camera as the file names it, or ``""``."""


MeasureImages: TypeAlias = Callable[[Sequence[ListedFile]], Sequence[Facts | str]]
"""Measures image files, as `extract.images.measured.facts.measure_images` does; where one cannot be, says why."""
