"""A text file of labels in the form of Ultralytics' YOLO: a line for each object of an image.

``class cx cy w h``: the number of its class, and the centre, the width and the height of its box as shares of the
image's width and height (https://docs.ultralytics.com/datasets/detect). Of an outline, ``class x1 y1 x2 y2 ...``, the
box around it is taken (https://docs.ultralytics.com/datasets/segment). An empty file is of an image without objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.extract.datasets.boxes.building import Builder
from stackbone.extract.datasets.boxes.faults import Faults
from stackbone.extract.datasets.files.files import WithheldError, what_to_do
from stackbone.extract.datasets.tables.cells import list_text

_NO_LINE = "with lines that are no class and numbers"
_UNKNOWN = "with objects of a class that has no name"
_NO_SHARE = "with numbers that are not shares from 0 to 1"
_NOT_READ = "whose files of labels cannot be read"
_WITHHELD = "whose files of labels are not taken out of their archive"
_TWICE = "that are annotated twice"

MOST_BYTES = 16 << 20
"""Of one image's labels."""

_PEEKED = 1 << 16  # bytes of a file that may be of labels
_BOX = 5  # numbers of a line
_OUTLINE = 7  # at least, of three points
_SLACK = 0.01  # beyond 0 and 1, as Ultralytics lets it pass; what reaches beyond the image is cut


@dataclass(frozen=True)
class YoloLabels:
    """What a file of labels says of its image.

    Attributes
    ----------
    cell
        The classes of its objects, as a cell of a list has them; '' where that is not certain.
    boxes
        Corners are shares of width and height; None where they cannot be taken.
    """

    cell: str
    boxes: ImageBoxes | None


def read_labels(
    found: bytes | OSError, name: str, names: Mapping[int, str], faults: Faults, *, has_points: bool
) -> YoloLabels:
    """Read the labels of an image; where there is no file, it shows no object.

    Parameters
    ----------
    found
        The bytes of the labels, or why there are none.
    name
        Of their file, for notes.
    names
        Of the classes, by number.
    faults
        Where what is wrong is counted.
    has_points
        Whether key points follow each box.
    """
    builder = Builder(name, faults)
    if isinstance(found, OSError):
        why = f"Cannot read {name!r}: {found.strerror or found}. {what_to_do(found)}"
        builder.fail(_WITHHELD if isinstance(found, WithheldError) else _NOT_READ, why)
        return YoloLabels("", builder.boxes())
    lines = found.decode("utf-8-sig", "replace").splitlines()
    shown: list[str] = []
    is_certain = True
    lines = [line for each in lines if (line := each.strip())]
    distinct = list(dict.fromkeys(lines))
    for line in distinct:
        numbers = _numbers(line)
        kind = names.get(int(numbers[0])) if numbers and numbers[0].is_integer() else None
        if kind is None or numbers is None:
            builder.fail(_NO_LINE if numbers is None else _UNKNOWN)
            is_certain = False
            continue
        shown.append(kind)
        _add(builder, numbers[1:_BOX] if has_points else numbers[1:], kind)
    for _ in lines[len(distinct) :]:
        builder.leave_out(_TWICE)
    return YoloLabels(list_text(shown) if is_certain else "", builder.boxes())


def looks_like_labels(content: bytes) -> bool:
    """Return whether the text of a file begins with a line of labels, as no caption or note does."""
    lines = content[:_PEEKED].decode("utf-8-sig", "replace").splitlines()
    numbers = next((_numbers(line) for line in lines if line.strip()), None)
    return numbers is not None and numbers[0].is_integer()


def _numbers(line: str) -> list[float] | None:
    """Return the numbers of a line; None unless there are as many as of a box, or of an outline, or more."""
    try:
        numbers = list(map(float, line.split()))
    except ValueError:
        return None
    return numbers if len(numbers) >= _BOX else None


def _add(builder: Builder, shares: Sequence[float], kind: str) -> None:
    if len(shares) != _BOX - 1 and (len(shares) < _OUTLINE - 1 or len(shares) % 2):
        builder.fail(_NO_LINE)
    elif not all(-_SLACK <= share <= 1 + _SLACK for share in shares):  # nor is NaN
        builder.fail(_NO_SHARE)
    elif len(shares) == _BOX - 1:
        x, y, width, height = shares
        builder.add((x - width / 2, y - height / 2, x + width / 2, y + height / 2), kind)
    else:
        xs, ys = shares[::2], shares[1::2]
        builder.add((min(xs), min(ys), max(xs), max(ys)), kind)
