"""An annotation of Pascal VOC: an image's objects and their boxes.

An ``annotation`` element holds an ``object`` element for each object: its kind in ``name``, in ``difficult`` whether it
is too hard to count, in ``bndbox`` the first and the last column and row of pixels that it covers, counted from 1
(Everingham et al. 2010, Int. J. Comput. Vis. 88, 303-338, and the development kit's documentation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.boxes.building import Builder
from stackbone.extract.datasets.boxes.faults import NO_NUMBER, SWAPPED, Faults
from stackbone.extract.datasets.files.files import what_to_do
from stackbone.extract.datasets.tables.cells import list_text

NO_BOX = "with objects that have no box"
A_POINT = "that are a single pixel, as a click leaves them"

MOST_BYTES = 1 << 20
"""Of an annotation: those of thousands of objects."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FIRST = 1  # column or row of pixels
_ROOT = "annotation"
_BEGINNING = re.compile(rf"<{_ROOT}[\s>]".encode())


@dataclass(frozen=True)
class Annotation:
    """What an annotation says of its image.

    Attributes
    ----------
    cell
        The kinds of its objects, as a cell of a list has them.
    boxes
        None where they cannot be taken.
    """

    cell: str
    boxes: ImageBoxes | None


def read_annotation(found: bytes | OSError, file: Path, name: str, faults: Faults) -> Annotation:
    """Read one annotation.

    Parameters
    ----------
    found
        Its bytes, or why there are none.
    file, name
        Of the annotation, for messages and for notes.
    faults
        Where what is wrong with its boxes is counted.

    Raises
    ------
    DatasetError
        If it is none, or could not be read. No document type is read, so that no entity is expanded and no other file
        opened.
    """
    root = _parse(checked(found, file), file)
    objects = [each for each in root.iter("object")]
    names = [(each.findtext("name") or "").strip() for each in objects]
    if root.tag != _ROOT or not all(names):
        held = f"the root {root.tag!r}" if root.tag != _ROOT else "an object without a name"
        msg = (
            f"The annotation {str(file)!r} has {held}. Expected an annotation of Pascal VOC, with a "
            "name for each object. Mend or remove it."
        )
        raise DatasetError(msg)
    builder = Builder(name, faults)
    for each, kind in zip(objects, names, strict=True):
        _add(builder, each, kind)
    return Annotation(list_text(names), builder.boxes(_number(root, "size/width"), _number(root, "size/height")))


def checked(found: bytes | OSError, file: Path) -> bytes:
    """Return the bytes of a file of Pascal VOC; `DatasetError` if they could not be read."""
    if isinstance(found, OSError):
        why = found.strerror or found
        msg = f"Cannot read {str(file)!r}: {why}. Expected a file of Pascal VOC. {what_to_do(found)}"
        raise DatasetError(msg) from found
    return found


def looks_like_annotation(content: bytes) -> bool:
    """Return whether XML is an annotation by its root, in any encoding, and however damaged it is after that."""
    try:
        ElementTree.fromstring(content, ElementTree.XMLParser(target=_RootAlone()))
    except _RootError as exc:
        return exc.tag == _ROOT
    except (_DocumentTypeError, ElementTree.ParseError, ValueError, LookupError):
        return _BEGINNING.search(content) is not None
    return False


def _add(builder: Builder, element: ElementTree.Element, kind: str) -> None:
    box = element.find("bndbox")  # its own: a part, such as a person's head, has another
    if box is None:
        builder.fail(NO_BOX)
        return
    try:
        left, top, right, bottom = (float(box.findtext(name) or "nan") for name in _CORNERS)
    except ValueError:
        builder.fail(NO_NUMBER)
        return
    if left > right or top > bottom:
        builder.fail(SWAPPED)
    elif left == right and top == bottom:
        builder.leave_out(A_POINT)
    else:
        is_difficult = (element.findtext("difficult") or "").strip() == "1"
        builder.add((left - _FIRST, top - _FIRST, right, bottom), kind, is_difficult=is_difficult)


def _number(root: ElementTree.Element, path: str) -> int:
    """Return a number of pixels; 0 where there is none."""
    text = (root.findtext(path) or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _parse(content: bytes, file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_Plain()))
    except _DocumentTypeError:
        msg = f"The annotation {str(file)!r} declares a document type. Expected plain XML, as Pascal VOC has. Mend it."
        raise DatasetError(msg) from None
    except (ElementTree.ParseError, ValueError, LookupError) as exc:
        msg = (
            f"The annotation {str(file)!r} is not XML ({exc}). Expected an annotation of Pascal VOC. Mend or remove it."
        )
        raise DatasetError(msg) from exc


class _DocumentTypeError(Exception):
    """There is a document type, in which entities are declared."""


class _Plain(ElementTree.TreeBuilder):
    """Refuses a document type, in whatever encoding, before anything in it has an effect."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise _DocumentTypeError


class _RootError(Exception):
    """The root was read; no more was asked for."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class _RootAlone(_Plain):
    """Reads up to the root."""

    def start(self, tag: str, attrs: dict[str, str], /) -> NoReturn:
        raise _RootError(tag)
