"""Numbers of things are said in the singular or the plural, whichever is right."""

from __future__ import annotations

import pytest

from stackbone.cache.text import counted


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
