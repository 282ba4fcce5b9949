"""URLs as text: what is one, its parts, and how it is shown without the secrets that may be in it."""

from __future__ import annotations

import re
from urllib.parse import unquote

from stackbone.cache.errors import UsageError
from stackbone.cache.text import printable

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://")
_ESCAPED = re.compile("(%(?:25|23|3[Ff]|2[Ff]|5[Cc]|[01][0-9A-Fa-f]|7[Ff]))")  # %, #, ?, /, \\ and control characters
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # bytes, as `surrogateescape` has them
_NONE = r"\0"
_CHAIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:://.*)?::[A-Za-z][A-Za-z0-9+.-]*://", re.DOTALL)


def _password(ends: str) -> str:
    """Return the expression of a user and a password, in which slashes and ats may be; a port is none."""
    has_no_port = "|".join(f"(?<={each}://)" for each in ("s3", "s3a", "gs", "gcs"))
    return rf"(?:{has_no_port}|(?![^/@:]*:\d{{1,5}}[/?]))[^/@:\[{ends}]*:[^{ends}]*@"


def _secrets(ends: str) -> re.Pattern[str]:
    """Return the expression of what is not shown of a URL, in which some characters cannot be."""
    return re.compile(rf"(?<=://)(?:{_password(ends)}|[^/@{ends}]+@)|\?[^{ends}]+=[^{ends}]+", re.IGNORECASE)


_SECRETS_IN_URL, _SECRETS_IN_TEXT = _secrets(_NONE), _secrets(r"\s'\"")
_WITH_PASSWORD = re.compile(rf"[^:]+://{_password(_NONE)}", re.IGNORECASE)
_SECRET = re.compile(
    r"://[^/@\s]*:[^/@\s]*@|[?&;](?:x-(?:amz|goog|oss|cos|obs|ms)-(?:signature|credential|security-token)|signature|sig|"
    r"awsaccesskeyid|googleaccessid|ossaccesskeyid|policy|key-pair-id|hmac|(?:[a-z]+[-_])?(?:token|api[-_]?key|secret)|"
    r"auth|password|passwd|pwd)=|[?&;]key=AIza",
    re.IGNORECASE,
)


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


def is_chain(text: str) -> bool:
    """Return whether a text is URLs one within another, as fsspec has them: ``simplecache::s3://bucket/photos``."""
    return _CHAIN.match(text) is not None


def has_password(url: str) -> bool:
    """Return whether a URL holds a user and a password: some of those that servers give hold slashes."""
    return _WITH_PASSWORD.match(url) is not None


def refuse_password(url: str) -> None:
    """Raise `UsageError` if a URL holds a password."""
    if has_password(url):
        message = (
            f"{shown(url)} was given with a password in it, which would be kept wherever the URL is. Give it without; "
            "fsspec reads credentials from the environment or its own configuration"
        )
        raise UsageError(message)


def is_web(url: str) -> bool:
    """Return whether a URL is that of a web server, in which characters may be escaped: ``big%20cat``."""
    return protocol_of(url) in ("http", "https")


def unescaped(text: str) -> str:
    """Return the URL of a web server, or a name in it, as its files are called.

    What would part a URL or a path stays escaped, and so do control characters, and bytes that are not UTF-8.
    """
    return "".join(part if _ESCAPED.fullmatch(part) else _unquoted(part) for part in _ESCAPED.split(text))


def _unquoted(text: str) -> str:
    return _NO_UTF8.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", unquote(text, errors="surrogateescape"))


def join_url(url: str, name: str) -> str:
    """Return the URL of what has a name, posix and relative, in the folder of another."""
    return f"{url.rstrip('/')}/{name}" if not url.endswith("://") else f"{url}{name}"


def shown(text: str) -> str:
    """Return text for a message: without users and passwords, signatures in queries, and control characters."""
    secrets = _SECRETS_IN_URL if is_url(text) else _SECRETS_IN_TEXT
    return printable(secrets.sub(lambda found: "?..." if found[0].startswith("?") else "", text))


def holds_secret(text: str) -> bool:
    """Return whether a URL has a password, or a parameter in its query that opens what it names, such as a signature.

    Parameters are those of presigned URLs (S3, Google Cloud Storage, Azure, CloudFront, Aliyun, ...), and such as
    ``token``, ``access_token`` and ``api_key``.
    """
    return "://" in text and _SECRET.search(text) is not None
