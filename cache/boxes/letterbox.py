"""Where an image lies in a square frame that shows it whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Letterbox:
    """An image of `width` x `height` pixels, resized to fit into a square of `side` pixels, in the middle of it.

    Its sides keep their ratio; what is left over, above and below or left and right, is filled.
    """

    width: int
    height: int
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the resized image, whole pixels of at least one."""
        scale = self.side / max(self.width, self.height)
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """Column and row of the frame where the resized image begins."""
        width, height = self.size
        return (self.side - width) // 2, (self.side - height) // 2

    def to_frame(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, 4) corners of boxes in pixels of the frame, of such in pixels of the image."""
        scale, offset = self._scale_and_offset()
        return np.asarray(corners * scale + offset, np.float32)

    def to_image(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, 4) corners of boxes in pixels of the image, cut at its edges, of such in pixels of the frame."""
        scale, offset = self._scale_and_offset()
        edges = np.array([self.width, self.height] * 2, np.float32)
        return np.asarray(np.clip((corners - offset) / scale, 0, edges), np.float32)

    def _scale_and_offset(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        width, height = self.size
        scale = np.array([width / self.width, height / self.height] * 2, np.float32)
        return scale, np.array(self.corner * 2, np.float32)
