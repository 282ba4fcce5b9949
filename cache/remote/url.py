"""URLs as text: what is one, its parts, and how it is shown without the secrets that may be in it."""

from __future__ import annotations

import re

from stackbone.cache.text import printable

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"(?<=://)[^/@\s'\"]+@")
_QUERY = re.compile(r"\?[^\s'\"]+=[^\s'\"]+")


def is_url(text: object) -> bool:
    """Return whether a text names a place behind a protocol, such as ``s3://bucket/photos`` or ``memory://photos``."""
    return isinstance(text, str) and _URL.match(text) is not None


def protocol_of(url: str) -> str:
    """Return ``s3`` of ``s3://bucket/photos``, in lower case; ValueError if it is no URL."""
    found = _URL.match(url)
    if found is None:
        message = f"{url!r} is no URL"
        raise ValueError(message)
    return found["protocol"].lower()


def joined(url: str, name: str) -> str:
    """Return the URL of what has a name, posix and relative, in the folder of another."""
    return f"{url.rstrip('/')}/{name}" if not url.endswith("://") else f"{url}{name}"


def shown(text: str) -> str:
    """Return text for a message: without users and passwords, signatures in queries, and control characters."""
    return printable(_QUERY.sub("?...", _USER.sub("", text)))
