"""The first moments of the command line: an interrupt while Python loads libraries ends it like any other.

Nothing is imported here that takes time: before `guard` is called, an interrupt shows Python's own traceback.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


def guard() -> None:
    """Let an interrupt end the process at once, with a line and exit code 130."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have told us to ignore it
        signal.signal(signal.SIGINT, _end)


def release() -> None:
    """Let an interrupt raise KeyboardInterrupt again, so that what is computed is committed."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_signal: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, b"interrupted: nothing was done\n")
    finally:
        os._exit(130)
