"""The boxes of a dataset come back as they were written, go with it, and damage is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from stackbone.cache import CacheError, CorruptFileError, FeatureStore, UsageError
from stackbone.cache.boxes.box_file import boxes_path
from stackbone.cache.boxes.box_table import BoxTable, box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import make_digests, make_index, on_disk
from tests.made.sealing import reseal

DIGESTS = make_digests(4)


def image(*boxes: tuple[float, float, float, float], names: str = "", size: tuple[int, int] = (640, 480)) -> ImageBoxes:
    n = len(boxes)
    flags = np.arange(n) % 2 == 1
    return ImageBoxes(np.array(boxes, np.float32).reshape(-1, 4), tuple(names), flags, ~flags, *size)


def made() -> dict[bytes, ImageBoxes]:
    return {
        DIGESTS[0].tobytes(): image((0, 0, 640, 480), (1.5, 2.25, 3, 4), names="ba"),
        DIGESTS[2].tobytes(): image(size=(3, 5)),
        DIGESTS[1].tobytes(): image((7, 8, 9, 10), names="b", size=(0, 0)),
    }


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(make_index("photos", DIGESTS))
    store.write_boxes("photos", box_table(made(), "voc"))
    return store


def same(found: ImageBoxes | None, image: ImageBoxes) -> bool:
    assert found is not None
    assert (found.classes, found.width, found.height) == (image.classes, image.width, image.height)
    assert (found.corners.dtype, found.difficult.dtype) == (np.dtype(np.float32), np.dtype(np.bool_))
    return all(np.array_equal(getattr(found, name), getattr(image, name)) for name in ("corners", "difficult", "crowd"))


def test_boxes_come_back_as_they_were_written(store: FeatureStore) -> None:
    table = store.boxes("photos")
    assert table is not None
    assert (len(table), table.n_boxes, table.classes, table.source) == (3, 3, ("a", "b"), "voc")
    assert [digest.tobytes() for digest in table.digests] == sorted(made())
    assert all(same(table.of(digest), boxes) for digest, boxes in made().items())
    assert all(same(found, made()[key]) for found, key in zip(table.images, sorted(made()), strict=True))
    assert table.of(DIGESTS[3].tobytes()) is None
    assert table.equals(box_table(made(), "voc"))
    assert not table.equals(box_table(made(), "coco"))
    with pytest.raises(IndexError):
        table.images[3]
    assert [len(each) for each in table.images[:2]] == [len(made()[key]) for key in sorted(made())[:2]]


def test_a_cache_without_boxes_has_none(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(make_index("photos", DIGESTS))
    assert store.boxes("photos") is None
    assert verify(store).n_boxes == 0
    store.write_boxes("photos", None)
    assert not (store.root / "boxes").exists()


@pytest.mark.parametrize("images", [{}, {bytes(range(32)): image()}], ids=["no image", "no object"])
def test_a_table_may_hold_no_box(store: FeatureStore, images: dict[bytes, ImageBoxes]) -> None:
    store.write_boxes("photos", box_table(images, "yolo"))
    table = store.boxes("photos")
    assert table is not None
    assert (len(table), table.n_boxes, table.classes) == (len(images), 0, ())
    assert verify(store).findings == []


def test_boxes_are_replaced_and_removed(store: FeatureStore) -> None:
    store.write_boxes("photos", box_table({DIGESTS[3].tobytes(): image((0, 0, 1, 1), names="c")}, "voc"))
    table = store.boxes("photos")
    assert table is not None
    assert table.classes == ("c",)
    store.write_boxes("photos", None)
    assert store.boxes("photos") is None


def test_names_of_classes_may_be_any_text(store: FeatureStore) -> None:
    boxes = replace(image((0, 0, 1, 1), (0, 0, 1, 1)), classes=("Übergröße \x1b[1m", "赤血球"))
    store.write_boxes("photos", box_table({bytes(32): boxes}, "coco"))
    table = store.boxes("photos")
    assert table is not None
    assert table.images[0].classes == boxes.classes


@pytest.mark.parametrize(
    ("corners", "said"),
    [((3, 0, 3, 5), "no area"), ((3, 0, 1, 5), "no area"), ((0, 0, np.nan, 1), "no area"), ((0, 0, np.inf, 1), "area")],
)
def test_a_box_without_an_area_is_not_written(
    store: FeatureStore, corners: tuple[float, float, float, float], said: str
) -> None:
    before = on_disk(boxes_path(store.root, "photos")).read_bytes()
    with pytest.raises(CacheError, match=said):
        store.write_boxes("photos", box_table({bytes(32): image(corners, names="a")}, "voc"))
    assert on_disk(boxes_path(store.root, "photos")).read_bytes() == before


def test_a_name_that_would_not_come_back_is_not_written(store: FeatureStore) -> None:
    with pytest.raises(CacheError, match="ends in a zero byte"):
        store.write_boxes("photos", box_table({bytes(32): image((0, 0, 1, 1), names="\0")}, "voc"))


def test_digests_out_of_order_are_not_written(store: FeatureStore) -> None:
    digests = np.stack([np.full(32, 2, np.uint8), np.full(32, 1, np.uint8)])
    with pytest.raises(CacheError, match="not ascending and distinct"):
        store.write_boxes("photos", BoxTable(digests, [image(), image()], "voc"))


def test_a_name_that_leads_elsewhere_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="cannot name a dataset"):
        store.write_boxes("../photos", box_table({}, "voc"))


def test_verify_counts_boxes_and_sets_damaged_ones_aside(store: FeatureStore) -> None:
    found = verify(store)
    assert (found.n_boxes, found.findings) == (1, [])
    assert "1 file of boxes" in found.lines()[0]
    assert found.n_bytes == sum(path.stat().st_size for path in on_disk(store.root).rglob("*.h5"))
    path = boxes_path(store.root, "photos")
    content = bytearray(on_disk(path).read_bytes())
    content[-40] ^= 1
    on_disk(path).write_bytes(content)
    with pytest.raises(CorruptFileError, match="`stackbone extract` on the dataset to write its boxes again"):
        store.boxes("photos")
    [finding] = verify(store, repair=True).findings
    assert finding.moved_to is not None
    assert finding.moved_to.parent == store.root / "set-aside" / "boxes"
    assert on_disk(finding.moved_to).read_bytes() == content
    assert store.boxes("photos") is None


def _swapped(file: h5py.File) -> None:
    file["corners"][0] = (5, 5, 1, 1)


def _more(file: h5py.File) -> None:
    file["n_boxes"][0] += 1


def _huge(file: h5py.File) -> None:
    file["n_boxes"][:] = (1 << 62, 1 << 62, (1 << 62) + 3)


def _unknown(file: h5py.File) -> None:
    file["class"][0] = 7


def _below(file: h5py.File) -> None:
    file["class"][0] = -1


def _mixed(file: h5py.File) -> None:
    file["image_sha256"][0] = file["image_sha256"][1]


def _flag(file: h5py.File) -> None:
    file["crowd"][0] = 2


def _size(file: h5py.File) -> None:
    file["width"][1] = -1


@pytest.mark.parametrize("change", [_swapped, _more, _huge, _unknown, _below, _mixed, _flag, _size])
def test_a_sealed_file_that_contradicts_itself_is_refused(store: FeatureStore, change: object) -> None:
    path = boxes_path(store.root, "photos")
    with h5py.File(path, "r+") as file:
        change(file)  # type: ignore[operator]
    reseal(on_disk(path))
    with pytest.raises(CorruptFileError, match="not a sound cache file"):
        store.boxes("photos")


def test_boxes_of_another_dataset_are_refused(store: FeatureStore) -> None:
    on_disk(boxes_path(store.root, "photos")).rename(on_disk(boxes_path(store.root, "other")))
    with pytest.raises(CorruptFileError, match="it is of the dataset 'photos', not of 'other'"):
        store.boxes("other")


def test_forgetting_a_dataset_forgets_its_boxes(store: FeatureStore) -> None:
    store.write_boxes("kept", box_table(made(), "voc"))
    plan = plan_forget(store, ["photos"], unused=False)
    assert plan.lines() == ["the dataset photos and its boxes (its images' features stay)"]
    plan.run()
    assert store.boxes("photos") is None
    assert store.boxes("kept") is not None


def test_what_a_dead_writer_left_is_removed(store: FeatureStore) -> None:
    left = store.root / "boxes" / ".writing-0"
    on_disk(left).write_bytes(b"")
    assert store.remove_abandoned() == 1
    assert not left.exists()
