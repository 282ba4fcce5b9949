"""A decoded picture as upright RGB: the rules of docs/datasets.md for every kind of pixels."""

from __future__ import annotations

from PIL import ExifTags, Image

from stackbone.extract.images.levels import Declared, is_deep, to_levels
from stackbone.extract.images.strips import in_strips

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(picture: Image.Image, said: Declared | None = None) -> tuple[Image.Image, str]:
    """Return a loaded picture turned as its EXIF tag says, as RGB, and what is to be said of how, or ''.

    Transparency is laid over white, deep samples are scaled (`levels.to_levels`). A broken EXIF block counts as none.

    Parameters
    ----------
    said
        What its file says of its samples.

    Raises
    ------
    ImageError
        If a floating-point value is no finite number.
    """
    picture = _oriented(picture)
    if is_deep(picture):
        return to_levels(picture, said or Declared())
    if picture.has_transparency_data:
        return in_strips(picture, _over_white), ""
    return picture.convert("RGB"), ""


def _oriented(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # as many kinds as there are ways to break a block of tags
        return picture
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _over_white(picture: Image.Image) -> Image.Image:
    over = picture.convert("RGBA")
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert("RGB")
