"""Training pixels depend on the image, the seed and the epoch alone; the validation part is a fair sample."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import DatasetError
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.extract.steering.batches import PixelStore, crop_as_released, crop_at_random, split_for_validation
from tests.made.archives import write_archive

TRANSFORM = Transform((16, 16), 0.9, "bicubic")
N = 7


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def contents() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [png(rng.integers(0, 256, (20 + i, 30, 3), np.uint8)) for i in range(N)]


@pytest.fixture
def paths(tmp_path: Path, contents: list[bytes]) -> list[str]:
    for i, content in enumerate(contents):
        (tmp_path / f"{i}.png").write_bytes(content)
    return [str(tmp_path / f"{i}.png") for i in range(N)]


def digests_of(contents: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(hashlib.sha256(each).digest() for each in contents), np.uint8).reshape(-1, 32)


@pytest.fixture
def store(paths: list[str], contents: list[bytes]) -> PixelStore:
    store = PixelStore(paths, digests_of(contents), TRANSFORM, workers=2)
    assert store.load() == {}
    return store


def joined(batches: Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]) -> dict[int, NDArray[np.uint8]]:
    return {int(row): image for rows, pixels in batches for row, image in zip(rows, pixels, strict=True)}


def test_plain_pixels_are_those_that_features_are_made_of(store: PixelStore, contents: list[bytes]) -> None:
    batches = list(store.plain_batches(range(N), 3))
    assert [rows.tolist() for rows, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    for row, pixels in joined(iter(batches)).items():
        np.testing.assert_array_equal(pixels, apply_transform(decode(contents[row]), TRANSFORM))


@pytest.mark.parametrize("extension", [".tar", ".tar.gz", ".zip"])
def test_pixels_of_images_in_an_archive_are_those_of_their_files(
    tmp_path: Path, contents: list[bytes], extension: str
) -> None:
    names = [f"{i}.png" for i in range(N)]
    stored = [5, 2, 6, 0, 3, 1, 4]
    file = write_archive(tmp_path / f"photos{extension}", {names[i]: contents[i] for i in stored})
    for room in (0, 1 << 20):  # read each time, and kept
        archived = PixelStore([f"{file}/{name}" for name in names], digests_of(contents), TRANSFORM, budget=room)
        assert archived.load() == {}
        for row, pixels in joined(archived.plain_batches(range(N), 3)).items():
            np.testing.assert_array_equal(pixels, apply_transform(decode(contents[row]), TRANSFORM))


def test_a_crop_does_not_depend_on_batch_order_or_memory(
    store: PixelStore, paths: list[str], contents: list[bytes]
) -> None:
    found = joined(store.random_batches(range(N), 3, area=0.5, seed=1, epoch=4))
    assert found[0].shape == (16, 16, 3)
    assert found[0].dtype == np.uint8
    unkept = PixelStore(paths[::-1], digests_of(contents[::-1]), TRANSFORM, workers=1, budget=2000)
    unkept.load()
    other = joined(unkept.random_batches([5, 1, 3, 0, 6, 2, 4], 2, area=0.5, seed=1, epoch=4))
    for row, pixels in found.items():
        np.testing.assert_array_equal(pixels, other[N - 1 - row])


@pytest.mark.parametrize(("seed", "epoch"), [(2, 4), (1, 5)])
def test_another_seed_or_epoch_crops_otherwise(store: PixelStore, seed: int, epoch: int) -> None:
    found = joined(store.random_batches(range(N), N, area=0.5, seed=1, epoch=4))
    other = joined(store.random_batches(range(N), N, area=0.5, seed=seed, epoch=epoch))
    assert all((found[row] != other[row]).any() for row in range(N))


@pytest.mark.parametrize(("area", "narrowest"), [(0.35, 3 / 4), (0.7, 0.7 * 120 / 90)])
def test_a_crop_is_a_part_of_the_image_at_its_place(area: float, narrowest: float) -> None:
    """The picture's colours are its coordinates, so that a crop shows where it comes from.

    A part of seven tenths that is as high as the picture is no narrower than 84 of its 120 columns.
    """
    high, wide = 90, 120
    y, x = np.mgrid[0:high, 0:wide]
    picture = Image.fromarray(np.stack([x * 2, y * 2, 0 * x], axis=-1).astype(np.uint8))
    rng = np.random.default_rng(3)
    transform = Transform((32, 32), 1.0, "bilinear")
    areas, ratios, mirrored = [], [], 0
    for _ in range(400):
        crop = crop_at_random(picture, transform, area, rng).astype(float) / 2
        across, down = crop[16, :, 0], crop[:, 16, 1]
        mirrored += across[0] > across[-1]
        w, h = abs(across[-2] - across[1]) / 29 * 32, (down[-2] - down[1]) / 29 * 32
        areas.append(w * h / (high * wide))
        ratios.append(w / h)
    assert 160 < mirrored < 240
    assert area - 0.02 < min(areas) < area + 0.05
    assert 0.9 < max(areas) < 1.03
    assert narrowest - 0.03 < min(ratios) < narrowest + 0.05
    assert 1.27 < max(ratios) < 1.37


def test_an_image_too_long_for_any_part_is_taken_whole() -> None:
    pixels = np.zeros((4, 400, 3), np.uint8)
    pixels[:, :200] = 255
    crop = crop_at_random(Image.fromarray(pixels), Transform((8, 8), 1.0, "bilinear"), 0.7, np.random.default_rng(0))
    assert sorted([float(crop[:, 0].mean()), float(crop[:, -1].mean())]) == [0.0, 255.0]


def test_an_area_of_one_mirrors_alone(contents: list[bytes]) -> None:
    picture, transform = decode(contents[0]), Transform((16, 16), 1.0, "bilinear")
    whole = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR))
    rng = np.random.default_rng(0)
    crops = [crop_at_random(picture, transform, 1.0, rng) for _ in range(20)]
    mirrored = [bool((crop == whole[:, ::-1]).all()) for crop in crops]
    assert 0 < sum(mirrored) < 20
    assert all((crop == whole).all() for crop, is_mirrored in zip(crops, mirrored, strict=True) if not is_mirrored)


@pytest.mark.parametrize(("wide", "high", "size"), [(256, 256, 224), (512, 256, 224), (256, 300, 224), (64, 48, 32)])
def test_the_authors_crop_is_seven_eighths_of_the_shorter_side(wide: int, high: int, size: int) -> None:
    """On an image whose colours tell the place: red rises by a step a column, green by a step a row."""
    across, down = np.meshgrid(np.arange(wide) * 255 / (wide - 1), np.arange(high) * 255 / (high - 1))
    picture = Image.fromarray(np.stack([across, down, down], -1).astype(np.uint8))
    rng = np.random.default_rng(0)
    transform = Transform((size, size), 0.875, "bilinear")
    lefts, tops, mirrored = [], [], 0
    for _ in range(60):
        crop = crop_as_released(picture, transform, rng).astype(float)
        red, green = crop[size // 2, [1, -2], 0] * (wide - 1) / 255, crop[[1, -2], size // 2, 1] * (high - 1) / 255
        mirrored += int(red[0] > red[1])
        side = min(wide, high) * 0.875
        pixel = side / size
        assert abs(red[1] - red[0]) == pytest.approx(side - 3 * pixel, abs=2 * wide / 255)
        assert green[1] - green[0] == pytest.approx(side - 3 * pixel, abs=2 * high / 255)
        lefts.append(red.min() - 1.5 * pixel)
        tops.append(green[0] - 1.5 * pixel)
    assert 15 < mirrored < 45
    for places, room in ((lefts, wide - min(wide, high) * 0.875), (tops, high - min(wide, high) * 0.875)):
        assert min(places) < 0.2 * room + 3
        assert max(places) > 0.8 * room - 3
        assert max(places) < room + 3


def test_images_that_cannot_be_read_are_told_with_their_reason(paths: list[str], contents: list[bytes]) -> None:
    Path(paths[1]).unlink()
    Path(paths[3]).write_bytes(contents[4])
    broken = [*contents]
    broken[5] = contents[5][:60]
    Path(paths[5]).write_bytes(broken[5])
    calls: list[tuple[int, int]] = []
    failed = PixelStore(paths, digests_of(broken), TRANSFORM).load(lambda done, total: calls.append((done, total)))
    assert failed.keys() == {1, 3, 5}
    assert "No such file" in failed[1]
    assert "changed since it was listed" in failed[3]
    assert "is cut short" in failed[5]
    assert calls == [(i + 1, N) for i in range(N)]


def test_an_image_that_vanishes_during_training_stops_it_by_name(paths: list[str], contents: list[bytes]) -> None:
    store = PixelStore(paths, digests_of(contents), TRANSFORM, budget=0)
    store.load()
    Path(paths[2]).unlink()
    with pytest.raises(DatasetError, match=r"2\.png could be read when the training began, and now No such file"):
        list(store.plain_batches(range(N), 2))


def test_every_class_gives_its_share_for_validation() -> None:
    labels = dict(enumerate(["a"] * 200 + ["b"] * 30 + ["c"] * 15 + ["d"]))
    training, validation = split_for_validation(labels, 0.1, seed=0)
    counts = Counter(labels[int(row)] for row in validation)
    assert sorted([*training.tolist(), *validation.tolist()]) == list(labels)
    assert counts["a"] in (20, 21)
    assert counts["b"] in (3, 4)
    assert counts["c"] in (1, 2)
    assert counts["d"] == 0


def test_small_classes_give_their_share_together() -> None:
    labels = {row: f"class {row // 4}" for row in range(4000)}
    _, validation = split_for_validation(labels, 0.1, seed=0)
    assert 340 < len(validation) < 460  # each class gives one of its four images, or none
    assert max(Counter(labels[int(row)] for row in validation).values()) == 1


def test_a_class_of_one_image_stays_in_training_whatever_the_share() -> None:
    training, validation = split_for_validation({0: "a", 1: "b", 2: "b", 3: "b"}, 0.5, seed=0)
    assert 0 in training
    assert {1, 2, 3} & set(training.tolist())
    assert {1, 2, 3} & set(validation.tolist())


def test_images_of_one_group_are_validated_on_together_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 120, 600).tolist()  # five images each, of any class
    labels = {row: str(row % 3) for row in range(600) if row % 7}
    training, validation = split_for_validation(labels, 0.1, 0, groups)
    assert not {groups[row] for row in training} & {groups[row] for row in validation}
    assert sorted([*training.tolist(), *validation.tolist()]) == list(labels)
    assert 0.07 < len(validation) / len(labels) < 0.15


@pytest.mark.parametrize(
    ("labels", "groups", "least", "most"),
    [
        # Two groups of a class, as three folds leave of three; three hospitals; one that is most of all; wide groups.
        ([str(row // 100) for row in range(1000)], [row // 50 for row in range(1000)], 0.1, 0.1),
        ([str(row % 5) for row in range(3000)], [row // 1000 for row in range(3000)], 0.0, 0.0),
        ([str(row % 10) for row in range(3000)], [max(0, (row - 2500) // 100) for row in range(3000)], 0.09, 0.11),
        ([str(min(row % 97, 40)) for row in range(3000)], [row // 50 for row in range(3000)], 0.09, 0.11),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_large_groups_do_not_make_the_validation_part_large(
    labels: list[str], groups: list[int], least: float, most: float, seed: int
) -> None:
    _, validation = split_for_validation(dict(enumerate(labels)), 0.1, seed, groups)
    assert least <= len(validation) / len(labels) <= most


def test_a_class_that_is_one_group_stays_in_training() -> None:
    labels = {row: "a" if row < 20 else "b" for row in range(60)}
    training, validation = split_for_validation(labels, 0.2, 0, [0] * 20 + [1 + row // 10 for row in range(40)])
    assert set(range(20)) <= set(training.tolist())
    assert len(validation) == 10


def test_the_split_follows_the_seed_and_may_be_empty() -> None:
    labels = {row: str(row % 3) for row in range(60)}
    one, same, other = (split_for_validation(labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1))
    assert one == same != other
    training, validation = split_for_validation(labels, 0.0, seed=0)
    assert len(training) == 60
    assert len(validation) == 0
