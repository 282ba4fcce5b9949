"""Whole objects behind URLs: put, got in one piece or by range, copied and removed."""

from __future__ import annotations

from typing import Any

from stackbone.cache.errors import RemoteError
from stackbone.cache.remote.failures import Failure, ask, refused
from stackbone.cache.remote.server import server_of


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


def put_object(url: str, content: bytes) -> None:
    """Write an object whole, in the place of what is there, and make sure that all of it arrived.

    Raises
    ------
    RemoteError, UsageError
        As of `ask` and `server_of`; also if there is no such bucket, or the server is for reading alone.
    """
    server = server_of(url)

    def put() -> None:
        with server.files() as files:
            files.pipe_file(server.path, content)
            there = files.info(server.path).get("size")
        if there != len(content):
            message = f"{there} bytes arrived of {len(content):,}"
            raise ConnectionError(message)

    try:
        ask(url, "write", put)
    except FileNotFoundError as exc:
        raise refused(url, "write", Failure.NO_BUCKET, "not found") from exc


def copy_object(url: str, to: str) -> None:
    """Copy an object within its server, and make sure that all of it is there; errors as `get_object`."""
    source, target = server_of(url), server_of(to)

    def copy() -> None:
        with source.files() as files:
            files.cp_file(source.path, target.path)
            sizes = [files.info(each.path).get("size") for each in (source, target)]
        if sizes[0] != sizes[1]:
            message = f"{sizes[1]} bytes arrived of {sizes[0]}"
            raise ConnectionError(message)

    ask(url, "copy", copy)


def delete_object(url: str) -> None:
    """Remove an object; nothing happens where there is none; errors as `get_object`."""
    server = server_of(url)

    def delete() -> None:
        with server.files() as files:
            files.rm_file(server.path)

    try:
        ask(url, "remove", delete)
    except FileNotFoundError:
        return


def _is_beyond_its_end(exc: Any) -> bool:  # noqa: ANN401 - whatever a library raises
    """Return whether a server says of a range that nothing of the object is in it, as of any range of an empty one."""
    codes = {"InvalidRange", "416"}
    while exc is not None:
        response = getattr(exc, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else getattr(exc, "status", None)
        if str(code) in codes:
            return True
        exc = exc.__cause__
    return False
