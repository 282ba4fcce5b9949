"""The YAML file of a dataset in the form of Ultralytics' YOLO: its splits and the names of its classes.

``path`` is the dataset's folder, ``train``, ``val`` and ``test`` are folders of images, or lists of them in text files,
``names`` a list or a map of the classes by number, ``nc`` their number (https://docs.ultralytics.com/datasets/detect).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError, lost_server
from stackbone.extract.datasets.boxes.faults import name_problem
from stackbone.extract.datasets.boxes.image_paths import inside, within
from stackbone.extract.datasets.files.files import Files, content_of, what_to_do

YAMLS = (".yaml", ".yml")
SPLIT_KEYS = {"train": "train", "val": "validation", "test": "test"}

_MOST_BYTES = 1 << 18  # of thousands of classes; what aliases repeat is never walked through
_MOST_CLASSES = 100_000
_SPLIT, _NAMES = (re.compile(pattern, re.MULTILINE) for pattern in (rb"^(train|val|test)\s*:", rb"^(names|nc)\s*:"))


@dataclass(frozen=True)
class YoloConfig:
    """What such a file says.

    Attributes
    ----------
    names
        Of the classes, by number.
    places
        Split to the folders of images, or text files that list them, that are there; relative to the dataset's folder.
    missing
        What it names and is not there, or lies outside of the folder, as it names it.
    has_points
        Whether key points follow each box.
    """

    names: Mapping[int, str]
    places: Mapping[str, list[str]]
    missing: list[str]
    has_points: bool = False


def looks_like_yolo(files: Files, file: str) -> bool | None:
    """Return whether a YAML file names splits and classes; None if it is too large, or cannot be read."""
    try:
        content = content_of(files, file, _MOST_BYTES)
    except OSError as exc:
        if lost_server(exc):
            raise
        return None
    return bool(_SPLIT.search(content) and _NAMES.search(content))


def read_config(files: Files, name: str) -> YoloConfig:
    """Read the YAML file of a dataset; whatever it names is looked for within its folder alone.

    Raises
    ------
    DatasetError
        If it is no such file, or names no split that is in its folder.
    """
    file = files.place(name)
    content = _parse(files, name)
    bases = list(dict.fromkeys([*_base(files, content.get("path")), ""]))
    places: dict[str, list[str]] = {}
    missing: list[str] = []
    for key, split in SPLIT_KEYS.items():
        said = content.get(key) or []
        for each in said if isinstance(said, list) else [said]:
            if type(each) is not str:
                raise _wrong(file, f"no text under {key!r}", "a folder of images, or a list of folders")
            place = _find(files, bases, each)
            if place is None:
                missing.append(each)
            else:
                places.setdefault(split, []).append(place)
    if not places:
        named = f"the splits {', '.join(map(repr, missing[:3]))}" if missing else "no split"
        raise _wrong(
            file, f"{named}, and none is in {str(files.place())!r}", "folders of images under train, val or test there"
        )
    return YoloConfig(_names(file, content), places, missing, "kpt_shape" in content)


def _base(files: Files, path: object) -> list[str]:
    """Return the folder that ``path`` names, if it lies in the dataset's; elsewhere nothing is looked for."""
    found = within(files, path) if type(path) is str and path else None
    return [found] if found is not None and files.is_folder(found) else []


def _find(files: Files, bases: list[str], said: str) -> str | None:
    """Return a folder of images or a text file; ``../train/images`` may lie in the folder, as for Ultralytics."""
    for name in (said, said.removeprefix("../")):
        for base in bases:
            place = within(files, name) if os.path.isabs(name) else inside(base, name)
            if place is not None and (files.is_folder(place) or files.is_file(place)):
                return place
    return None


def _names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    said = content.get("names") or []
    if not said and type(content.get("nc")) is str and content["nc"].strip().isdecimal():
        return {number: f"class_{number}" for number in range(min(int(content["nc"][:7]), _MOST_CLASSES))}
    pairs = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    names = {}
    for key, name in pairs:
        is_number = type(key) is int or (type(key) is str and key.isascii() and key.isdecimal() and len(key) < 10)
        if not is_number or type(name) is not str or not name.strip():
            raise _wrong(file, "names that are not one text for each number", "names: [cat, dog], or a map by number")
        if problem := name_problem(name):
            raise _wrong(file, f"{problem}, under names", "text that can be kept")
        names[int(key)] = name.strip()
    if not names:
        raise _wrong(file, "no names of classes", "names: [cat, dog], or a map by number")
    return names


def _parse(files: Files, name: str) -> Mapping[str, Any]:
    import yaml

    file = files.place(name)
    try:
        # Texts, lists and maps alone: no tag makes an object, and 'no' or '1e3' stay the names that they are.
        content = yaml.load(content_of(files, name, _MOST_BYTES), Loader=yaml.BaseLoader)
    except OSError as exc:
        if lost_server(exc):
            raise
        msg = (
            f"Cannot read {str(file)!r}: {exc.strerror or exc}. Expected the YAML file of a dataset. {what_to_do(exc)}"
        )
        raise DatasetError(msg) from exc
    except RecursionError as exc:
        raise _wrong(file, "YAML that is nested too deeply", "path, train, val and names") from exc
    except (yaml.YAMLError, ValueError, TypeError) as exc:
        raise _wrong(file, f"no YAML ({' '.join(str(exc).split())[:200]})", "path, train, val and names") from exc
    if not isinstance(content, dict):
        raise _wrong(file, "no map", "path, train, val and names")
    return content


def _wrong(file: Path, found: str, expected: str) -> DatasetError:
    return DatasetError(f"{str(file)!r} holds {found}. Expected {expected}. Mend the file, or name the images' folder.")
