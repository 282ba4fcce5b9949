"""What lies behind a URL: names, sizes, and stamps that change with the bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stackbone.cache.remote.failures import ask
from stackbone.cache.remote.server import Server, server_of
from stackbone.cache.remote.url import join_url, unescaped

RemoteStamp = tuple[int, int, int, int]
"""Size in bytes, time of modification in ns, 0, 63 bits of the ETag's SHA-256; a size of -1 proves nothing.

Where the ETag stands for the bytes the time is 0: a listing tells parts of a second that the answer for one file lacks.
"""

_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "content_md5")


@dataclass(frozen=True)
class RemoteEntry:
    """A file behind a URL.

    Attributes
    ----------
    url
        Of the file.
    size
        In bytes; -1 where the server does not say.
    stamp
        Equal stamps mean unchanged bytes; see `RemoteStamp`.
    modified_ns
        When it was written, in ns since 1970; 0 where the server does not say.
    """

    url: str
    size: int
    stamp: RemoteStamp
    modified_ns: int = 0


def stat_remote(url: str) -> RemoteEntry:
    """Return what the server says of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file; a folder is none.
    RemoteError, UsageError
        As of `ask` and `server_of`.
    """
    server = server_of(url)
    return ask(url, "find", lambda: look_at(server))


def look_at(server: Server) -> RemoteEntry:
    """Return what a server says of a file, asked once; raise what its library does, FileNotFoundError of a folder."""
    with server.files() as files:
        found: Mapping[str, Any] = files.info(server.path)
    if found.get("type") == "directory":
        raise FileNotFoundError(server.url)
    return _entry(server.url, found)


def list_remote(url: str, pattern: str = "*") -> list[RemoteEntry]:
    """Return the files in a folder behind a URL, by name.

    Parameters
    ----------
    url
        The folder.
    pattern
        Of names relative to it: ``*`` and ``?`` stand for what is within one level, ``**`` for levels:
        ``train-*.tar``, ``**/*.jpg``.

    Returns
    -------
    list of RemoteEntry
        Empty where there is no such folder: object stores know none that is empty. Files of a web server have no size
        and prove nothing by their stamps until `stat_remote` asks for each.

    Raises
    ------
    RemoteError, UsageError
        As of `ask` and `server_of`; also if the bucket is not there.
    """
    server = server_of(url)
    names = re.compile(_as_expression(pattern))
    try:
        found = ask(url, "list", lambda: _listed(server, deep="/" in pattern or "**" in pattern))
    except FileNotFoundError:
        return []
    entries = [
        _entry(join_url(url, name), info)
        for name, info in _named(server, found)
        if not _is_folder(info) and names.fullmatch(name)
    ]
    return sorted(entries, key=lambda each: each.url)


def list_folder(url: str) -> tuple[dict[str, RemoteEntry], set[str]]:
    """Return the files in a folder by name, and the names of the folders in it; errors as `list_remote`."""
    server = server_of(url)
    try:
        found = ask(url, "list", lambda: _listed(server, deep=False))
    except FileNotFoundError:
        return {}, set()
    files, folders = {}, set()
    for name, info in _named(server, found):
        if _is_folder(info):
            folders.add(name)
        else:
            files[name] = _entry(join_url(url, name), info)
    return files, folders


def _named(server: Server, found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    told = unescaped if server.is_web else str
    base = told(server.path.rstrip("/"))
    for info in found:
        name = told(str(info["name"])).rstrip("/").removeprefix(base).lstrip("/")
        if name:  # not the folder itself
            yield name, info


def _is_folder(info: Mapping[str, Any]) -> bool:
    """Return whether an entry is a folder, or an empty object that some programs put in the place of one."""
    return info.get("type") == "directory" or str(info["name"]).endswith("/")


def _listed(server: Server, *, deep: bool) -> list[Mapping[str, Any]]:
    with server.files() as files:
        if deep:
            return [*filter(None, files.find(server.path, detail=True).values())]  # of itself nothing is told
        path = f"{server.path.rstrip('/')}/" if server.is_web else server.path
        return [*files.ls(path, detail=True)]


def _entry(url: str, info: Mapping[str, Any]) -> RemoteEntry:
    size = info.get("size")
    size = -1 if size is None else int(size)
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    time_ns = next((_time_ns(info[name]) for name in _TIMES if info.get(name)), 0)
    hashed = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "little") >> 1 if tag else 0
    told_ns = 0 if tag and not tag.startswith("W/") else time_ns  # a weak ETag does not stand for every byte
    return RemoteEntry(url, size, (size if tag or time_ns else -1, told_ns, 0, hashed), time_ns)


def _time_ns(value: object) -> int:
    """Return a time as servers tell it, in ns since 1970; 0 where it cannot be read."""
    from email.utils import parsedate_to_datetime  # which takes its time

    try:
        if isinstance(value, str):
            value = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        return round(value * 10**6) * 1000 if isinstance(value, int | float) else 0
    except (ValueError, OverflowError):
        return 0


def _as_expression(pattern: str) -> str:
    """Return the regular expression of a pattern of names."""
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(each) or re.escape(each) for each in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))
