"""Names of views are a list, groups stand for lists, and what is no view is refused with what is meant."""

from __future__ import annotations

import pytest

from stackbone.cache import UsageError
from stackbone.cache.records.views import VIEW_GROUPS, augmented_number, expand_views, is_known_view, is_view_group

CORNERS = ["top_left", "top_right", "bottom_left", "bottom_right"]


@pytest.mark.parametrize(
    ("asked", "views"),
    [
        ("plain", ["plain"]),
        ("plain,hflip", ["plain", "hflip"]),
        (" hflip , plain,hflip,", ["hflip", "plain"]),
        (["hflip", "augment7"], ["hflip", "augment7"]),
        ("five-crop", ["plain", *CORNERS]),
        ("hflip,five-crop", ["hflip", "plain", *CORNERS]),
        ("ten-crop", ["plain", *CORNERS, "hflip", *(f"{corner}_hflip" for corner in CORNERS)]),
        ("augment:3", ["augment0", "augment1", "augment2"]),
        ("plain,augment:2,augment1", ["plain", "augment0", "augment1"]),
    ],
)
def test_names_and_groups_become_views(asked: str | list[str], views: list[str]) -> None:
    assert expand_views(asked) == views


def test_more_random_views_keep_those_that_were_there() -> None:
    assert expand_views("augment:12")[:4] == expand_views("augment:4")


def test_every_view_is_one_and_is_numbered_or_not() -> None:
    for view in [*expand_views("ten-crop"), *expand_views("augment:1000")]:
        assert is_known_view(view)
    assert [augmented_number(view) for view in ("augment0", "augment999", "plain", "hflip")] == [0, 999, None, None]
    for name in (*VIEW_GROUPS, "augment", "augment01", "augment1000", "augment:2", "plain_hflip", ""):
        assert not is_known_view(name)
    for name in (*VIEW_GROUPS, "augment:2", "augment:0"):
        assert is_view_group(name)
    assert not any(is_view_group(name) for name in ("plain", "augment0", "five_crop", ""))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("hflop", "did you mean 'hflip'?"),
        ("plain,five_crop", "did you mean 'five-crop'?"),
        ("top-left", "did you mean 'top_left'?"),
        ("PLAIN", "did you mean 'plain'?"),
        ("augment", "did you mean 'augment:4'?"),
        ("rotate90", "choose from plain, top_left"),
        ("augment:0", "expected a number from 1 to 1,000"),
        ("augment:1001", "expected a number from 1 to 1,000"),
        ("augment:-2", "expected a number from 1 to 1,000"),
        ("augment:", "expected a number from 1 to 1,000"),
        ("augment:٣", "expected a number from 1 to 1,000"),
        ("", "no view was named"),
        (" , ", "no view was named"),
    ],
)
def test_what_is_no_view_is_refused_with_what_there_is(asked: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        expand_views(asked)
    assert said in str(refused.value)
    assert "augment:" in str(refused.value)
