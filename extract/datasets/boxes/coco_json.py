"""The JSON of a file in the form of COCO, read element by element: what counts of each is kept, and nothing else.

Memory: up to 60 MiB for an element, of which none is longer than `_MOST_ELEMENT`, and what is kept, which takes up to
about five times as much as it does in the file. What nobody asked for, such as an outline, takes none afterwards. A
file in an archive is in memory itself, too, while it is read.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from stackbone.cache.errors import DatasetError, lost_server
from stackbone.extract.datasets.files.files import what_to_do

MOST_BYTES = 1 << 30  # the 118,287 images of COCO 2017 take 448 MB, most of them for outlines
_MOST_ELEMENT = 2 << 20  # characters; an outline of a hundred thousand points takes no more
_PIECE = 1 << 18  # bytes that are read at a time
_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MARK = re.compile(r'["\[\]{}]')

_Read = TypeVar("_Read")
Keep = Callable[[int, Any], _Read]
"""From the place of an element in its list, and the element, to what is kept of it."""


def read_lists(file: Path, found: BinaryIO | OSError, keep: Mapping[str, Keep[Any]]) -> dict[str, list[Any]]:
    """Return the lists that an object of JSON holds under some keys, as far as they are there; of two the last.

    Parameters
    ----------
    file, found
        The file, open to be read, or why it is not.
    keep
        For each key what is kept of an element.

    Raises
    ------
    DatasetError
        If the file cannot be read, is too large or no such JSON, or an element is too long.
    """
    try:
        if isinstance(found, OSError):
            raise found
        return _Reader(file, found).read(keep)
    except OSError as exc:
        if lost_server(exc):
            raise
        raise DatasetError(_unreadable(file, exc)) from exc
    except RecursionError as exc:
        raise wrong(file, "JSON that is nested too deeply", "annotations of COCO") from exc
    except ValueError as exc:  # of JSON, or of its text
        raise wrong(file, f"no JSON ({exc})", "annotations of COCO") from exc


def wrong(file: Path, found: str, expected: str) -> DatasetError:
    """Return the error to raise of a file that holds something else than was expected."""
    return DatasetError(
        f"{str(file)!r} holds {found}. Expected {expected}. Mend the file, or take it out of the folder."
    )


def _unreadable(file: Path, exc: OSError) -> str:
    why = exc.strerror or exc
    return f"Cannot read {str(file)!r}: {why}. Expected a file of COCO's annotations. {what_to_do(exc)}"


class _Reader:
    """Reads one file from the beginning to the end, of which it holds a window."""

    def __init__(self, file: Path, stream: BinaryIO) -> None:
        self._file, self._stream = file, stream
        start = stream.read(4)
        self._decoder = codecs.getincrementaldecoder(json.detect_encoding(start))("surrogatepass")
        self._text, self._at, self._passed, self._is_whole = self._decoder.decode(start), 0, 0, False
        self._parse = json.JSONDecoder().raw_decode

    def read(self, keep: Mapping[str, Keep[Any]]) -> dict[str, list[Any]]:
        """Return what is kept."""
        lists: dict[str, list[Any]] = {}
        if self._next() != "{":
            whole = self._value("a value")
            raise wrong(self._file, f"a JSON {type(whole).__name__}", "an object of images, annotations and categories")
        for _ in self._parts("}"):
            key = self._value("a key") if self._next() == '"' else self._fail("Expecting a key")
            self._take(":")
            opens = self._next()
            if key in keep and opens == "[":
                lists[key] = [keep[key](place, self._value(f"{key}[{place}]")) for place in self._parts("]")]
            elif opens and opens in "[{":
                lists.pop(key, None)
                self._skip()
            else:
                lists.pop(key, None)
                self._value(repr(key)[:60])
        if self._next():
            self._fail("Extra data")
        return lists

    def _parts(self, end: str) -> Iterator[int]:
        """Yield the number of each part of a list or an object when it is to be read; pass the brackets and commas."""
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        place = 0
        while True:
            yield place
            place += 1
            if self._next() == end:
                self._at += 1
                return
            self._take(",")
            self._next()

    def _value(self, what: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the value that begins here; the window grows until it is in it."""
        while True:
            try:
                value, end = self._parse(self._text, self._at)
            except ValueError:
                if self._is_whole or not self._grow(what):
                    raise
                continue
            length = end - self._at
            # A number may go on, as 8 does in '8.5' and '8e-5' of which the window ends before the digit.
            if end + 3 <= len(self._text) or self._is_whole or not self._grow(what):
                self._at += length  # from where the value begins now
                return value

    def _skip(self) -> None:
        """Pass a list or an object by; it is not looked at, and its window does not grow."""
        depth = 0
        while True:
            found = _MARK.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                if not self._grow(""):
                    self._fail("Expecting the end of a list or an object")
                continue
            self._at = found.start()
            if found[0] == '"':
                self._skip_string()
                continue
            self._at += 1
            depth += 1 if found[0] in "[{" else -1
            if not depth:
                return

    def _skip_string(self) -> None:
        while (found := _STRING.match(self._text, self._at)) is None:
            if not self._grow("a text"):
                self._fail("Unterminated string")
        self._at = found.end()

    def _next(self) -> str:
        """Return the next character that is no space, and go to it; '' at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow(""):
                return ""

    def _take(self, mark: str) -> None:
        if self._next() != mark:
            self._fail(f"Expecting {mark!r}")
        self._at += 1

    def _grow(self, what: str) -> bool:
        """Read on, and forget what was passed; return whether there was more."""
        if len(self._text) - self._at > _MOST_ELEMENT:
            found = f"{what} of more than {_MOST_ELEMENT:,} characters"
            raise wrong(self._file, found, "annotations of COCO, each far shorter")
        piece = self._stream.read(_PIECE)
        self._passed += self._at
        self._text = self._text[self._at :] + self._decoder.decode(piece, final=not piece)
        self._at = 0
        self._is_whole = not piece
        return bool(piece)

    def _fail(self, what: str) -> Any:  # noqa: ANN401 - it never returns
        message = f"{what}: char {self._passed + self._at:,}"
        raise ValueError(message)
