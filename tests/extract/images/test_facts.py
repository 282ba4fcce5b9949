"""What a look at an image file tells, on pictures whose numbers are known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter

from stackbone.cache.disk.reading import ListedFile
from stackbone.extract.images.measured.facts import SIDE, ImageFacts, measure_images


def listed(file: Path) -> ListedFile:
    return ListedFile(str(file.parent), file.name, hashlib.sha256(file.read_bytes()).digest())


def measured(file: Path) -> ImageFacts:
    (found,) = measure_images([listed(file)])
    assert isinstance(found, ImageFacts), found
    return found


def noise(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("level", [0, 51, 255])
def test_a_plain_picture_is_as_bright_as_its_level_and_not_sharp(tmp_path: Path, level: int) -> None:
    Image.new("RGB", (40, 30), (level, level, level)).save(tmp_path / "a.png")
    found = measured(tmp_path / "a.png")
    assert (found.brightness, found.highlight) == pytest.approx((level / 255, level / 255), abs=1e-6)
    assert found.sharpness == pytest.approx(0, abs=1e-6)
    assert found.camera == ""


def test_the_sharpness_is_the_spread_of_the_laplacian(tmp_path: Path) -> None:
    pixels = np.zeros((3, 3), np.uint8)
    pixels[1, 1] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    laplacian = np.array([0, 1, 0, 1, -4, 1, 0, 1, 0])
    found = measured(tmp_path / "a.png")
    assert found.highlight == pytest.approx(0.6)  # between the ninth of nine pixels and the eighth
    assert found.sharpness == pytest.approx(laplacian.std() / 0.6)


def test_a_darker_picture_is_as_sharp(tmp_path: Path) -> None:
    noise((64, 64)).save(tmp_path / "bright.png")
    noise((64, 64)).point([level // 5 for level in range(256)]).save(tmp_path / "dark.png")
    assert measured(tmp_path / "dark.png").sharpness == pytest.approx(
        measured(tmp_path / "bright.png").sharpness, rel=0.02
    )


@pytest.mark.parametrize("size", [(100, 80), (SIDE, SIDE), (600, 400)])
def test_blur_lowers_the_sharpness_at_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    sharp = noise(size).resize(size)
    sharp.save(tmp_path / "sharp.png")
    sharp.filter(ImageFilter.GaussianBlur(max(size) / 50)).save(tmp_path / "soft.png")
    assert measured(tmp_path / "soft.png").sharpness < 0.3 * measured(tmp_path / "sharp.png").sharpness


@pytest.mark.parametrize(
    ("make", "model", "camera"), [("Canon", "EOS 5D", "Canon EOS 5D"), ("", "X\0", "X"), ("M" * 300, "", "M" * 80)]
)
def test_the_camera_is_what_the_file_names(tmp_path: Path, make: str, model: str, camera: str) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = make, model
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg", exif=tags)
    assert measured(tmp_path / "a.jpg").camera == camera


def test_files_that_cannot_be_measured_say_why(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    gone = listed(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "c.png")
    steps: list[tuple[int, int]] = []
    files = [gone, listed(tmp_path / "b.png"), listed(tmp_path / "c.png"), ListedFile("", "d", b"\1" * 32)]
    first, second, third, fourth = measure_images(files, on_progress=lambda done, total: steps.append((done, total)))
    assert "No such file" in str(first)
    assert isinstance(second, str)
    assert isinstance(third, ImageFacts)
    assert "array in memory" in str(fourth)
    assert steps[-1] == (4, 4)


def test_a_broken_exif_block_counts_as_none(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert measured(tmp_path / "a.jpg").camera == ""
