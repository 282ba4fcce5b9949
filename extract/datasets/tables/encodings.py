"""The encoding of a table of text: a strict order that gives the same answer for the same bytes.

A byte-order mark; null bytes, which only UTF-16 has between letters; UTF-8; and, cell by cell where that fails,
Windows-1252, in which Excel saves CSV and which holds Latin-1's letters. A guess from a handful of bytes would take one
table for Mac Icelandic and the next for Windows-1252: whatever does not look like either is refused.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

from stackbone.cache.choices import nearest
from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import DatasetError, UsageError

UTF_8 = "utf-8-sig"
"""UTF-8, with or without a byte-order mark."""

_WESTERN = "cp1252"
_MARKS = {  # the longer first: that of UTF-32 begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_KNOWN = (
    *("utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp437"),
    *("koi8-r", "iso8859-2", "iso8859-15", "mac-roman", "gb18030", "gbk", "big5", "shift-jis", "euc-jp", "euc-kr"),
)
_ESCAPES = ("unicode-escape", "raw-unicode-escape", "utf-7")
_SAMPLE = 4096
# Western text has no three letters with accents in a row, and these bytes mean nothing in it, or what nobody writes.
# Nor are there capitals with a caron or a diaeresis inside a word of small letters: they are Mac Roman's small ones.
_NOT_WESTERN = re.compile(
    rb"[\x80-\xff]{3}|[\x81-\x83\x86-\x88\x8b\x8d\x8f\x90\x98\x9b\x9d]|[a-z][\x8a\x8e\x9f]|[A-Z][\x8a\x8e\x9f][a-z]"
)


def find_encoding(file: Path, stated: str) -> str:
    """Return the name of the encoding that a user stated, or of the one that the first bytes of a file show.

    Raises
    ------
    UsageError
        If no encoding of text has the stated name.
    DatasetError
        If the file is no text at all.
    OSError
        If it cannot be read, or is not a regular file.
    """
    if stated:
        return _checked(stated)
    with io.BufferedReader(cast("io.RawIOBase", open_regular(file))) as stream:
        start = stream.read(_SAMPLE)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    for content, what in ((b"PK\x03\x04", "an Excel workbook or a zip archive"), (b"\xd0\xcf\x11\xe0", "a workbook")):
        if start.startswith(content):
            msg = (
                f"The file {str(file)!r} is {what}, whatever it is called. Expected a table of text. "
                "Open it and save it as 'CSV UTF-8'."
            )
            raise DatasetError(msg)
    line = start.partition(b"\n")[0]  # what separates the names of columns is a byte and a null byte
    even, odd = line[::2].count(0), line[1::2].count(0)
    if odd and not even:
        return "utf-16-le"
    return "utf-16-be" if even and not odd else UTF_8


def open_text(file: Path, encoding: str, *, escape: bool) -> TextIO:
    """Open a table of text; with `escape`, bytes that are not of the encoding become lone surrogates, as in file names.

    Raises
    ------
    OSError
        If it cannot be read, or is not a regular file.
    """
    content = io.BufferedReader(cast("io.RawIOBase", open_regular(file)))
    return io.TextIOWrapper(content, encoding, "surrogateescape" if escape else "strict", newline="")


def is_clean(text: str) -> bool:
    """Return whether text holds no byte that could not be decoded."""
    return text.isascii() or not any("\udc80" <= char <= "\udcff" for char in text)


def mended(text: str) -> str:
    """Return text with lone surrogates, which stand for bytes that are not UTF-8, read as Windows-1252."""
    return text if is_clean(text) else os.fsencode(text).decode(_WESTERN, "replace")


def is_readable(text: str) -> bool:
    """Return whether text is UTF-8, or looks like Windows-1252 where it is not."""
    return is_clean(text) or not _NOT_WESTERN.search(os.fsencode(text))


def check_western(file: Path, texts: Mapping[str, int]) -> None:
    """Raise `DatasetError` if cells that are not UTF-8, on given lines, do not look like Windows-1252 either."""
    for text, line in texts.items():
        if not is_readable(text):
            content = os.fsencode(text)
            msg = (
                f"The table {str(file)!r} is in neither UTF-8 nor UTF-16, and hardly in Windows-1252: line {line} has "
                f"the bytes {content[:40]!r}. Expected one of them. Type --encoding NAME, such as --encoding cp1251 "
                "(Cyrillic), gb18030 (Chinese), shift-jis (Japanese), mac-roman, or cp1252 if it is Western all the "
                "same; or save the table again as 'CSV UTF-8'."
            )
            raise DatasetError(msg)


def western_note(file: Path, texts: Iterable[str]) -> str:
    """Return what to say of cells that were read as Windows-1252."""
    shown = ", ".join(repr(mended(text)[:40]) for text in islice(texts, 3))
    return (
        f"The table {file.name!r} is not UTF-8: what is not was read as Windows-1252, such as {shown}. If that is "
        "wrong, name its encoding with --encoding."
    )


def not_in_encoding(file: Path, encoding: str, error: UnicodeError) -> DatasetError:
    """Return the error for a table that is not in the encoding that was stated, or that its first bytes promise."""
    name = encoding.removesuffix("-sig").upper()
    return DatasetError(
        f"The table {str(file)!r} is not in {name}: {error}. Expected text in that encoding throughout. "
        "Name another with --encoding, or save the table again as 'CSV UTF-8'."
    )


def _checked(name: str) -> str:
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    # Codecs such as `hex` turn bytes into bytes; and some encodings can write half a letter.
    if found is None or not getattr(found, "_is_text_encoding", True) or found.name in _ESCAPES:
        near = nearest(name.lower(), _KNOWN)
        meant = f" Did you mean {near}?" if near else ""
        msg = (
            f"--encoding names {name!r}, which is not an encoding of text.{meant} Expected one that Python knows, such "
            f"as {', '.join(_KNOWN[:6])}, gb18030 or shift-jis."
        )
        raise UsageError(msg)
    return UTF_8 if found.name == "utf-8" else found.name
