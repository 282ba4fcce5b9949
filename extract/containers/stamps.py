"""Stamps of files on this machine and behind URLs: equal ones mean unchanged bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stackbone.cache import FileStamps
from stackbone.cache.disk.digest import read_stamps
from stackbone.cache.disk.reading import place_in
from stackbone.cache.errors import RemoteError, lost_server
from stackbone.cache.remote.listing import list_folder, stat_remote
from stackbone.cache.remote.url import is_url, is_web, unescaped

_MOST_ASKED = 8  # files of one folder that the server is asked for one by one; of more the folder is listed
_AT_ONCE = 16
_NOTHING = (-1, -1, -1, -1)

_Told = tuple[tuple[int, int, int, int], str]


def stamps_of(root: str, files: Sequence[str]) -> tuple[FileStamps, list[str]]:
    """Return the stamps of files as they are now, and for each ``""`` or why it has none.

    Parameters
    ----------
    root, files
        Folder or URL, and paths relative to it, or absolute, or URLs. One that follows itself is asked for once.

    Raises
    ------
    RemoteError
        If a server cannot be asked, or refuses these credentials.
    """
    if not is_url(root) and not any("://" in file for file in files):
        return read_stamps(files, root)
    places = [place_in(root, file) for file in files]
    remote = dict.fromkeys(place for place in places if is_url(place))
    told = _told(list(remote))
    local = [place for place in places if place not in remote]
    stamps, reasons = read_stamps(local)
    values, at = np.full((len(places), 4), -1, np.int64), 0
    said: list[str] = []
    for row, place in enumerate(places):
        if place in told:
            values[row], reason = told[place]
        else:
            values[row], reason = stamps.values[at], reasons[at]
            at += 1
        said.append(reason)
    return FileStamps(values), said


def _told(urls: Sequence[str]) -> dict[str, _Told]:
    """Return what servers say of files: of many in one folder by a listing, of others one by one."""
    folders = Counter(url.rpartition("/")[0] for url in urls)
    listed = {folder: list_folder(folder)[0] for folder, n in folders.items() if n > _MOST_ASKED}
    told: dict[str, _Told] = {}
    unknown = []
    for url in urls:
        folder, _, name = url.rpartition("/")
        entry = listed.get(folder, {}).get(unescaped(name) if is_web(url) else name)
        if entry is not None and entry.stamp[0] >= 0:
            told[url] = (entry.stamp, "")
        elif folder in listed and entry is None and listed[folder]:
            told[url] = (_NOTHING, "is not there")
        else:
            unknown.append(url)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told |= zip(unknown, pool.map(_asked, unknown), strict=True)
    return told


def _asked(url: str) -> _Told:
    try:
        return stat_remote(url).stamp, ""
    except (FileNotFoundError, RemoteError) as exc:
        if lost_server(exc):
            raise
        return _NOTHING, exc.strerror or str(exc)
