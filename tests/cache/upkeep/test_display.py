"""A dataset's index in a notebook: a short text, an escaped table, a frame with everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, empty_index
from stackbone.cache.upkeep.display import MOST_ROWS
from tests.made.caches import make_digests, make_index

EVIL = "<img src=x onerror=alert(1)>\x1b[2J"


@pytest.fixture
def index() -> DatasetIndex:
    found = make_index("photos", make_digests(6), ["cat", "dog", EVIL, "cat", "", "dog"], failed=[3])
    return replace(found, sizes=np.full((6, 2), [40, 30]), columns={"camera": list("aabbcc"), "label": list("123456")})


def test_the_text_is_one_short_line(index: DatasetIndex) -> None:
    assert repr(index) == "<DatasetIndex photos: 6 images, 3 classes, 1 failed>"
    assert repr(make_index("many", make_digests(1))) == "<DatasetIndex many: 1 image, 1 class>"
    assert repr(empty_index("none", "")) == "<DatasetIndex none: 0 images, 0 classes>"


def test_the_frame_has_a_row_for_each_image(index: DatasetIndex) -> None:
    frame = index.to_frame()
    assert frame["path"].tolist() == index.path
    assert frame["label"].tolist() == index.label
    assert frame["ok"].tolist() == index.ok.tolist()
    assert frame["image_sha256"][5] == index.image_sha256[5].tobytes().hex()
    assert frame[["width", "height"]].values.tolist() == [[40, 30]] * 6
    assert frame["camera"].tolist() == list("aabbcc")
    assert frame["label_given"].tolist() == list("123456")
    assert len(empty_index("none", "").to_frame()) == 0


def test_the_page_counts_classes_by_split_and_is_escaped(index: DatasetIndex) -> None:
    page = index._repr_html_()
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "(no label)" in page
    assert "<th>train</th>" in page
    assert "1 failed" in page


@pytest.mark.parametrize("n_classes", [0, 1, 3 * MOST_ROWS])
def test_the_page_of_no_class_and_of_many_is_short(n_classes: int) -> None:
    labels = [f"class {i}" for i in range(n_classes)]
    index = make_index("photos", make_digests(n_classes), labels) if n_classes else empty_index("none", "")
    assert index._repr_html_().count("<tr") <= MOST_ROWS + 4
