"""A file of annotations in the form of COCO: categories, images, and an annotation for each object.

``bbox`` holds left, top, width and height in pixels, the top left corner of the image being (0, 0); ``iscrowd`` is 1 of
a box around many objects (https://cocodataset.org, *Data format*; Lin et al. 2014, arXiv 1405.0312).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.building import Builder
from stackbone.extract.datasets.boxes.coco_json import Keep, read_lists, wrong
from stackbone.extract.datasets.boxes.faults import NO_NUMBER, Faults, name_problem, shown
from stackbone.extract.datasets.tables.cells import list_text

_MOST = 1e9  # pixels
_LISTS = ("images", "annotations", "categories")
_NOT_DECLARED = "with objects of a category that is not declared"
_SAME_NUMBER = "that share their number with another image"

_Key = int | str
"""The number of an image or a category, also where it is a text."""

_Place = _Key | tuple[_Key, int]
"""The number of an image; of one whose number another has, with its place in the list."""


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


class _Image(NamedTuple):
    """What is kept of an element of ``images``."""

    key: _Key
    name: str
    size: tuple[int, int]


class _Annotation(NamedTuple):
    """What is kept of an element of ``annotations``; `key` is None where it has no number, `box` where it is none."""

    key: _Key | None
    image: _Key
    category: _Key
    box: tuple[float, float, float, float] | None
    is_crowd: bool


class _Category(NamedTuple):
    """What is kept of an element of ``categories``."""

    key: _Key
    name: str


@dataclass(slots=True)
class _Objects:
    """The objects of an image, while they are gathered."""

    name: str
    size: tuple[int, int]
    builder: Builder
    names: list[str] = field(default_factory=list)
    is_certain: bool = True


def read_coco(
    found: BinaryIO | OSError, file: Path, name: str, faults: Faults, *, labelled: bool = True
) -> tuple[list[CocoImage], list[str]]:
    """Return the images of a file in its order, and what is to be said of it, a sentence each.

    Parameters
    ----------
    found
        The file, open to be read, or why it is not.
    file, name
        Of the annotations, for messages and for notes.
    faults
        Where what is wrong with single images and boxes is counted.
    labelled
        Whether labels are asked for; else no annotation is looked at.

    Raises
    ------
    DatasetError
        If it is no such file, or says two things of one category.
    """
    content = read_lists(file, found, _kept(file, labelled=labelled))
    for each in _LISTS if labelled else _LISTS[:1]:
        if each not in content:
            raise wrong(file, f"no list of {each}", "lists of images, annotations and categories")
    images = _images(content["images"], faults)
    if not labelled:
        return [CocoImage(each.name, "", None) for each in images.values()], []
    notes = list(_add_objects(file, name, content, images, faults))
    return [
        CocoImage(each.name, list_text(each.names) if each.is_certain else "", each.builder.boxes(*each.size))
        for each in images.values()
    ], notes


def _kept(file: Path, *, labelled: bool) -> dict[str, Keep[Any]]:
    """Return what is kept of the elements of each list; they raise `DatasetError` of one that is none."""

    def image(place: int, read: Any) -> _Image:  # noqa: ANN401 - any JSON
        where = f"images[{place}]"
        name = _object(file, read, where).get("file_name")
        if type(name) is not str or not name:
            raise wrong(file, f"{where} without a file_name", "the name of an image's file")
        return _Image(_key(file, read, "id", where), name, (_pixels(read.get("width")), _pixels(read.get("height"))))

    def annotation(place: int, read: Any) -> _Annotation:  # noqa: ANN401
        where = f"annotations[{place}]"
        image_key = _key(file, _object(file, read, where), "image_id", where)
        category = _key(file, read, "category_id", where)
        key = _key(file, read, "id", where) if "id" in read else None
        return _Annotation(key, image_key, category, _box(read.get("bbox")), read.get("iscrowd") == 1)

    def category(place: int, read: Any) -> _Category:  # noqa: ANN401
        where = f"categories[{place}]"
        key, name = _key(file, _object(file, read, where), "id", where), read.get("name")
        if problem := name_problem(name):
            raise wrong(file, f"{where} with {problem}", "a name for each category, of text that can be kept")
        return _Category(key, name.strip())

    if not labelled:
        return {"images": image}
    return {"images": image, "annotations": annotation, "categories": category}


def _images(listed: Sequence[_Image], faults: Faults) -> dict[_Place, _Objects]:
    """Return the images by their numbers; of several of one number each is kept, without anything said of it."""
    images: dict[_Place, _Objects] = {}
    for place, each in enumerate(listed):
        found = _Objects(each.name, each.size, Builder(each.name, faults))
        twin = images.get(each.key)
        if twin is None:
            images[each.key] = found
        elif twin.name != each.name:
            for both in (twin, found):
                both.builder.fail(_SAME_NUMBER)
                both.is_certain = False
            images[each.key, place] = found  # no annotation finds it
    return images


def _add_objects(
    file: Path, name: str, content: Mapping[str, Any], images: Mapping[_Place, _Objects], faults: Faults
) -> Iterator[str]:
    categories = _categories(file, content["categories"])
    seen: dict[_Key, _Annotation] = {}
    n_lost = n_same = n_other = 0
    each: _Annotation
    for each in content["annotations"]:
        image = images.get(each.image)
        if image is None:
            n_lost += 1
            continue
        if each.key is not None:
            if (before := seen.get(each.key)) is not None and before[:4] == each[:4]:
                n_same += 1
                continue
            n_other += each.key in seen
            seen[each.key] = each
        category = categories.get(each.category)
        if category is None:
            image.builder.fail(_NOT_DECLARED)
            image.is_certain = False
            continue
        image.names.append(category)
        if each.box is None:
            image.builder.fail(NO_NUMBER)
            continue
        left, top, width, height = each.box
        image.builder.add((left, top, left + width, top + height), category, is_crowd=each.is_crowd)
    if n_lost:
        yield f"{counted(n_lost, 'annotation')} in {name!r} of images that it does not list."
    if n_same:
        yield f"{counted(n_same, 'annotation')} in {name!r} listed twice, each counted once."
    if n_other:
        yield f"{counted(n_other, 'annotation')} in {name!r} with a number that another one has; both count."


def _categories(file: Path, listed: Sequence[_Category]) -> dict[_Key, str]:
    names: dict[_Key, str] = {}
    for key, name in listed:
        if names.setdefault(key, name) != name:
            found = f"the category {key!r} named {names[key]!r} and {name!r}"
            raise wrong(file, found, "each number of a category once")
    return names


def _object(file: Path, read: object, where: str) -> Mapping[str, Any]:
    if not isinstance(read, dict):
        raise wrong(file, f"{where}, a JSON {type(read).__name__}", "an object")
    return read


def _key(file: Path, read: Mapping[str, Any], name: str, where: str) -> _Key:
    key = read.get(name)
    if type(key) is float and key.is_integer():  # as pandas writes numbers of which one was missing
        return int(key)
    if type(key) is int or type(key) is str:
        return key
    found = f"{where} without {name}" if key is None else f"{where} with the {name} {shown(key)}"
    raise wrong(file, found, "a whole number")


def _box(said: object) -> tuple[float, float, float, float] | None:
    if not isinstance(said, list) or len(said) != 4 or not all(map(_is_number, said)):
        return None
    left, top, width, height = said
    return left, top, width, height


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < _MOST  # NaN is not


def _pixels(value: object) -> int:
    whole = int(value) if type(value) is float and value.is_integer() else value
    return whole if type(whole) is int and 0 < whole < 1 << 31 else 0
