"""What went wrong at a server: whether to ask again, and what to tell, in one line and without a secret.

Libraries behind fsspec have exceptions of their own, and wrap them in others. They are told apart by the answer's code
where there is one, else by the names of their classes, so that none of these libraries is imported for it.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TypeVar

from stackbone.cache.errors import RemoteError, StackboneError
from stackbone.cache.remote.url import protocol_of, shown

_T = TypeVar("_T")
MOST_TRIES = 7
"""Of a request that the server answers with "later", or whose answer breaks off: six waits of 7 to 14 s in all."""

_REACHED_WITHIN_S = 8.0  # else nobody is there
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 6.0


class Failure(Enum):
    """Sorts of failures, by what follows from them."""

    ABSENT = "absent"
    NO_BUCKET = "no bucket"
    NO_CREDENTIALS = "no credentials"
    BAD_CREDENTIALS = "bad credentials"
    DENIED = "denied"
    ELSEWHERE = "elsewhere"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    READ_ONLY = "read only"
    OTHER = "other"


_CODES = {
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName", "AllAccessDisabled"), Failure.NO_BUCKET),
    **dict.fromkeys(("NoSuchKey", "404", "410", "NoSuchVersion"), Failure.ABSENT),
    **dict.fromkeys(("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"), Failure.ELSEWHERE),
    **dict.fromkeys(("301", "307", "IllegalLocationConstraintException"), Failure.ELSEWHERE),
    **dict.fromkeys(
        ("401", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"), Failure.BAD_CREDENTIALS
    ),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), Failure.BAD_CREDENTIALS),
    **dict.fromkeys(("403", "AccessDenied"), Failure.DENIED),
    "407": Failure.PROXY,
    **dict.fromkeys(("408", "425", "429", "500", "502", "503", "504", "509", "529"), Failure.BUSY),
    **dict.fromkeys(
        ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"), Failure.BUSY
    ),
    **dict.fromkeys(("Throttling", "ThrottlingException", "RequestLimitExceeded", "Busy"), Failure.BUSY),
    **dict.fromkeys(
        ("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"), Failure.BUSY
    ),
    **dict.fromkeys(("405", "501", "NotImplemented", "MethodNotAllowed"), Failure.READ_ONLY),
}
_CLASSES = {
    **dict.fromkeys(
        ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"), Failure.NO_CREDENTIALS
    ),
    **dict.fromkeys(("ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError"), Failure.NO_CREDENTIALS),
    **dict.fromkeys(("SSOTokenLoadError", "DefaultCredentialsError", "RefreshError"), Failure.NO_CREDENTIALS),
    **dict.fromkeys(("SSLEOFError", "SSLZeroReturnError"), Failure.BUSY),
    **dict.fromkeys(("SSLError", "ClientSSLError", "CertificateError"), Failure.CERTIFICATE),  # connections, to others
    **dict.fromkeys(("ClientConnectorCertificateError", "ServerFingerprintMismatch"), Failure.CERTIFICATE),
    **dict.fromkeys(("EndpointConnectionError", "ConnectTimeoutError", "ClientConnectorError"), Failure.UNREACHABLE),
    **dict.fromkeys(("ConnectionRefusedError", "gaierror", "ServerTimeoutError"), Failure.UNREACHABLE),
    **dict.fromkeys(
        ("HTTPClientError", "ClientPayloadError", "ClientOSError", "ServerDisconnectedError"), Failure.BUSY
    ),
    **dict.fromkeys(("ResponseStreamingError", "IncompleteRead", "ResponseParserError"), Failure.BUSY),
    **dict.fromkeys(("IncompleteReadError", "ConnectionError", "TimeoutError", "EOFError"), Failure.BUSY),
    **dict.fromkeys(("NotImplementedError", "UnsupportedOperation"), Failure.READ_ONLY),
    "PermissionError": Failure.DENIED,
    "FileNotFoundError": Failure.ABSENT,
}
_OF_ONE_OBJECT = (Failure.DENIED, Failure.OTHER)
_PROXIES = {"ProxyConnectionError", "ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"} | {
    "InvalidProxiesConfigError"
}
_BUSY_ERRNOS = {errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT, errno.ECONNRESET, getattr(errno, "EREMOTEIO", errno.EBUSY)}


def ask(url: str, doing: str, call: Callable[[], _T]) -> _T:
    """Return the answer to a request; where the server is busy or breaks off, the request is made again.

    Parameters
    ----------
    url
        Of what is asked for.
    doing
        What fails if it fails: ``read``, ``write``.
    call
        The request; it may be made several times.

    Raises
    ------
    FileNotFoundError
        If the server says that there is no such thing.
    RemoteError
        If it cannot be reached, refuses, or stays busy.
    """
    started = time.monotonic()
    for tries in range(1, MOST_TRIES + 1):
        try:
            return call()
        except (StackboneError, MemoryError):
            raise
        except Exception as exc:
            kind, code = judged(exc)
            if kind is Failure.ABSENT:
                raise FileNotFoundError(errno.ENOENT, "is not there", shown(url)) from exc
            is_over = kind is not Failure.BUSY and time.monotonic() - started > _REACHED_WITHIN_S
            if tries == MOST_TRIES or kind not in (Failure.BUSY, Failure.UNREACHABLE, Failure.PROXY) or is_over:
                raise refused(url, doing, kind, code, tries) from exc
            _wait(tries)
    raise AssertionError  # the last try returns or raises


def _wait(tries: int) -> None:
    longest = min(_FIRST_WAIT_S * 2 ** (tries - 1), _LONGEST_WAIT_S)
    time.sleep(longest * (0.5 + random.random() / 2))  # many that wait for one server must not come back at once


def judged(exc: BaseException) -> tuple[Failure, str]:
    """Return what sort of failure an exception is, and its code or the name of its class."""
    chain = [*_chain(exc)]
    for each in chain:  # which names what lies below it a refused connection, or the answer of a server
        if type(each).__name__ in _PROXIES and not _is_bad_gateway(each):
            return Failure.PROXY, type(each).__name__
    for each in chain:  # the server's own word first
        if (code := _code_of(each)) in _CODES:
            return _CODES[code], code
    for each in reversed(chain):  # fsspec says "not found" of whatever went wrong below
        for kind in type(each).__mro__:
            if kind.__name__ in _CLASSES:
                return _CLASSES[kind.__name__], type(each).__name__
        if isinstance(each, OSError) and each.errno in _BUSY_ERRNOS:
            return Failure.BUSY, str(each.errno)
    return Failure.OTHER, next(filter(None, map(_code_of, chain)), type(exc).__name__)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = exc
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__


def _code_of(exc: BaseException) -> str:
    """Return the code of a server's answer: of botocore's, aiohttp's or gcsfs' exceptions."""
    response = getattr(exc, "response", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code") or "")
        status = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or "")
        return code if code in _CODES or status not in _CODES else status
    if type(exc) is OSError and str(exc).startswith("Forbidden: "):
        return "403"  # as gcsfs says it
    number = "502" if _is_bad_gateway(exc) else getattr(exc, "status", None) or getattr(exc, "code", None)
    return str(number) if isinstance(number, int | str) else ""


def _is_bad_gateway(exc: BaseException) -> bool:
    """Return whether gcsfs means the answer 502, for which it borrows the error of a proxy, and says nothing in it."""
    return type(exc).__name__ == "ProxyError" and not exc.args


def refused(url: str, doing: str, kind: Failure, code: str, tries: int = 1) -> RemoteError:
    """Return the error that tells a failure, in one line, and what to do about it."""
    protocol = protocol_of(url)
    place = shown(url).split("://", 1)[1].split("/", 1)[0]
    keys = {
        "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    }.get(protocol, "give those that fsspec reads for this protocol")
    bundle = {"s3": "AWS_CA_BUNDLE"}.get(protocol, "SSL_CERT_FILE")
    endpoint = ", and AWS_ENDPOINT_URL where it is not Amazon's" if protocol == "s3" else ""
    times = f", {tries} times" if tries > 1 else ""
    no_rights = (
        "the server refuses these credentials, or they do not allow it",
        f"Check them and their rights; to give others, {keys}",
    )
    reason, way_out = {
        Failure.NO_BUCKET: (f"there is no {place!r} at the server", "Create it, or check the name for a slip"),
        Failure.NO_CREDENTIALS: ("no usable credentials were found", f"To give some, {keys}"),
        Failure.BAD_CREDENTIALS: no_rights,
        Failure.DENIED: no_rights,
        Failure.ELSEWHERE: ("it is kept in another region than the one asked", "Set AWS_REGION to that of the bucket"),
        Failure.BUSY: (f"the server was too busy, or broke off{times}", "Run again later: what was committed is kept"),
        Failure.UNREACHABLE: (f"no server answers there{times}", f"Check the network and the address{endpoint}"),
        Failure.PROXY: (
            f"the proxy before it does not answer, or refuses{times}",
            "Check HTTPS_PROXY and HTTP_PROXY, or name the server in NO_PROXY",
        ),
        Failure.CERTIFICATE: (
            "no secure connection is made: the server's certificate is not trusted, or it has none",
            f"Set {bundle} to the file of your network's certificates; if the server has none, use an http:// address",
        ),
        Failure.READ_ONLY: ("the server does not offer it", "Name a place that can be written"),
        Failure.OTHER: ("the server's answer was none that is known", "Check the URL, and run again"),
    }[kind]
    message = f"could not {doing} {shown(url)}: {reason} ({shown(code)}). {way_out}"
    return RemoteError(message, reason, of_one_object=kind in _OF_ONE_OBJECT)
