"""What shards say of how they were made is read by one reader, before and after they are merged."""

from __future__ import annotations

import pytest

from stackbone.cache.records.provenance import Provenance, merge_provenance


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("123.4", 123.4),
        ("24.2; 35.9", pytest.approx(30.05)),
        ("102.0; 24.2; 35.9", 35.9),  # as text, which earlier versions sorted by
        ("1.0; 2.0; 3.0; ...; 7.0; 8.0; 9.0", 5.0),
        ("fast; nan; inf; -3; 0.0; 5", 5.0),
        ("unknown", None),
        ("1e999", None),
        ("", None),
        ("; ; ", None),
    ],
)
def test_a_speed_is_the_median_of_what_was_recorded(text: str, rate: float | None) -> None:
    assert Provenance({"images_per_s": text}).images_per_s == rate


def test_a_speed_that_was_not_recorded_is_none() -> None:
    assert Provenance({"engine": "torch"}).images_per_s is None


@pytest.mark.parametrize(
    ("name", "texts", "merged", "words"),
    [
        ("images_per_s", ["102.0", "24.2", "35.9"], "24.2; 35.9; 102.0", "24.2 to 102.0"),
        ("created", ["2026-02-01", "2026-01-01"], "2026-01-01; 2026-02-01", "2026-01-01 to 2026-02-01"),
        ("device", ["cuda:0", "cpu", "cpu"], "cpu; cuda:0", "cpu, cuda:0"),
        ("engine", ["torch", "torch"], "torch", "torch"),
        ("torch", ["2.14", "2.13; 2.12"], "2.12; 2.13; 2.14", "2.12, 2.13, 2.14"),
        (
            "weights",
            list("abcdefgh"),
            "a; b; c; ...; f; g; h",
            "a, b, c, f, g, h, and others",
        ),
        ("pillow", ["11; ...; 12", "13"], "11; 12; 13; ...", "11, 12, 13, and others"),
    ],
)
def test_every_fact_is_merged_and_read_by_the_same_hand(name: str, texts: list[str], merged: str, words: str) -> None:
    made = merge_provenance([{name: text, "stackbone": "1"} for text in texts])
    assert made == {name: merged, "stackbone": "1"}
    assert merge_provenance([made, made]) == made, "merging again changes nothing"
    assert made.in_words() == {name: words, "stackbone": "1"}


@pytest.mark.parametrize(
    ("text", "words"), [("0a1b", "1 image"), ("a b c", "3 images"), ("a b ...", "2 images and more")]
)
def test_people_read_how_many_images_are_cut_short_not_which(text: str, words: str) -> None:
    assert Provenance({"truncated": text}).in_words() == {"truncated": words}


def test_a_fact_that_only_some_shards_have_is_kept() -> None:
    made = merge_provenance([{"engine": "torch"}, {"engine": "openvino", "openvino": "2026"}, {}])
    assert made == {"engine": "openvino; torch", "openvino": "2026"}
    assert merge_provenance([]) == {}
