"""A sheet of thumbnails as one HTML file that opens by a double click, without a network and without a script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import printable
from stackbone.stack.report.markup import Markup, element, join
from stackbone.stack.report.pictures import DrawThumbnails, data_uri

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_META = f"""
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"""


@dataclass(frozen=True)
class Item:
    """A picture of a sheet.

    Attributes
    ----------
    file : ListedFile
        Where it lies.
    title : str
        What stands below it first; `says` follows in small letters.
    says : str
        More about it, such as its path.
    stressed : bool
        Whether it stands out.
    """

    file: ListedFile
    title: str
    says: str
    stressed: bool = False


@dataclass(frozen=True)
class Group:
    """Pictures under one heading.

    Attributes
    ----------
    heading, says : str
        And a sentence about them.
    items : sequence of Item
        In order.
    """

    heading: str
    says: str
    items: Sequence[Item]


@dataclass(frozen=True)
class Sheet:
    """All of a sheet: its title, a sentence, and groups of pictures."""

    title: str
    says: str
    groups: Sequence[Group]


def write_sheet(sheet: Sheet, path: str | os.PathLike[str], draw: DrawThumbnails | None = None) -> dict[str, str]:
    """Write a sheet as one file; return why pictures are missing, by path.

    Parameters
    ----------
    sheet
        What it shows.
    path
        The file, written whole or not at all.
    draw
        Draws the pictures, such as `stackbone.thumbnails`; without it, they are shown by path.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    shown = list(dict.fromkeys(item.file for group in sheet.groups for item in group.items))
    drawn = draw(shown) if draw else ["pictures were not asked for"] * len(shown)
    pictures = dict(zip(shown, drawn, strict=True))
    write_output(Path(path), render_sheet(sheet, pictures).encode("utf-8", "backslashreplace"))
    return {file.path: picture for file, picture in pictures.items() if isinstance(picture, str)} if draw else {}


def render_sheet(sheet: Sheet, pictures: dict[ListedFile, bytes | str]) -> str:
    """Return a sheet's HTML; of a picture that there is none of, why."""
    title = element("title", printable(sheet.title))
    head = element("head", Markup(_META), title, element("style", Markup(_own_style())))
    sections = [_section(group, pictures) for group in sheet.groups]
    main = element("main", element("h1", printable(sheet.title)), element("p", printable(sheet.says)), sections)
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _own_style() -> str:
    return files("stackbone.stack.exploring").joinpath("sheet.css").read_text(encoding="utf-8")


def _section(group: Group, pictures: dict[ListedFile, bytes | str]) -> Markup:
    items = [_item(item, pictures[item.file]) for item in group.items]
    return element(
        "section",
        element("h2", printable(group.heading)),
        element("p", printable(group.says)) if group.says else None,
        element("ul", items),
    )


def _item(item: Item, picture: bytes | str) -> Markup:
    if isinstance(picture, str):
        shown = element("div", printable(f"no picture: {picture}"), class_="none")
    else:
        shown = element("img", src=data_uri(picture), alt=printable(item.file.path), loading="lazy", decoding="async")
    words = join([element("b", printable(item.title)), element("code", printable(item.says))])
    return element("li", shown, words, class_="stressed" if item.stressed else None)
