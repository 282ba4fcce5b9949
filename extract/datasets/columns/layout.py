"""Which tables of images a user named, and of which split each is.

One file or several; a folder that Hugging Face's datasets saved (``state.json``, or ``dataset_dict.json`` and a folder
for each split), their cache of one (``dataset_info.json`` beside Arrow files), or one in the layout of their hub:
shards ``train-00000-of-00002.parquet`` in the folder, in ``data/``, or in folders of splits or configurations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError, lost_server
from stackbone.cache.splits import SPLITS, UNLABELLED, canonical_splits, is_container_name, role_of
from stackbone.cache.text import from_json
from stackbone.extract.containers.opening import open_source
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.tree import quoted
from stackbone.extract.datasets.folders.walking import METADATA, is_folder

PARQUET, ARROW = (".parquet", ".pq"), (".arrow",)
TYPED = PARQUET + ARROW

_STATE, _DICT, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_SHARD = re.compile(r"(?P<name>.+?)-(?P<at>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]{8,})?", re.ASCII)
_PASSED_OVER = re.compile(r"cache-.*|tmp.*", re.ASCII)
_MOST_FOLDERS = 100  # of splits and configurations; class folders may be a thousand, and are not all looked into
_MOST_SEEN = 1000  # images beside tables: more are a folder of images
_MOST_JSON = 64 << 20


@dataclass(frozen=True)
class Layout:
    """Tables of images.

    Attributes
    ----------
    root
        Absolute folder that paths are relative to.
    title
        What the dataset is called unless the user says otherwise.
    files
        Their paths, posix-style, in the order of names.
    splits
        The split of each file; '' for none.
    notes
        What was believed.
    n_images
        How many image files were seen beside them.
    is_saved
        Whether Hugging Face's library saved them, as its own files tell.
    is_folder
        Whether a folder was named, and not these files.
    """

    root: Path
    title: str
    files: Sequence[str]
    splits: Sequence[str]
    notes: Sequence[str] = ()
    n_images: int = 0
    is_saved: bool = False
    is_folder: bool = False


@dataclass
class Names:
    """Names in a folder: of tables, of folders, of what Hugging Face's library writes beside; and a count of images."""

    tables: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    n_images: int = 0

    def add(self, name: str) -> None:
        """Take a file's name."""
        if name.startswith(".") or name.lower() in METADATA or _PASSED_OVER.fullmatch(name):
            return
        if name.lower().endswith(TYPED):
            self.tables.append(name)
        elif name in (_STATE, _DICT, _INFO):
            self.marks.add(name)
        else:
            self.n_images += is_image_name(name)


def is_of_library(name: str) -> bool:
    """Return whether Hugging Face's library gives a file this name beside tables: it tells of them, or was cached."""
    return name in (_STATE, _DICT, _INFO) or _PASSED_OVER.fullmatch(name) is not None


Scan = Callable[[str, int], Names]
"""Returns the names in a folder, posix-style below the dataset's, where as many images as that are enough."""


def layout_of_files(paths: Sequence[str]) -> Layout:
    """Return the layout of files that were named one by one: of a single one the folder that it lies in."""
    root = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    files = sorted({Path(path).relative_to(root).as_posix() for path in paths})
    title = Path(paths[0]).stem if len(paths) == 1 else f"{root.name}-list"
    return layout_at(root, title, files)


def layout_at(root: Path, title: str, files: Sequence[str]) -> Layout:
    """Return the layout of files whose paths in a folder are known."""
    return _with_splits(Layout(root, title, files, [""] * len(files)))


def layout_of_folder(folder: Path, scan: Scan | None = None) -> Layout | None:
    """Return the layout of a folder; None if it is none of these, as far as names tell.

    Parameters
    ----------
    folder
        The folder.
    scan
        Tells the names in it and below; by default the disk does.

    Raises
    ------
    DatasetError
        If what the library wrote beside is damaged, or names a file that is missing.
    """
    scan = scan or partial(_scan, folder)
    names = scan("", _MOST_SEEN)
    saved = _saved(folder, names, scan)
    files, n_images = (saved, 0) if saved else _shards(names, scan)
    if not files:
        return None
    found = Layout(folder, folder.name, files, [""] * len(files), (), n_images, is_saved=bool(saved), is_folder=True)
    return _with_splits(found)


def _saved(folder: Path, names: Names, scan: Scan) -> list[str]:
    """Return the files of a dataset that was saved in a folder; none where the library's own files are not there."""
    if _DICT not in names.marks:
        return _files_of_state(folder, "", scan) if {_STATE, _INFO} <= names.marks else []
    splits = _read_json(folder / _DICT).get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) and _is_plain(name) for name in splits):
        raise _damaged(folder / _DICT, "it names no splits")
    return [file for name in splits for file in _files_of_state(folder, f"{name}/", scan)]


def _files_of_state(folder: Path, prefix: str, scan: Scan) -> list[str]:
    place = folder / prefix.rstrip("/") if prefix else folder
    state = _read_json(place / _STATE)
    if state.get("_indices_data_files"):
        msg = (
            f"The dataset in {str(place)!r} was saved with a choice of its rows beside them. Expected the "
            "rows themselves. Load it, and save it again by dataset.flatten_indices().save_to_disk(FOLDER)."
        )
        raise DatasetError(msg)
    files: Any = state.get("_data_files")
    try:
        names = [str(each["filename"]) for each in files or ()]
    except (TypeError, KeyError) as exc:
        raise _damaged(place / _STATE, "it names no files") from exc
    there = scan(prefix.rstrip("/"), _MOST_SEEN).tables
    for name in names:
        if not _is_plain(name) or name not in there:
            raise _damaged(place / _STATE, f"it names the file {name[:200]!r}, and that is not there")
    return [prefix + name for name in names]


def _is_plain(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and name not in (".", "..")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        with open_source(os.fspath(file)) as stream:
            found = from_json(stream.read(_MOST_JSON))
    except (OSError, ValueError) as exc:
        if lost_server(exc):  # no fault of the file's
            raise
        raise _damaged(file, getattr(exc, "strerror", None) or str(exc)) from exc
    if not isinstance(found, dict):
        raise _damaged(file, "it holds no JSON object")
    return found


def _damaged(file: Path, what: str) -> DatasetError:
    return DatasetError(
        f"Cannot use {str(file)!r}: {what}. Expected what Hugging Face's datasets write by save_to_disk. Save or copy "
        "the dataset again."
    )


def _shards(names: Names, scan: Scan) -> tuple[list[str], int]:
    """Return the tables in a folder in the layout of the hub, and how many images were seen beside them."""
    if not names.tables and "data" in names.folders:
        inner = scan("data", _MOST_SEEN)
        names.tables = [f"data/{name}" for name in inner.tables]
        names.n_images += inner.n_images
    if names.tables or names.n_images or len(names.folders) > _MOST_FOLDERS:
        return _of_one_kind(names.tables), names.n_images
    return _of_one_kind(_tables_below(names.folders, scan)), 0


def _tables_below(names: Iterable[str], scan: Scan) -> list[str]:
    """Return the tables in folders of splits or configurations; none where images lie in any."""
    found: list[str] = []
    deeper: list[str] = []
    for name in sorted(names):
        inner = scan(name, 1)
        if inner.n_images or len(inner.folders) > _MOST_FOLDERS:
            return []
        found += [f"{name}/{each}" for each in inner.tables]
        deeper += [] if inner.tables else [f"{name}/{each}" for each in inner.folders]
    for name in deeper[:_MOST_FOLDERS]:
        inner = scan(name, 1)
        if inner.n_images:
            return []
        found += [f"{name}/{each}" for each in inner.tables]
    return found


def _scan(folder: Path, path: str, most_images: int) -> Names:
    names = Names()
    try:
        with os.scandir(folder / path) as entries:
            for entry in entries:
                name = entry.name
                if is_folder(entry):
                    if not name.startswith("."):
                        names.folders.append(name)
                else:
                    names.add(name)
                if names.n_images >= most_images:
                    break
    except OSError:
        return Names()
    return names


def _of_one_kind(files: list[str]) -> list[str]:
    """Return the Parquet files, or where there are none the Arrow files: the same is often there as both."""
    parquet = [file for file in files if file.lower().endswith(PARQUET)]
    return sorted(parquet or files)


def _with_splits(layout: Layout) -> Layout:
    """Return the layout with the split of each file, as its name or that of its folder says."""
    named = [_said(file) for file in layout.files]
    canonical = canonical_splits(name for name in named if name)
    known = {name for name in canonical.values() if name in SPLITS}
    if not known:
        return replace(layout, notes=[*layout.notes, *_missing(layout.files)])
    splits = []
    for name in named:
        role = role_of(name)
        splits.append("" if role and role.split == UNLABELLED else canonical.get(name, ""))
    called: dict[str, list[str]] = {}
    for name, split in canonical.items():
        called.setdefault(split, []).extend([name] if name != split and split in SPLITS else [])
    notes = [
        f"{quoted(names)} {'is' if len(names) == 1 else 'are'} the split {split!r}."
        for split, names in sorted(called.items())
        if names
    ]
    return replace(layout, splits=splits, notes=[*layout.notes, *notes, *_missing(layout.files)])


def _said(file: str) -> str:
    """Return what the name of a file says of its split, or that of its folder; '' for nothing."""
    *folders, name = file.split("/")
    stem = os.path.splitext(name)[0]
    shard = _SHARD.fullmatch(stem)
    for each in (shard["name"] if shard else stem, *reversed(folders)):
        for words in (each, re.split(r"[-_.]", each)[-1]):
            role = role_of(words)
            if role and role.plain:
                return words
    own = shard["name"] if shard else folders[-1] if folders else ""
    return "" if is_container_name(own) else own


def _missing(files: Sequence[str]) -> list[str]:
    """Say which shards are not there, as the names of the others tell."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        if shard := _SHARD.fullmatch(os.path.splitext(name)[0]):
            found.setdefault((folder, shard["name"], int(shard["of"])), set()).add(int(shard["at"]))
    notes = []
    for (_, name, of), there in sorted(found.items()):
        gone = of - len(there)
        if gone > 0:
            first = next(at for at in range(of) if at not in there)
            notes.append(
                f"{gone:,} of the {of:,} shards of {name!r} {'is' if gone == 1 else 'are'} not there, such as "
                f"'{name}-{first:05}-of-{of:05}'."
            )
    return notes
