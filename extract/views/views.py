"""Views by name: which fit a transform, and the pixels of each, made from one decoded picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import UsageError
from stackbone.cache.records.feature_name import PLAIN, PYRAMID
from stackbone.cache.records.views import CORNERS, MIRROR, augmented_number
from stackbone.extract.backbones.backbone import LETTERBOX, Backbone, Transform
from stackbone.extract.images.decode import apply_transform, crop_resized, letterboxed, resized_size
from stackbone.extract.views.augment import Canvas


def check_fit(views: Sequence[str], backbones: Sequence[Backbone]) -> None:
    """Require that every view shows something else than the plain one, and of an image in a frame all of it.

    Raises
    ------
    UsageError
        If corners are asked of a backbone whose input is the whole picture: all five crops would be the same. Or if
        maps are asked of a part of an image.
    """
    framed = [each.name for each in backbones if each.is_framed]
    cut = [view for view in views if view not in (PLAIN, MIRROR)]
    if framed and cut:
        message = (
            f"the view {cut[0]} does not fit {framed[0]}@{PYRAMID}: its maps are of the whole image, so that every "
            f"object is on them and a box has one place, and this view cuts the image or moves it. Leave it out of "
            f"--views ({PLAIN} and {MIRROR} fit), or name the maps with their view: {framed[0]}@{PYRAMID}~{PLAIN}"
        )
        raise UsageError(message)
    corners = [view for view in views if view.startswith(CORNERS)]
    whole = [each.name for each in backbones if _is_whole(each.transform)] if corners else []
    if whole:
        height, width = next(each for each in backbones if each.name == whole[0]).transform.input_size
        message = (
            f"the view {corners[0]} does not fit {', '.join(whole)}: its input of {height} x {width} pixels is the "
            "whole picture, squashed, so that no corner differs from the plain view. Leave the corners (five-crop, "
            "ten-crop) out of --views, or name other --backbones"
        )
        raise UsageError(message)


def make_views(
    picture: Image.Image, transform: Transform, views: Sequence[str], digest: bytes
) -> dict[str, NDArray[np.uint8]]:
    """Return the network's input for each view, (height, width, 3) uint8 before normalisation, by its name.

    Corners are those of the picture as it is resized for the plain view, so a picture smaller than the input is
    enlarged first for every view alike; of a square picture of which the input is the whole, all are the plain view.

    Parameters
    ----------
    picture
        RGB and upright.
    transform
        Of the backbones that the views are for.
    views
        Names, of `cache.records.views.expand_views`.
    digest
        SHA-256 of the image's bytes, 32 of them: what random views are drawn from.
    """
    made: dict[str, NDArray[np.uint8]] = {}
    canvas: Canvas | None = None
    for view in views:
        number = augmented_number(view)
        if number is not None:
            canvas = canvas or Canvas(picture, transform)
            made[view] = canvas.view(number, digest)
            continue
        place = PLAIN if view == MIRROR else view.removesuffix(f"_{MIRROR}")
        if place not in made:
            made[place] = _crop(picture, transform, place)
        if place != view:
            made[view] = np.ascontiguousarray(made[place][:, ::-1])
    return {view: made[view] for view in views}


def _crop(picture: Image.Image, transform: Transform, place: str) -> NDArray[np.uint8]:
    if transform.crop_mode == LETTERBOX and place == PLAIN:
        return letterboxed(picture, transform)
    if place == PLAIN:
        return apply_transform(picture, transform)
    if place not in CORNERS:
        raise ValueError(place)
    height, width = transform.input_size
    full_width, full_height = resized_size(picture.size, transform)
    left = full_width - width if place.endswith("right") else 0
    top = full_height - height if place.startswith("bottom") else 0
    return crop_resized(picture, transform, (left, top, width, height))


def _is_whole(transform: Transform) -> bool:
    return transform.crop_mode == "squash" and resized_size((1, 1), transform) == transform.input_size[::-1]
