"""For the site: each parameter of an entry such as ``train_views, test_views`` is shown with its own type and default.

griffe gives all names of one numpydoc entry what the signature says of the first.
"""

from __future__ import annotations

import griffe


class OwnDefaults(griffe.Extension):
    """Correct the parsed docstrings of functions and classes by their signatures."""

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        """Correct the docstring of a function."""
        _correct(func)

    def on_class(self, *, cls: griffe.Class, **_: object) -> None:
        """Correct the docstring of a class, which documents its constructor."""
        _correct(cls)


def _correct(documented: griffe.Function | griffe.Class) -> None:
    """Give every documented parameter the annotation and the default that the signature has for it."""
    if documented.docstring is None:
        return
    for section in documented.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionParameters):
            for each in section.value:
                if each.name in documented.parameters:
                    declared = documented.parameters[each.name]
                    each.annotation, each.value = declared.annotation, declared.default
