"""Listings of folders on object stores, remembered for a moment: a command looks at the same ones again and again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from stackbone.cache.remote.listing import RemoteEntry, list_folder

_FRESH_S = 2.0  # a command's looks at one folder fall into it; what others write meanwhile is as if written after


@dataclass(frozen=True)
class Listing:
    """What lay in a folder a moment ago: files by name, and the names of folders."""

    files: dict[str, RemoteEntry]
    folders: set[str]


@dataclass
class Listings:
    """The listings that a process has seen lately. Whatever it writes or removes itself outdates those that had it."""

    _seen: dict[str, tuple[float, Listing]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _n_outdated: int = 0

    def of(self, folder: str) -> Listing:
        """Return what lies in the folder of a URL; empty where there is no such folder; errors as `list_remote`."""
        with self._lock:
            at, listing = self._seen.get(folder, (0.0, None))
            n_outdated = self._n_outdated
        if listing is not None and time.monotonic() - at < _FRESH_S:
            return listing
        began = time.monotonic()
        listing = Listing(*list_folder(folder))
        with self._lock:
            if n_outdated == self._n_outdated:  # else it may be from before a write of our own
                self._seen[folder] = (began, listing)
        return listing

    def outdate(self, url: str) -> None:
        """Forget the listings of the folders above a URL, which was written or removed, or found to be gone."""
        with self._lock:
            self._n_outdated += 1
            while "/" in url.split("://", 1)[1]:
                url = url.rpartition("/")[0]
                self._seen.pop(url, None)

    def outdate_below(self, folder: str) -> None:
        """Forget the listings of a folder, of those above it, and of all that are in it: others may have written."""
        self.outdate(f"{folder}/")
        with self._lock:
            for each in [url for url in self._seen if url.startswith(f"{folder}/")]:
                del self._seen[each]


LISTINGS = Listings()
"""Of this process: one writer in it must not look at what another has outdated."""
