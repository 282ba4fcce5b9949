"""HTML that is safe by the way it is built: text is escaped unless this module made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias

_VOID = frozenset({"br", "img", "input", "meta"})
_NONE = "-"
_NUMBER = re.compile(r"[-+]?[\d.,]+%?( ± [\d.]+| to [-+]?[\d.,]+)?|" + _NONE)


class Markup(str):
    """HTML that `element` made; any other string is text."""

    __slots__ = ()


Child: TypeAlias = "str | float | Iterable[Child] | None"


def element(name: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return one HTML element.

    Parameters
    ----------
    name : str
        Of the element.
    *children : Markup, str, float, None, or iterables of them
        Markup stays as it is, everything else is escaped as text, None is left out.
    **attributes : str, float, bool or None
        ``class_`` is ``class``, and an underscore inside a name is a hyphen. True is an attribute without a value;
        False and None leave it out.
    """
    given = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        given.append(f" {key}" if value is True else f' {key}="{escape(str(value))}"')
    start = f"<{name}{''.join(given)}>"
    return Markup(start if name in _VOID else f"{start}{join(children)}</{name}>")


def join(children: Child) -> Markup:
    """Return children one after another, text escaped."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return Markup(escape(str(children)))
    return Markup("".join(join(child) for child in children))


def table(
    header: Iterable[Child], rows: Iterable[Iterable[Child]], *, caption: str, class_: str | None = None
) -> Markup:
    """Return a table whose first column names its rows.

    Parameters
    ----------
    header, rows
        Cells. One that reads as a number, or as two ends of an interval, is of class ``number``; so is the title of a
        column of nothing else.
    caption
        What the table shows, for those who cannot see what stands around it.
    class_
        Of the table.
    """
    cells = [list(row) for row in rows]
    head = [element("th", each, scope="col", class_=_class_of(i, cells)) for i, each in enumerate(header)]
    body = [element("tr", [_cell(i, cell) for i, cell in enumerate(row)]) for row in cells]
    hidden = element("caption", caption, class_="hidden")
    return element("table", hidden, element("thead", element("tr", head)), element("tbody", body), class_=class_)


def _cell(column: int, content: Child) -> Markup:
    if column == 0:
        return element("th", content, scope="row")
    return element("td", content, class_="number" if _is_number(content) else None)


def _class_of(column: int, rows: Sequence[Sequence[Child]]) -> str | None:
    """Return the class of a column's title; the first column names the rows, and dashes alone are no numbers."""
    cells = [row[column] for row in rows if len(row) > column]
    has_any = any(str(each) != _NONE for each in cells)
    return "number" if column and has_any and all(map(_is_number, cells)) else None


def _is_number(content: Child) -> bool:
    return _NUMBER.fullmatch(str(content)) is not None
