"""Image files made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def write_photos(folder: Path, seeds: Iterable[int]) -> Path:
    """Write a smooth picture of its own colours for each seed, as ``NN.png``, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((90 + seed, 70), Image.Resampling.BICUBIC).save(folder / f"{seed:02d}.png")
    return folder
