"""Photographs with boxes drawn over them, as files to look at."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, ImageDraw, ImageFont

from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import ImageError, UsageError
from stackbone.cache.progress import Steps
from stackbone.cache.text import typed
from stackbone.extract.containers.reading import read_image
from stackbone.extract.images.decode import decode, quiet_pillow
from stackbone.extract.images.limits import USUAL, Limits

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#9a8500", "#7a5195")
"""Of classes by number, from the beginning again after the last (Okabe & Ito 2008, as in reports)."""

_QUALITY = 92
_MARK = b"Boxes drawn by stackbone predict --draw"  # a comment in each file, by which it may be replaced
_START = 4096  # bytes of a file, in which it stands
_JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class LabelledBox:
    """One box.

    Attributes
    ----------
    corners
        Left, top, right, bottom in pixels of the upright image.
    text
        What stands at its corner.
    color
        Number of its colour: that of its class.
    """

    corners: tuple[float, float, float, float]
    text: str
    color: int


@dataclass(frozen=True)
class PictureToDraw:
    """One photograph with its boxes.

    Attributes
    ----------
    path
        Where it lies.
    name
        Its path below the folder that pictures are written to, as the dataset lists it.
    digest
        SHA-256 of its bytes.
    boxes
        The topmost last.
    """

    path: Path
    name: str
    digest: bytes
    boxes: Sequence[LabelledBox]


def places_of(pictures: Sequence[PictureToDraw], folder: Path) -> list[Path]:
    """Return the file of each picture in a folder: JPEG, named and placed as the photograph.

    Raises
    ------
    UsageError
        If one would replace a photograph, or any file that was not written here; or if two would be one file.
    """
    places = [folder / _below(each.name) for each in pictures]
    photographs = {_identity(each.path): each.path for each in pictures}
    names: dict[Path, str] = {}
    for each, place in zip(pictures, places, strict=True):
        if place in names:
            message = (
                f"the pictures of {names[place]!r} and {each.name!r} would both be {place}: rename one of the "
                "photographs, or predict them one after the other with --draw and two folders"
            )
            raise UsageError(message)
        names[place] = each.name
        there = _identity(place)
        if there is not None and there in photographs:
            message = f"--draw {typed(folder)} would replace the photograph {photographs[there]}: name another folder"
            raise UsageError(message)
        if os.path.lexists(place) and not _is_ours(place):
            message = (
                f"--draw {typed(folder)} would replace {place}, which it did not write: name a new folder, or an empty "
                "one"
            )
            raise UsageError(message)
    return places


def draw_pictures(
    pictures: Sequence[PictureToDraw], folder: Path, *, limits: Limits = USUAL, on_progress: Steps | None = None
) -> list[tuple[str, str]]:
    """Write each photograph with its boxes to a folder; return (name, reason) of those that could not be read.

    Raises
    ------
    UsageError
        As of `places_of`; nothing was written then.
    CacheError
        If a file cannot be written.
    """
    places = places_of(pictures, folder)
    failed = []
    with quiet_pillow(limits):
        for number, (each, place) in enumerate(zip(pictures, places, strict=True), start=1):
            try:
                picture = decode(read_image(str(each.path), each.digest), limits=limits)
            except ImageError as exc:
                failed.append((each.name, str(exc)))
                continue
            file = io.BytesIO()
            draw_boxes(picture, each.boxes).save(file, "JPEG", quality=_QUALITY, comment=_MARK)
            write_output(place, file.getvalue())
            if on_progress:
                on_progress(number, len(pictures))
    return failed


def draw_boxes(picture: Image.Image, boxes: Sequence[LabelledBox]) -> Image.Image:
    """Return a copy of an RGB picture with boxes, each with its text on a ground of its colour."""
    drawn = picture.copy()
    canvas = ImageDraw.Draw(drawn)
    side = max(drawn.size)
    line, size = max(2, side // 320), max(11, side // 45)
    font = ImageFont.load_default(size)
    for box in boxes:
        color = COLORS[box.color % len(COLORS)]
        left, top, right, bottom = box.corners
        canvas.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color, width=line)
    for box in boxes:
        color = COLORS[box.color % len(COLORS)]
        left, top, _, bottom = box.corners
        text = _drawable(box.text)
        _, _, width, height = (int(each) for each in canvas.textbbox((0, 0), text, font=font))
        width, height = width + line * 2, height + line * 2
        x = min(max(0, left), max(0, drawn.width - width))
        y = top - height if top >= height else min(bottom, drawn.height - height)
        canvas.rectangle((x, y, x + width, y + height), fill=color)
        canvas.text((x + line, y + line), text, fill="white", font=font)
    return drawn


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other, by whatever path it is reached; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _is_ours(place: Path) -> bool:
    """Return whether a file is a picture that was drawn here."""
    try:
        with open_regular(place) as stream:
            return _MARK in stream.read(_START) and not place.is_symlink()
    except OSError:
        return False


def _below(name: str) -> Path:
    """Return a path that leads nowhere but below a folder, and ends like a JPEG file."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    path = Path(*(part.replace(":", "_") for part in parts))
    return path if path.suffix.lower() in _JPEG else path.with_name(f"{path.name}.jpg")


def _drawable(text: str) -> str:
    """Return text in one line without characters that no font has."""
    return "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
