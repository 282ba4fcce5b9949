"""Folders that are not entered: those of systems and devices, what Stackbone wrote, and what the user leaves out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler"),
        *("recycled", "system volume information", "lost+found", "found.000", "lost.dir", "__pycache__"),
    }
)
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "autorun.inf"})
_FEATURE_SET = re.compile(r".+-[0-9a-f]{12}")


def is_system_folder(name: str) -> bool:
    """Return whether an operating system, a file server or an archiver makes folders of this name, never a person."""
    return name.lower() in _SYSTEM_FOLDERS


def is_system_file(name: str) -> bool:
    """Return whether an operating system puts files of this name beside a person's."""
    return name.lower() in _SYSTEM_FILES


def is_cache(subfolders: Collection[str]) -> bool:
    """Return whether a folder with these folders in it is a cache, see cache/FORMAT.md."""
    return "datasets" in subfolders and any(_FEATURE_SET.fullmatch(name) for name in subfolders)


def is_figures(images: Collection[str], others: Collection[str]) -> bool:
    """Return whether a folder with these files is one that ``--figures`` wrote: each figure as SVG and as PNG."""
    return "models.png" in images and all(
        name.endswith(".png") and f"{name.removesuffix('.png')}.svg" in others for name in images
    )


class Exclusion:
    """Paths that patterns name as in a shell: ``*``, ``?`` and ``[abc]`` stay within a name, ``**`` is any folders.

    A pattern without a slash matches files and folders of that name anywhere; one with a slash matches paths from the
    dataset's folder. Whatever lies in an excluded folder is excluded.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._used: set[int] = set()
        self._patterns = []
        for pattern in patterns:
            plain = unicodedata.normalize("NFC", pattern).rstrip("/").removesuffix("/**")
            anywhere = "/" not in plain
            names = plain.removeprefix("./").lstrip("/").split("/")
            self._patterns.append(["**", *names] if anywhere else names)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def covers(self, folder: str, name: str) -> bool:
        """Return whether a file or folder is excluded: `name`, in the folder of the path `folder` (``a/b/``)."""
        path = folder + name
        names = (path if path.isascii() else unicodedata.normalize("NFC", path)).split("/")
        found = {number for number, pattern in enumerate(self._patterns) if _matches(names, pattern)}
        self._used |= found
        return bool(found)

    @property
    def unused(self) -> list[str]:
        """Patterns that excluded none of what was asked about."""
        return [pattern for number, pattern in enumerate(self.patterns) if number not in self._used]

    def covers_path(self, path: str) -> bool:
        """Return whether a path, or a folder above it, is excluded."""
        folder = ""
        for name in path.split("/"):
            if self.covers(folder, name):
                return True
            folder += f"{name}/"
        return False


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether names match a pattern; where they stop to, the last ``**`` before takes one name more."""
    at = part = resume = 0
    after = None  # the part behind the last `**`
    while at < len(names):
        if part < len(pattern) and pattern[part] == "**":
            part, resume = part + 1, at
            after = part
        elif part < len(pattern) and fnmatchcase(names[at], pattern[part]):
            at, part = at + 1, part + 1
        elif after is not None:
            resume += 1
            at, part = resume, after
        else:
            return False
    return all(each == "**" for each in pattern[part:])
