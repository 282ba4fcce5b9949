"""The file system of a URL, as fsspec has it, with one policy for waiting and asking again: ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MethodType
from typing import Any

from stackbone.cache.errors import RemoteError, UsageError
from stackbone.cache.remote.url import is_web, protocol_of, refuse_password, shown

_CONNECT_S, _READ_S = 5, 30
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
_MEMORY = threading.RLock()  # a file in memory is one object, whose position all threads share


@dataclass(frozen=True)
class Server:
    """Where a URL leads.

    Attributes
    ----------
    url
        As it was given.
    path
        Its name in the file system.
    protocol
        Such as ``s3``.
    """

    url: str
    path: str
    protocol: str
    _files: Any  # an fsspec file system: it has no types

    @property
    def is_web(self) -> bool:
        """Whether it is a web server, which lists names alone and need not give ranges."""
        return is_web(self.url)

    @contextmanager
    def files(self) -> Iterator[Any]:
        """Yield the file system, for one request."""
        with _MEMORY if self.protocol == "memory" else nullcontext():
            yield self._files


def server_of(url: str) -> Server:
    """Return where a URL leads; nothing is asked of the server yet.

    Raises
    ------
    UsageError
        If the protocol is none that fsspec knows, its library is not installed, or the URL holds a password.
    """
    protocol = protocol_of(url)
    refuse_password(url)
    return Server(url, *_opened(url, protocol))


def _opened(url: str, protocol: str) -> tuple[str, str, Any]:
    from fsspec import get_filesystem_class

    try:
        kind: Any = _over_http(get_filesystem_class(protocol))
    except (ImportError, ValueError) as exc:
        extra = _EXTRAS.get(protocol)
        way_out = f"Run `pip install 'stackbone[{extra}]'`" if extra else "Install what fsspec names for it"
        if isinstance(exc, ValueError):
            way_out = "Use one that it knows, such as s3://, gs://, http://; a folder is named without any"
        message = f"{shown(url)} needs what is not here for {protocol}:// (fsspec: {shown(str(exc))}). {way_out}"
        raise UsageError(message) from exc
    try:
        files = kind(**_options(kind, protocol, url))
    except MemoryError:
        raise
    except Exception as exc:  # whatever its library thinks of the environment
        message = f"could not set up {protocol}:// for {shown(url)} ({type(exc).__name__}). Check its configuration"
        raise RemoteError(message) from exc
    if protocol in ("s3", "s3a"):
        files.retries = 1
    elif protocol in ("gs", "gcs"):
        _ask_once(files)
    return str(kind._strip_protocol(url)), protocol, files


def _over_http(kind: Any) -> Any:  # noqa: ANN401 - fsspec has no types
    """Return gcsfs' class that speaks HTTP alone: another first asks by gRPC, for a minute where that is blocked.

    Only that one knows zonal buckets; it is taken where the environment says anything about it.
    """
    if "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT" in os.environ:
        return kind
    return next((each for each in kind.__mro__ if each.__module__ == "gcsfs.core"), kind)


def _ask_once(files: Any) -> None:  # noqa: ANN401 - fsspec has no types
    """Let gcsfs ask each time once: it would ask six times by itself, and wait up to half a minute between."""
    for name in ("_request", "_get_file_request"):
        asked = getattr(getattr(type(files), name, None), "__wrapped__", None)
        if asked is not None:
            setattr(files, name, MethodType(asked, files))


def _options(kind: Any, protocol: str, url: str) -> dict[str, Any]:  # noqa: ANN401 - fsspec has no types
    """Return what a file system is made with: nobody's listings are kept for long, and only we ask again."""
    from fsspec.config import conf

    options: dict[str, Any] = {"use_listings_cache": False, **kind._get_kwargs_from_urls(url)}
    mine = conf.get(protocol, {})
    if protocol in ("s3", "s3a"):
        times = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"total_max_attempts": 1}}
        options["config_kwargs"] = {**times, **mine.get("config_kwargs", {})}
        if "endpoint_url" not in mine and (endpoint := os.environ.get("AWS_ENDPOINT_URL")):
            options["endpoint_url"] = endpoint  # botocore reads it from version 1.31 on
    elif protocol in ("http", "https", "gs", "gcs"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
        if protocol in ("gs", "gcs"):
            options["requests_timeout"] = mine.get("requests_timeout", timeout)
        else:
            options["client_kwargs"] = {"timeout": timeout, **mine.get("client_kwargs", {})}
    return options
