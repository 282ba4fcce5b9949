"""The code of a run, on a machine that a task goes to: this checkout or installation, where that machine sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

_HUB = ("HF_HOME", "HF_HUB_CACHE")  # where weights of the hub lie; the second goes before the first
_ENVIRONMENT = ("STACKBONE_GRAPHS", "HF_HUB_OFFLINE", *_HUB)  # all that goes over: no token, no credentials
_ROOMS = ("cache", "extract", "stack")  # whose code computes what a run keeps


@cache
def code_digest() -> str:
    """Return a digest of the code that this process computes with, in hexadecimal: its files, and their names."""
    found, root = sha256(), Path(__file__).resolve().parents[2]
    for file in sorted(file for room in _ROOMS for file in (root / room).rglob("*.py")):
        content = file.read_bytes()
        found.update(f"{file.relative_to(root).as_posix()} {len(content)} ".encode() + content)
    return found.hexdigest()


def bring_code() -> Callable[[], str | None]:
    """Return what lets `stackbone` be imported where it is called.

    What it returns there is why that cannot be, or that it is other code than this process has; None if all is well.
    It goes over by value, as functions inside functions do, and so uses nothing of the modules around it. With it go
    the few variables of the environment that say where weights and converted networks lie; those of the other machine
    stay as they are.
    """
    entry = str(Path(__file__).resolve().parents[2] / "__init__.py")
    environment = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
    hub, digest = _HUB, code_digest()
    package, module = __name__.partition(".")[0], __name__

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
            importlib.import_module(package)
        except ImportError as exc:
            return (
                f"the machine {platform.node()} cannot import stackbone ({type(exc).__name__}: {exc}): install it "
                f"there, or let that machine see {os.path.dirname(entry)}"
            )
        try:
            same = importlib.import_module(module).code_digest() == digest
        except (ImportError, AttributeError):  # an older one
            same = False
        if not same:
            return (
                f"the machine {platform.node()} has other code of Stackbone than this run: install the same version "
                f"there, or let that machine see {os.path.dirname(entry)}"
            )
        return None

    return install
