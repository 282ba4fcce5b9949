"""What looks odd about the sizes of images."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.upkeep.oddities.looks import Looks, cited

_MANY = 0.5  # share of the images that are enlarged
_FEWEST_MEASURED = 10  # images of a class whose median size means something
_RATIO = 2.0  # of two classes' median sides


def small_images(looks: Looks) -> str:
    """Return what to say where images are smaller than what networks take."""
    sides = _sides(looks, _measured(looks))
    inputs = sorted({min(size) for size in looks.inputs.values() if len(sides) and np.mean(sides < min(size)) > _MANY})
    if not inputs:
        return ""
    least, most = inputs[0], inputs[-1]
    return (
        f"images are smaller than the networks' input and will be enlarged: from {np.median(sides):g} pixels in the "
        f"median, of the shorter side, to {least if least == most else f'{least} to {most}'}. Use larger originals "
        "where there are any"
    )


def sizes_differ_by_class(looks: Looks) -> str:
    """Return what to say where the size of an image tells its class."""
    sides: dict[str, list[int]] = defaultdict(list)
    rows = _measured(looks)
    for row, side in zip(rows.tolist(), _sides(looks, rows).tolist(), strict=True):
        for name in looks.index.names_of(row):
            sides[name].append(side)
    medians = {name: float(np.median(each)) for name, each in sides.items() if len(each) >= _FEWEST_MEASURED}
    if len(medians) < 2:
        return ""
    small, large = min(medians, key=lambda name: medians[name]), max(medians, key=lambda name: medians[name])
    if medians[large] < _RATIO * medians[small]:
        return ""
    return (
        f"images of {cited(large)} are larger than those of {cited(small)} (shorter side {medians[large]:g} and "
        f"{medians[small]:g} pixels in the median). A network may tell classes by sharpness, which helps on no other "
        "images"
    )


def _measured(looks: Looks) -> NDArray[np.intp]:
    sizes = looks.index.sizes
    return np.zeros(0, np.intp) if sizes is None else np.flatnonzero(sizes.all(axis=1) & looks.index.ok)


def _sides(looks: Looks, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the shorter side of each of some measured images."""
    sizes = looks.index.sizes
    sides: NDArray[np.int64] = np.zeros(0, np.int64) if sizes is None else sizes[rows].min(axis=1)
    return sides
