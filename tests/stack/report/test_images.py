"""Each image of a report is listed once, by its row in the dataset's index."""

from collections.abc import Callable
from pathlib import Path

from stackbone.cache import FeatureStore
from stackbone.stack.report.images import ImageList


def test_each_image_is_listed_once_in_the_order_of_asking(
    tmp_path: Path, make_cache: Callable[..., FeatureStore]
) -> None:
    labels = ["a", "b", "a", "a"]
    index = make_cache(tmp_path, labels, content=[1, 2, 1, 1], root=tmp_path / "photos").dataset()
    images = ImageList(index)
    assert images.add([2, 1]) == [2, 1]
    assert images.add([2]) == [2]
    assert list(images) == [2, 1]
    assert len(images) == 2
    records = images.records()
    assert {row: (each.path, each.label) for row, each in records.items()} == {2: ("a/2.jpg", "a"), 1: ("b/1.jpg", "b")}
    assert [each.file.place for each in records.values()] == [
        str(tmp_path / "photos/a/2.jpg"),
        str(tmp_path / "photos/b/1.jpg"),
    ]
    assert records[2].file.digest == index.image_sha256[2].tobytes()
