"""Public names that load when they are first used, so that importing a package costs nothing.

A package writes its public names once, as imports for type checkers and editors, and hands the rest to `lazy_names`::

    if TYPE_CHECKING:
        from stackbone.cache.store import FeatureStore
    else:
        __getattr__ = lazy_names(__name__, __file__)

The idea is that of scientific Python's ``lazy_loader.attach_stub`` (SPEC 1), without a second file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(package: str, file: str) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``: it imports what ``if TYPE_CHECKING:`` in the package's file promises.

    Parameters
    ----------
    package
        Name of the package.
    file
        Its ``__init__.py``.
    """
    places: dict[str, str] = {}

    def load(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        if name.startswith("__"):  # asked for by Python itself, of every module
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        if not places:
            places.update(_promised(file))
        if name not in places:
            message = f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(places))}"
            raise AttributeError(message)
        value = getattr(import_module(places[name]), name)
        # A sub-package of that name, which an import has just set, is what every later look finds: so does the first.
        return vars(sys.modules[package]).get(name, value)

    return load


def later(place: str) -> Callable[..., Any]:
    """Return what a later sub-room defines, imported when it is asked for.

    An object shows itself in a notebook by what is made of it further down the way of the data: its class is known to
    those modules, and knows of them nothing but the name. `tests/test_imports.py` lists all who do so.

    Parameters
    ----------
    place
        Module and name, such as ``stackbone.stack.display.plots.Plots``.
    """
    module, _, name = place.rpartition(".")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _promised(file: str) -> dict[str, str]:
    """Return name to module of every import that a file makes for type checkers."""
    import ast  # not before a name is used: importing a package takes no longer than it must

    with open(file, "rb") as stream:
        source = stream.read()
    return {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
