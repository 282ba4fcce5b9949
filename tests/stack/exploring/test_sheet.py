"""A sheet of thumbnails is one safe file, whatever names are in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stackbone.cache import CacheError
from stackbone.cache.disk.reading import ListedFile
from stackbone.stack.exploring.sheet import Group, Item, Sheet, write_sheet

PICTURE = b"RIFF\x10\0\0\0WEBPVP8 made"
NASTY = ["<script>pwned=1</script>", '"><img src=x onerror=pwned=1>', "a\x1b[31m\u202e.jpg", "\udcff.jpg"]


def listed(name: str) -> ListedFile:
    return ListedFile("/photos", name, b"\1" * 32)


@pytest.mark.parametrize("name", NASTY)
def test_names_are_text_wherever_they_stand(tmp_path: Path, name: str) -> None:
    item = Item(listed(name), name, name, stressed=True)
    sheet = Sheet(name, name, [Group(name, name, [item])])
    assert write_sheet(sheet, tmp_path / "s.html", lambda files: [PICTURE] * len(files)) == {}
    content = (tmp_path / "s.html").read_text()
    assert "<script" not in content
    assert content.count("<img ") == 1
    assert "\x1b" not in content
    assert "\u202e" not in content


def test_it_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    sheet = Sheet("a", "b", [Group("c", "", [Item(listed("x.jpg"), "1", "x.jpg")])])
    write_sheet(sheet, tmp_path / "s.html", lambda files: [PICTURE] * len(files))
    content = (tmp_path / "s.html").read_text()
    assert "default-src 'none'" in content
    assert re.findall(r'(?:src|href)="(?!data:)', content) == []
    assert 'alt="x.jpg"' in content


def test_each_picture_is_drawn_once_and_one_that_is_missing_says_why(tmp_path: Path) -> None:
    asked = []

    def draw(files: object) -> list[bytes | str]:
        asked.append(list(files))  # type: ignore[call-overload]
        return [PICTURE, "it is gone"]

    items = [Item(listed(name), name, name) for name in ("a.jpg", "b.jpg", "a.jpg")]
    missing = write_sheet(Sheet("t", "", [Group("g", "", items)]), tmp_path / "s.html", draw)
    assert asked == [[listed("a.jpg"), listed("b.jpg")]]
    assert missing == {"b.jpg": "it is gone"}
    content = (tmp_path / "s.html").read_text()
    assert content.count("<img ") == 2
    assert "no picture: it is gone" in content


def test_without_pictures_it_shows_paths(tmp_path: Path) -> None:
    sheet = Sheet("t", "", [Group("g", "", [Item(listed("a.jpg"), "1", "a.jpg")])])
    assert write_sheet(sheet, tmp_path / "s.html") == {}
    assert "<code>a.jpg</code>" in (tmp_path / "s.html").read_text()


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="could not write"):
        write_sheet(Sheet("t", "", []), tmp_path / "file" / "s.html")
