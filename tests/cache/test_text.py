"""Numbers of things are said in the singular or the plural, whichever is right; JSON is read as JSON alone."""

from __future__ import annotations

import pytest

from stackbone.cache.text import counted, from_json, to_json


@pytest.mark.parametrize(
    ("n", "noun", "plural", "said"),
    [
        (0, "image", "", "0 images"),
        (1, "image", "", "1 image"),
        (1234, "feature set", "", "1,234 feature sets"),
        (1, "class", "classes", "1 class"),
        (2, "class", "classes", "2 classes"),
    ],
)
def test_one_is_singular_and_all_else_plural(n: int, noun: str, plural: str, said: str) -> None:
    assert counted(n, noun, plural) == said


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True]}, "h\udce4t", []])
def test_json_that_was_written_is_read(value: object) -> None:
    assert from_json(to_json(value)) == value
    assert from_json(to_json(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NaN", "it holds the number NaN"),
        ("[-Infinity]", "it holds the number -Infinity"),
        ("{", "Expecting"),
        ("", "Expecting"),
        ("[" * 100_000, "it is nested too deeply"),
        (b"[\xff]", "decode"),
    ],
)
def test_what_is_no_json_of_finite_numbers_is_refused(text: str | bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        from_json(text)
