"""What an error of Ray says, in a line: its texts begin with identifiers and end with the cause."""

from __future__ import annotations

import re

from stackbone.cache.text import printable

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_NO_CAUSE = ("The actor never ran", "The actor died unexpectedly")


def cause_of(error: BaseException) -> str:
    """Return the last line of an error that tells a cause, safe to print; the name of its class if it says nothing."""
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    told = [line for line in lines if line]
    return printable(next((line for line in reversed(told) if not line.startswith(_NO_CAUSE)), type(error).__name__))
