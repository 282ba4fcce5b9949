"""The code of a run, on a machine that a task goes to: this checkout or installation, where that machine sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_HUB = ("HF_HOME", "HF_HUB_CACHE")  # where weights of the hub lie; the second goes before the first
_ENVIRONMENT = ("STACKBONE_GRAPHS", "HF_HUB_OFFLINE", *_HUB)  # all that goes over: no token, no credentials


def bring_code() -> Callable[[], str | None]:
    """Return what lets `stackbone` be imported where it is called, and returns why it cannot; None if it can.

    It goes over by value, as functions inside functions do, and so uses nothing of the modules around it. With it go
    the few variables of the environment that say where weights and converted networks lie; those of the other machine
    stay as they are.
    """
    entry = str(Path(__file__).resolve().parents[2] / "__init__.py")
    environment = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
    hub = _HUB

    def install() -> str | None:
        import importlib
        import importlib.util
        import os
        import platform
        import sys

        class Checkout:
            @staticmethod
            def find_spec(name: str, *_: object) -> object:
                return importlib.util.spec_from_file_location(name, entry) if name == "stackbone" else None

        if "stackbone" not in sys.modules and os.path.isfile(entry):
            sys.meta_path.insert(0, Checkout)  # type: ignore[arg-type]
        own = set(hub) if os.environ.keys() & set(hub) else set[str]()
        for name in environment.keys() - own:
            os.environ.setdefault(name, environment[name])
        try:
            importlib.import_module("stackbone")
        except ImportError as exc:
            return (
                f"the machine {platform.node()} cannot import stackbone ({type(exc).__name__}: {exc}): install it "
                f"there, or let that machine see {os.path.dirname(entry)}"
            )
        return None

    return install
