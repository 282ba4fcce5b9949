"""What pyarrow raises, said in our words."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from stackbone.cache.errors import Malformed, RemoteError, StackboneError


def need_pyarrow(name: str) -> None:
    """Raise `StackboneError` if pyarrow, by which the file of this name is read, is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        msg = (
            f"Reading {name!r} needs pyarrow, which is not installed here. "
            "Run: pip install pyarrow, or save the images as files."
        )
        raise StackboneError(msg)


@contextmanager
def translated() -> Iterator[None]:
    """Raise `Malformed` in the place of what pyarrow raises of a damaged file; errors of the system stay."""
    from pyarrow import ArrowException

    try:
        yield
    except OSError as exc:
        if exc.errno is not None or isinstance(exc, RemoteError):
            raise
        raise Malformed(_said(exc)) from exc  # how pyarrow tells of bytes that it cannot unpack
    except (ArrowException, UnicodeDecodeError) as exc:
        raise Malformed(_said(exc)) from exc


def _said(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0].rstrip(".")[:300] or type(exc).__name__
