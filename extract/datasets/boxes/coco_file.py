"""A file of annotations in the form of COCO: categories, images, and an annotation for each object.

``bbox`` holds left, top, width and height in pixels, the top left corner of the image being (0, 0); ``iscrowd`` is 1 of
a box around many objects (https://cocodataset.org, *Data format*; Lin et al. 2014, arXiv 1405.0312).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.errors import DatasetError
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.building import Builder
from stackbone.extract.datasets.boxes.faults import NO_NUMBER, Faults
from stackbone.extract.datasets.tables.cells import list_text

_MOST_BYTES = 1 << 30  # the 118,287 images of COCO 2017 take 448 MB, most of them for outlines
_MOST = 1e9  # pixels
_KEYS = (
    *("images", "annotations", "categories"),
    *("id", "file_name", "width", "height", "name", "image_id", "category_id", "bbox", "iscrowd"),
)
_NOT_DECLARED = "with objects of a category that is not declared"
_SAME_NUMBER = "that share their number with another image"

_Key = int | str


@dataclass(frozen=True)
class CocoImage:
    """What a file says of one image.

    Attributes
    ----------
    name
        Its ``file_name``.
    cell
        The categories of its objects, as a cell of a list has them; '' where that is not certain.
    boxes
        None where they cannot be taken.
    """

    name: str
    cell: str
    boxes: ImageBoxes | None


@dataclass
class _Objects:
    """The objects of an image, while they are gathered."""

    name: str
    size: tuple[int, int]
    builder: Builder
    names: list[str] = field(default_factory=list)
    is_certain: bool = True


def read_coco(file: Path, name: str, faults: Faults, *, labelled: bool = True) -> tuple[list[CocoImage], list[str]]:
    """Return the images of a file in its order, and what is to be said of it, a sentence each.

    Parameters
    ----------
    file, name
        Of the annotations; the latter is for notes.
    faults
        Where what is wrong with single images and boxes is counted.
    labelled
        Whether labels are asked for; else no annotation is looked at.

    Raises
    ------
    DatasetError
        If it is no such file, or says two things of one category.
    """
    content = _parse(file)
    images = _images(file, content, faults)
    if not labelled:
        return [CocoImage(each.name, "", None) for each in images.values()], []
    notes = list(_add_objects(file, name, content, images, faults))
    return [
        CocoImage(each.name, list_text(each.names) if each.is_certain else "", each.builder.boxes(*each.size))
        for each in images.values()
    ], notes


def _images(file: Path, content: Mapping[str, Any], faults: Faults) -> dict[_Key, _Objects]:
    """Return the images by their numbers; of several of one number each is kept, without anything said of it."""
    images: dict[_Key, _Objects] = {}
    for place, each in _objects(file, content, "images"):
        key, name = _key(file, each, "id", f"images[{place}]"), each.get("file_name")
        if type(name) is not str or not name:
            raise _wrong(file, f"images[{place}] without a file_name", "the name of an image's file")
        found = _Objects(name, (_pixels(each.get("width")), _pixels(each.get("height"))), Builder(name, faults))
        twin = images.get(key)
        if twin is None:
            images[key] = found
        elif twin.name != name:
            for both in (twin, found):
                both.builder.fail(_SAME_NUMBER)
                both.is_certain = False
            images[f"{key} of {place}"] = found  # no annotation finds it
    return images


def _add_objects(
    file: Path, name: str, content: Mapping[str, Any], images: Mapping[_Key, _Objects], faults: Faults
) -> Iterator[str]:
    categories = _categories(file, content)
    seen: dict[_Key, int] = {}
    n_lost = n_same = n_other = 0
    for place, each in _objects(file, content, "annotations"):
        where = f"annotations[{place}]"
        image = images.get(_key(file, each, "image_id", where))
        if image is None:
            n_lost += 1
            continue
        category, box = categories.get(_key(file, each, "category_id", where)), each.get("bbox")
        if "id" in each:
            said = hash((each["image_id"], each["category_id"], repr(box)[:200]))
            number = _key(file, each, "id", where)
            if seen.get(number) == said:
                n_same += 1
                continue
            n_other += number in seen
            seen[number] = said
        if category is None:
            image.builder.fail(_NOT_DECLARED)
            image.is_certain = False
            continue
        image.names.append(category)
        _add(image.builder, box, category, is_crowd=each.get("iscrowd") == 1)
    if n_lost:
        yield f"{counted(n_lost, 'annotation')} in {name!r} of images that it does not list."
    if n_same:
        yield f"{counted(n_same, 'annotation')} in {name!r} listed twice, each counted once."
    if n_other:
        yield f"{counted(n_other, 'annotation')} in {name!r} with a number that another one has; both count."


def _add(builder: Builder, box: object, category: str, *, is_crowd: bool) -> None:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        builder.fail(NO_NUMBER)
        return
    left, top, width, height = box
    builder.add((left, top, left + width, top + height), category, is_crowd=is_crowd)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < _MOST  # NaN is not


def _categories(file: Path, content: Mapping[str, Any]) -> dict[_Key, str]:
    names: dict[_Key, str] = {}
    for place, each in _objects(file, content, "categories"):
        key, name = _key(file, each, "id", f"categories[{place}]"), each.get("name")
        if type(name) is not str or not name.strip() or "\0" in name:
            raise _wrong(file, f"categories[{place}] without a name", "a name for each category")
        if names.setdefault(key, name.strip()) != name.strip():
            found = f"the category {key!r} named {names[key]!r} and {name.strip()!r}"
            raise _wrong(file, found, "each number of a category once")
    return names


def _parse(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_regular(file, _MOST_BYTES), object_hook=_what_counts)
    except OSError as exc:
        msg = f"Cannot read {str(file)!r}: {exc}. Expected a file of COCO's annotations. Check it and its permissions."
        raise DatasetError(msg) from exc
    except RecursionError as exc:
        raise _wrong(file, "JSON that is nested too deeply", "annotations of COCO") from exc
    except ValueError as exc:
        raise _wrong(file, f"no JSON ({exc})", "annotations of COCO") from exc
    if not isinstance(content, dict):
        raise _wrong(file, f"a JSON {type(content).__name__}", "an object of images, annotations and categories")
    return content


def _what_counts(read: dict[str, Any]) -> dict[str, Any]:
    """Return what is looked at of an object, as soon as it is read: outlines take most of a file."""
    return {key: read[key] for key in _KEYS if key in read}


def _objects(file: Path, content: Mapping[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    listed = content.get(key)
    if not isinstance(listed, list):
        raise _wrong(file, f"no list of {key}", "lists of images, annotations and categories")
    for place, each in enumerate(listed):
        if not isinstance(each, dict):
            raise _wrong(file, f"{key}[{place}], a JSON {type(each).__name__}", "an object")
        yield place, each


def _key(file: Path, read: Mapping[str, Any], name: str, where: str) -> _Key:
    key = read.get(name)
    if type(key) is int or type(key) is str:
        return key
    raise _wrong(file, f"{where} without {name}", "a number")


def _pixels(value: object) -> int:
    return value if type(value) is int and 0 < value < 1 << 31 else 0


def _wrong(file: Path, found: str, expected: str) -> DatasetError:
    return DatasetError(
        f"{str(file)!r} holds {found}. Expected {expected}. Mend the file, or take it out of the folder."
    )
