"""Thumbnails: upright, small in pixels and bytes, in order, and none where there is no image."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from stackbone.cache.disk.reading import ListedFile
from stackbone.extract.images.thumbnails import thumbnails


def listed(file: Path) -> ListedFile:
    content = file.read_bytes() if file.is_file() else b"gone"
    return ListedFile(str(file.parent), file.name, hashlib.sha256(content).digest())


def opened(content: bytes | str) -> Image.Image:
    assert isinstance(content, bytes)
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "WEBP"
    return picture.convert("RGB")


def halves(width: int, height: int) -> Image.Image:
    """Return a picture whose upper half is red and whose lower half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 255
    pixels[height // 2 :, :, 2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("size", "expected"), [((800, 400), (160, 80)), ((90, 300), (48, 160)), ((40, 30), (40, 30))])
def test_the_longer_side_is_160_pixels_and_small_images_stay(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    halves(*size).save(tmp_path / "a.png")
    [found] = thumbnails([listed(tmp_path / "a.png")])
    assert opened(found).size == expected


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # lies on its side: to be turned clockwise
    halves(200, 100).save(tmp_path / "a.jpg", exif=exif)
    [found] = thumbnails([listed(tmp_path / "a.jpg")])
    picture = opened(found)
    assert picture.size == (80, 160)
    left, right = np.asarray(picture)[80, [10, 70]]
    assert left[2] > 200 > 50 > left[0], "what was below is now on the left"
    assert right[0] > 200 > 50 > right[2]


def test_colours_and_transparency_are_those_of_the_decoder(tmp_path: Path) -> None:
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((50, 50), 30000, np.uint16)).save(tmp_path / "deep.png")
    clear, deep = thumbnails([listed(tmp_path / "clear.png"), listed(tmp_path / "deep.png")])
    assert np.asarray(opened(clear)).min() > 250
    assert abs(np.asarray(opened(deep)).mean() - 117) < 3


def test_what_cannot_be_read_has_a_reason_and_the_others_keep_their_places(tmp_path: Path) -> None:
    halves(50, 50).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ["cut.png", "good.png", "gone.png", "empty.jpg", ".", "bad\udcff.jpg", "good.png"]
    told: list[tuple[int, int]] = []
    files = [listed(tmp_path / name) for name in names]
    found = thumbnails(files, workers=2, on_progress=lambda *step: told.append(step))
    assert [isinstance(content, bytes) for content in found] == [False, True, False, False, False, False, True]
    assert told == [(n, 7) for n in range(1, 8)]
    assert thumbnails([]) == []


def test_six_hundred_of_the_worst_images_stay_under_four_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    [found] = thumbnails([listed(tmp_path / "noise.png")])
    assert isinstance(found, bytes)
    assert 600 * len(found) < 4e6
    assert opened(found).size == (160, 160)
