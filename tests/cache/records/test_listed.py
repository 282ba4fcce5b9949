"""What was met when a dataset was listed is kept short, and believed of no file that says it in another form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackbone.cache.errors import Malformed
from stackbone.cache.records.indexes.listed import Listed, Skipped

HEIC = Skipped(".heic", "not an image that is read here", 12, "cat/a.heic")


def back(listed: Listed) -> Listed:
    text = listed.to_json()
    assert text.isascii()
    assert len(text) <= 50_000
    return Listed.from_json(json.loads(text))


@pytest.mark.parametrize(
    "listed",
    [
        Listed([], []),
        Listed([HEIC, Skipped("no extension", "not an image", 1, "README")], ["'dev' is the split 'validation'."]),
        Listed([Skipped("\udcff", "odd", 3, "caf\udce9/\x1b[31m.tga")], ["日本語", "a\nb"]),
    ],
)
def test_it_comes_back_as_it_was(listed: Listed) -> None:
    assert back(listed) == listed


def test_of_many_sorts_the_most_frequent_are_kept_and_the_rest_counted() -> None:
    found = back(Listed([Skipped(f".{i}", "not an image", i + 1, f"a.{i}") for i in range(1000)]))
    assert [each.sort for each in found.skipped[:2]] == [".999", ".998"]
    assert found.skipped[-1].sort == "others"
    assert sum(each.count for each in found.skipped) == 500_500


@pytest.mark.parametrize("text", ["x" * 100_000, "日" * 100_000, "\U0001f600" * 100_000])
def test_however_long_its_texts_are_an_attribute_holds_it(text: str) -> None:
    found = back(Listed([Skipped(f"{i}{text}", text, 1, text) for i in range(50)], [text] * 100))
    assert sum(each.count for each in found.skipped) == 50


def test_words_to_type_are_kept_whole_or_not_at_all() -> None:
    words = ("/a b/\udcff.csv", "--exclude", "*_mask.png")
    assert back(Listed(asked=words)).asked == words
    assert back(Listed(asked=("a" * 4001,))).asked == ()
    assert back(Listed(asked=("a.jpg",) * 61)).asked == ()


def test_a_long_text_keeps_its_beginning() -> None:
    [note] = back(Listed([], ["a" * 1000])).notes
    assert note == "a" * 297 + "..."


_ENTRY: dict[str, Any] = {"sort": "", "reason": "", "count": 1, "example": ""}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"notes": []},
        {"notes": [], "skipped": [], "more": []},
        {"notes": "text", "skipped": []},
        {"notes": [1], "skipped": []},
        {"notes": [[]] * 3, "skipped": []},
        {"notes": [""] * 1000, "skipped": []},
        {"notes": [], "skipped": [_ENTRY] * 1000},
        {"notes": [], "skipped": [None]},
        {"notes": [], "skipped": [{**_ENTRY, "more": 1}]},
        {"notes": [], "skipped": [{**_ENTRY, "count": True}]},
        {"notes": [], "skipped": [{**_ENTRY, "count": 0}]},
        {"notes": [], "skipped": [{**_ENTRY, "count": 1 << 63}]},
        {"notes": [], "skipped": [{**_ENTRY, "count": 1.0}]},
        {"notes": [], "skipped": [{**_ENTRY, "sort": None}]},
        {"notes": [], "skipped": [], "asked": "rm"},
        {"notes": [], "skipped": [], "asked": [1]},
        {"notes": [], "skipped": [], "asked": ["a\0b"]},
        {"notes": [], "skipped": [], "asked": ["a"] * 61},
        {"notes": [], "skipped": [], "asked": ["a" * 4001]},
    ],
)
def test_another_form_is_refused(content: object) -> None:
    with pytest.raises(Malformed):
        Listed.from_json(content)
