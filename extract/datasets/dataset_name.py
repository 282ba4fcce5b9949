"""What a dataset may be called: its name is that of a file on every system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def check_dataset_name(name: str, *, in_memory: bool) -> None:
    """Raise `UsageError` unless a name that a user gave is safe as a file name; the message has one that is."""
    if _SAFE_NAME.fullmatch(name):
        return
    in_python = f"name={safe_name(name)!r}"
    way_out = (
        f"Write {in_python}."
        if in_memory
        else f"Type --dataset {typed(safe_name(name))}; in Python, write {in_python}."
    )
    msg = (
        f"The dataset name {name!r} cannot be used for a file. Expected up to 100 letters, digits, '.', "
        f"'_' and '-', the first neither '.' nor '-'. {way_out}"
    )
    raise UsageError(msg)


def safe_name(title: str) -> str:
    """Return a name for what has a title: ``[A-Za-z0-9._-]``, never empty."""
    plain = unicodedata.normalize("NFKD", title)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-").lstrip(".-") or "dataset"
    if title.isascii() and len(safe) <= 100:
        return safe
    # Two folders with names in another script must not share one index.
    return f"{safe[:90]}-{hashlib.sha256(os.fsencode(title)).hexdigest()[:6]}"
