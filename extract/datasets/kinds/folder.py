"""Folders of images: which files are images, and what the folders above them say.

Entries a million files must cost little more than reading their names, so a file is judged by its
extension alone: never opened, and never asked for its status.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.images.formats import decodable_extensions

IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff"),
    *(".webp", ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""What Pillow reads without a plug-in; HEIC and camera raw files are not among them."""

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


def is_image_name(name: str) -> bool:
    """Return whether a file's name has an image's extension, in any case of letters."""
    return name.lower().endswith((*IMAGE_EXTENSIONS, *decodable_extensions()))


def list_images(root: Path) -> list[str]:
    """List the images below a folder.

    Hidden files and folders and the clutter of operating systems are passed over. Links to files and
    folders are followed; a folder that is met again below itself is not entered a second time.

    Parameters
    ----------
    root
        Absolute folder to list.

    Returns
    -------
    list of str
        Posix-style paths relative to `root`, sorted by code point. Bytes that are not UTF-8 are kept as
        lone surrogates (``os.fsencode`` gives the bytes back).

    Raises
    ------
    DatasetError
        A folder cannot be read, or no image was found.
    """
    images: list[str] = []
    others: Counter[str] = Counter()
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        prefix, above = pending.pop()
        folder = os.path.join(root, prefix)
        try:
            status = os.stat(folder)
            chain = above | {(status.st_dev, status.st_ino)}
            # A link loop: all that is below has been listed through the folder's first appearance.
            if chain == above:
                continue
            subfolders, found, rest = _scan(folder)
        except OSError as exc:
            msg = (
                f"Cannot list the folder {folder!r}: {exc.strerror or exc}. Every folder of a dataset must "
                "be readable. Give yourself read and execute permission on it, or move it out of the dataset."
            )
            raise DatasetError(msg) from exc
        images.extend(prefix + name for name in found)
        others.update(os.path.splitext(name)[1].lower() for name in rest)
        pending.extend((f"{prefix}{name}/", chain) for name in subfolders)
    if not images:
        raise DatasetError(_no_images_message(root, others))
    images.sort()
    return images


def label_by_folder(root: Path, paths: list[str]) -> Entries:
    """Read labels and splits from the folders that hold the images.

    The first folder below the root is the class, however deep the image lies below it. When every
    top-level folder with images has a split's name (``train``, ``val``, ``test``, ...), these folders are
    the split and the class is the folder below. An image with no class folder above it, be it beside
    class folders in the root or directly in a split's folder, is unlabelled.

    Parameters
    ----------
    root
        The folder that was listed, for messages.
    paths
        Posix-style paths relative to `root`.

    Returns
    -------
    Entries
        Label and split of each path, in the order of `paths`; no groups.

    Raises
    ------
    DatasetError
        Split folders that hold class folders stand beside other folders, so that it cannot be told which
        level the classes are on.
    """
    has_splits = _has_split_level(root, paths)
    known: dict[str, tuple[str, str, str]] = {}
    entries: Entries = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder not in known:
            levels = folder.split("/") if folder else []
            split = SPLIT_FOLDERS[levels.pop(0).lower()] if has_splits and levels else ""
            known[folder] = (levels[0] if levels else "", split, "")
        entries[path] = known[folder]
    return entries


class Anchor:
    """Turns paths as people write them into posix-style paths relative to one absolute folder."""

    def __init__(self, root: Path) -> None:
        self._folder = root.as_posix().rstrip("/") + "/"
        self._real: dict[str, str] = {}

    def relative(self, path: str) -> str:
        """Return `path` relative to the folder, or absolute where it lies outside."""
        path = path.replace(os.sep, "/")
        # Nearly every path of a large table is already as it should be.
        if not os.path.isabs(path) and "./" not in path and "//" not in path:
            return path
        full = self._folder + path if not os.path.isabs(path) else path
        if "/../" in full:
            # Behind a link, `..` is not the folder written before it: only the file system knows.
            folder, _, name = full.rpartition("/")
            full = f"{self._resolve(folder)}/{name}"
        full = os.path.normpath(full).replace(os.sep, "/")
        for prefix in (self._folder, self._resolve(self._folder) + "/"):
            if full.startswith(prefix):
                return full[len(prefix) :]
        return full

    def _resolve(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder).replace(os.sep, "/").rstrip("/")
        return self._real[folder]


def _scan(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Names in one folder: its subfolders, its images, and the other files."""
    subfolders: list[str] = []
    images: list[str] = []
    others: list[str] = []
    with os.scandir(folder) as found:
        for entry in found:
            name = entry.name
            if name.startswith(".") or name.lower() in _CLUTTER:
                continue
            if _is_folder(entry):
                subfolders.append(name)
            # A broken link stays in the list, to be reported when it is read; a pipe or a device with an
            # image's name would block the reader for ever.
            elif is_image_name(name) and (entry.is_symlink() or entry.is_file()):
                images.append(name)
            else:
                others.append(name)
    return subfolders, images, others


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a place that may not be looked at
        return False


def _has_split_level(root: Path, paths: list[str]) -> bool:
    tops: set[str] = set()
    tops_with_images: set[str] = set()
    for path in paths:
        top, *below = path.split("/", 2)
        if below:
            tops.add(top)
            if len(below) == 1:
                tops_with_images.add(top)
    splits = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    # One class may well be called "test", or "train" between "bus" and "car": then it holds images itself.
    nested = splits - tops_with_images
    if splits != tops and len({SPLIT_FOLDERS[top.lower()] for top in nested}) > 1:
        msg = (
            f"In {str(root)!r} the split folders {_quoted(nested)} stand beside {_quoted(tops - splits)}. "
            "Expected at the top either split folders only (train, validation, test, each with class folders "
            "inside) or class folders only. Move the other folders out, or list the images in a CSV file "
            "with the columns path,label,split and pass it with --labels."
        )
        raise DatasetError(msg)
    return bool(splits) and splits == tops


def _quoted(names: set[str], at_most: int = 5) -> str:
    shown = [repr(name) for name in sorted(names)[:at_most]]
    if len(names) > at_most:
        shown.append(f"{len(names) - at_most} more")
    return ", ".join(shown)


def _no_images_message(root: Path, others: Counter[str]) -> str:
    looked_for = f"Looked, in all its subfolders, for files ending in {' '.join(IMAGE_EXTENSIONS)}."
    if not others:
        found = f"the folder {str(root)!r} is empty, hidden files aside"
        return f"No images: {found}. {looked_for} Check the path, or name another folder."
    found = ", ".join(
        f"{repr(ending) if ending else 'no extension'} ({count})" for ending, count in others.most_common(5)
    )
    advice = "Point to the folder that holds the images"
    if others.keys() & {".csv", ".tsv", ".parquet"}:
        advice += ", or give the table file itself"
    elif others.keys() & {".zip", ".tar", ".gz", ".tgz"}:
        advice += ", or unpack the archive first"
    else:
        advice += ", or convert the files to JPEG or PNG"
    return f"No images in {str(root)!r}; found instead: {found}. {looked_for} {advice}."


def _read(request: Request) -> Listing:
    folder = Path(request.paths[0])
    return Listing(folder.name, folder, label_by_folder(folder, list_images(folder)))


KIND = DatasetKind(
    name="folder",
    what="a folder of class folders",
    recognises=lambda request: request.path is not None and request.path.is_dir(),
    read=_read,
    place=30,
)
