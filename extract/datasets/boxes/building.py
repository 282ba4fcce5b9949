"""The boxes of one image, gathered object by object from its annotation."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.extract.datasets.boxes.faults import NO_AREA, NO_NUMBER, SWAPPED, Faults

_MOST = 1e9  # of a coordinate; no image has as many pixels in a row


class Builder:
    """Gathers the objects of one image.

    Parameters
    ----------
    file
        The annotation's, or the image's, as notes name it.
    faults
        Where what is wrong is counted.
    """

    __slots__ = ("_corners", "_faults", "_file", "_flags", "_is_sound", "_names")

    def __init__(self, file: str, faults: Faults) -> None:
        self._file, self._faults = file, faults
        self._corners: list[Sequence[float]] = []
        self._names: list[str] = []
        self._flags: list[tuple[bool, bool]] = []
        self._is_sound = True

    def add(self, corners: Sequence[float], name: str, *, is_difficult: bool = False, is_crowd: bool = False) -> None:
        """Add an object; `corners` are left, top, right and bottom."""
        if not all(abs(value) < _MOST for value in corners):  # NaN is not
            self.fail(NO_NUMBER)
            return
        left, top, right, bottom = np.array(corners, np.float32).tolist()
        if left > right or top > bottom:
            self.fail(SWAPPED)
        elif left == right or top == bottom:
            self.leave_out(NO_AREA)
        else:
            self._corners.append((left, top, right, bottom))
            self._names.append(unicodedata.normalize("NFC", name))  # as labels are
            self._flags.append((is_difficult, is_crowd))

    def leave_out(self, what: str) -> None:
        """Count an object whose box is left out."""
        self._faults.of_box(what, self._file)

    def fail(self, what: str, why: str = "") -> None:
        """Give the image's boxes up; the first fault counts."""
        if self._is_sound:
            self._faults.of_image(what, self._file, why)
        self._is_sound = False

    def boxes(self, width: int = 0, height: int = 0) -> ImageBoxes | None:
        """Return the boxes of the image, of a size in pixels if it is told; None where they were given up."""
        if not self._is_sound:
            return None
        flags = np.array(self._flags, np.bool_).reshape(-1, 2)
        corners = np.array(self._corners, np.float32).reshape(-1, 4)
        return ImageBoxes(corners, tuple(self._names), flags[:, 0].copy(), flags[:, 1].copy(), width, height)
