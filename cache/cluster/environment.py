"""What Ray is told by variables of the environment, and by its own, for as long as a run works with it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"  # of Ray, from version 2.52 on
_USAGE = "RAY_USAGE_STATS_ENABLED"
_CHANGED = (AUTH_MODE, AUTH_TOKEN, _USAGE, "PYTHONBREAKPOINT")  # the last by Ray itself


@contextmanager
def own_environment() -> Iterator[None]:
    """Let Ray report nothing over the network meanwhile; afterwards all that was set for it is as it was before."""
    before = {name: os.environ.get(name) for name in _CHANGED}
    os.environ.setdefault(_USAGE, "0")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        read_environment_again()


def read_environment_again() -> None:
    """Let Ray, if it was imported before, see whether a token is asked for, and which, as its own tests do."""
    if "ray" not in sys.modules:
        return
    with suppress(Exception):  # a version without tokens
        inner: Any = importlib.import_module("ray._raylet")
        inner.Config.initialize("")
        inner.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def ray_silent() -> Iterator[None]:
    """Let Ray print nothing meanwhile: what it says of nodes that die would stand in a command's own output."""
    inner: Any = importlib.import_module("ray._private.worker")
    before = getattr(inner, "_worker_logs_enabled", True)
    inner._worker_logs_enabled = False
    try:
        yield
    finally:
        inner._worker_logs_enabled = before
