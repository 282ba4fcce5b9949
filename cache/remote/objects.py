"""Whole objects behind URLs: put, got in one piece or by range, copied and removed."""

from __future__ import annotations

from typing import Any

from stackbone.cache.errors import RemoteError
from stackbone.cache.remote.failures import Failure, ask, judged, refused
from stackbone.cache.remote.listing import RemoteEntry, look_at
from stackbone.cache.remote.server import Server, server_of


def get_object(url: str, start: int = 0, end: int | None = None) -> bytes:
    """Return bytes of an object, from `start` to before `end`, or fewer where it ends earlier.

    One request gets them. So they are all of one version of it, even while another writer replaces it.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    RemoteError, UsageError
        As of `ask` and `server_of`.
    """
    server = server_of(url)

    def get() -> bytes:
        with server.files() as files:
            content = bytes(files.cat_file(server.path, start=start, end=end))
        is_all = end is not None and len(content) > end - start  # a web server that gives no ranges
        return content[start:end] if is_all else content

    try:
        return ask(url, "read", get)
    except RemoteError as exc:
        if exc.__cause__ is not None and _is_beyond_its_end(exc.__cause__):
            return b""
        raise


def put_object(url: str, content: bytes, *, never_changes: bool = False) -> None:
    """Write an object whole, in the place of what is there, and make sure that all of it arrived.

    The put is repeated where its answer is lost, or where half of it arrived; but never over what another writer has
    put there meanwhile, which is as if theirs had come last.

    Parameters
    ----------
    never_changes
        Whether nobody writes other bytes under this name. It is put again without a look, then, which saves a request.

    Raises
    ------
    RemoteError, UsageError
        As of `ask` and `server_of`; also if there is no such bucket, or the server is for reading alone.
    """
    server = server_of(url)
    before = None if never_changes else ask(url, "find", lambda: _look(server))
    is_begun = False

    def put() -> None:
        nonlocal before, is_begun
        if is_begun and not never_changes:
            now = _look(server)
            if now != before and not _is_begun_of(server, content):
                return  # it arrived before its answer was lost, or others have written or removed it since
            before = now
        is_begun = True
        with server.files() as files:
            files.pipe_file(server.path, content)
        now = _look(server)
        if now is None or now.size == len(content):  # None: merged away, or forgotten, by another machine since
            return
        if never_changes or _is_begun_of(server, content):
            message = f"{now.size} bytes arrived of {len(content):,}"
            raise ConnectionError(message)

    try:
        ask(url, "write", put)
    except FileNotFoundError as exc:
        raise refused(url, "write", Failure.NO_BUCKET, "not found") from exc


def copy_object(seen: RemoteEntry, to: str) -> None:
    """Copy an object within its server, and make sure that all of it is there.

    Parameters
    ----------
    seen
        What the server said of it.
    to
        The URL of the copy, which nobody else writes.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    RemoteError, UsageError
        As of `ask` and `server_of`.
    """
    source, target = server_of(seen.url), server_of(to)

    def copy() -> None:
        with source.files() as files:
            files.cp_file(source.path, target.path)
        copied = look_at(target)
        if copied.size != seen.size and look_at(source) == seen:  # else it was replaced, as the caller will find
            message = f"{copied.size} bytes arrived of {seen.size}"
            raise ConnectionError(message)

    ask(seen.url, "copy", copy)


def delete_object(seen: RemoteEntry) -> bool:
    """Remove an object, unless others have written it since; nothing happens where it is gone.

    Parameters
    ----------
    seen
        What `stat_remote` said of it. A listing does not do: it tells the time more finely.

    Returns
    -------
    bool
        Whether it is gone: not so if others have written it since it was seen.

    Raises
    ------
    RemoteError, UsageError
        As of `ask` and `server_of`.
    """
    server = server_of(seen.url)
    is_begun = False

    def delete() -> bool:
        nonlocal is_begun
        if is_begun and (now := _look(server)) != seen:  # it was removed before the answer was lost
            return now is None
        is_begun = True
        with server.files() as files:
            files.rm_file(server.path)
        return True

    try:
        return ask(seen.url, "remove", delete)
    except FileNotFoundError:
        return True


def _look(server: Server) -> RemoteEntry | None:
    """Return what a server says of an object, asked once; None if it is not there."""
    try:
        return look_at(server)
    except Exception as exc:
        if judged(exc)[0] is Failure.ABSENT:
            return None
        raise


def _is_begun_of(server: Server, content: bytes) -> bool:
    """Return whether what lies there is less than all of a content, cut short. No whole file of ours begins another."""
    try:
        with server.files() as files:
            there = bytes(files.cat_file(server.path, start=0, end=len(content)))
    except Exception as exc:
        if _is_beyond_its_end(exc):
            return True
        if judged(exc)[0] is Failure.ABSENT:
            return False
        raise
    return len(there) < len(content) and content.startswith(there)


def _is_beyond_its_end(exc: Any) -> bool:  # noqa: ANN401 - whatever a library raises
    """Return whether a server says of a range that nothing of the object is in it, as of any range of an empty one."""
    codes = {"InvalidRange", "416"}
    while exc is not None:
        response = getattr(exc, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else getattr(exc, "status", None)
        if str(code or getattr(exc, "code", None)) in codes:
            return True
        exc = exc.__cause__
    return False
