"""Any image file ends as upright RGB pixels, the ones timm's evaluation transform would feed, or as an `ImageError`."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, features

from stackbone.cache import ImageError
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.images.decode import apply_transform, decode, quiet_pillow
from stackbone.extract.images.limits import MAX_PIXELS
from tests.made.checkout import ROOT
from tests.made.timm_config import pinned_config

Pixels = NDArray[np.uint8]

SQUASH = Transform((224, 224), 1.0, "bicubic", "squash")
WIDE = Transform((200, 320), 0.9, "bilinear")
HIGH = Transform((320, 200), 0.875, "bicubic")
TRANSFORMS = list(dict.fromkeys([*(b.transform for b in BACKBONES.values()), SQUASH, WIDE, HIGH]))


def picture(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """Blurred colour noise: smooth enough for JPEG, alike in no two corners."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def writes(kind: str) -> bool:
    Image.init()
    return kind in Image.SAVE


def pixels(content: bytes) -> Pixels:
    image = decode(content)
    assert image.mode == "RGB"
    return np.asarray(image)


def levels_apart(found: Pixels, expected: Pixels) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# Whole images of every kind


def test_lossless_formats_give_the_pixels_that_were_saved() -> None:
    image = picture()
    for kind, options in [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {})]:
        np.testing.assert_array_equal(pixels(encoded(image, kind, **options)), np.asarray(image), err_msg=kind)


def test_tiff_compressions_give_the_pixels_that_were_saved() -> None:
    image = picture()
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        np.testing.assert_array_equal(pixels(encoded(image, "TIFF", compression=compression)), np.asarray(image))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}])
def test_jpeg_is_close_to_what_was_saved(options: dict[str, Any]) -> None:
    image = picture()
    assert levels_apart(pixels(encoded(image, "JPEG", quality=97, **options)), np.asarray(image)) <= 24


def test_grey_jpeg_has_three_equal_channels() -> None:
    found = pixels(encoded(picture().convert("L"), "JPEG"))
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_one_bit_png_is_black_and_white() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(bool)
    found = pixels(encoded(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(found, np.repeat(bits[..., None] * np.uint8(255), 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 300, 25_700, 32_768, 40_000, 65_278, 65_535]], np.uint16)
    found = pixels(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(found[0, :, 0], np.rint(values[0] / 257.0).astype(np.uint8))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 1, 100, 128, 156, 254, 255]


def test_big_endian_16_bit_tiff_is_scaled_alike() -> None:
    values = np.arange(0, 65_536, 257, dtype=np.uint16).reshape(16, 16)
    content = encoded(Image.frombytes("I;16B", (16, 16), values.astype(">u2").tobytes()), "TIFF")
    np.testing.assert_array_equal(pixels(content)[..., 1].ravel(), np.arange(256))


def test_16_bit_colour_png_keeps_the_high_bytes() -> None:
    rows = b"".join(b"\x00" + bytes([200, 9, 100, 9, 0, 9] * 4) for _ in range(3))
    header = struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    found = pixels(content + png_chunk(b"IEND", b""))
    assert found.shape == (3, 4, 3)
    assert (found == [200, 100, 0]).all()


def test_rgba_is_laid_over_white() -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 0, 3], rgba[:, 1, 3], rgba[:, 2, 3] = 0, 128, 255
    for kind, options in [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]:
        found = pixels(encoded(Image.fromarray(rgba), kind, **options))
        expected = np.rint(rgba[..., :3] * (rgba[..., 3:] / 255) + 255 * (1 - rgba[..., 3:] / 255)).astype(np.uint8)
        assert levels_apart(found, expected) <= 1, kind
        assert found[0, 0].tolist() == [255, 255, 255]
        assert found[0, 2].tolist() == [200, 0, 0]


def test_grey_with_alpha_is_laid_over_white() -> None:
    grey, alpha = Image.new("L", (3, 1), 60), Image.new("L", (3, 1))
    alpha.putdata([0, 51, 255])
    found = pixels(encoded(Image.merge("LA", (grey, alpha)), "PNG"))
    assert found[0, :, 0].tolist() == [255, 216, 60]  # 60 * 0.2 + 255 * 0.8 = 216


def test_palette_with_transparency_is_laid_over_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 100, 0, 0, 0, 0, 200])
    image.putdata([0, 1, 2])
    found = pixels(encoded(image, "PNG", transparency=bytes([0, 51, 255])))
    assert found[0].tolist() == [[255, 255, 255], [224, 204, 204], [0, 0, 200]]


def test_a_transparent_colour_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (1, 2, 3))
    assert pixels(encoded(image, "PNG", transparency=(1, 2, 3)))[0].tolist() == [[9, 9, 9], [255, 255, 255]]
    grey = Image.fromarray(np.array([[700, 25_700]], np.uint16))
    content = encoded(grey, "PNG")
    end_of_header = 8 + 25
    content = content[:end_of_header] + png_chunk(b"tRNS", struct.pack(">H", 700)) + content[end_of_header:]
    assert pixels(content)[0, :, 0].tolist() == [255, 100]


def plain_rgb(cmyk: Pixels) -> Pixels:
    """Pillow's formula: what is left of white after the inks and black."""
    inks, black = cmyk[..., :3].astype(float), cmyk[..., 3:].astype(float)
    rgb: Pixels = np.rint((255 - inks) * (255 - black) / 255).astype(np.uint8)
    return rgb


def smooth_cmyk() -> Pixels:
    return np.dstack([np.asarray(picture()), np.asarray(picture(seed=1).convert("L"))])


def test_cmyk_jpeg_is_not_inverted() -> None:
    cmyk = smooth_cmyk()
    content = encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=98)
    assert b"Adobe" in content
    assert levels_apart(pixels(content), plain_rgb(cmyk)) <= 12


def test_ycck_jpeg_is_converted() -> None:
    cmyk = smooth_cmyk()
    # YCCK (Adobe Technical Note 5116): YCbCr of what a reader has to invert to get the inks, and black inverted.
    # Pillow writes none: its planes are written here as if they were CMYK, and the marker is changed.
    planes = np.dstack([np.asarray(Image.fromarray(cmyk[..., :3]).convert("YCbCr")), 255 - cmyk[..., 3]])
    content = bytearray(encoded(Image.fromarray(255 - planes, "CMYK"), "JPEG", quality=98))
    marker = content.index(b"Adobe")
    assert content[marker + 11] == 0  # no transform
    content[marker + 11] = 2  # YCCK
    assert levels_apart(pixels(bytes(content)), plain_rgb(cmyk)) <= 16


def test_the_first_frame_counts() -> None:
    first, second = picture(), picture(seed=1)
    for kind, options in [("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]:
        content = encoded(first, kind, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(pixels(content), np.asarray(first), err_msg=kind)
    content = encoded(first, "MPO", save_all=True, append_images=[second], quality=97)
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert levels_apart(pixels(content), np.asarray(first)) <= 24


def test_the_first_frame_of_an_animated_gif_counts() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "lime")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    assert (pixels(content) == [255, 0, 0]).all()


def test_a_transparent_gif_is_laid_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 100, 0, 0])
    image.putdata([0, 1])
    assert pixels(encoded(image, "GIF", transparency=1))[0].tolist() == [[10, 20, 30], [255, 255, 255]]


@pytest.mark.skipif(not writes("AVIF"), reason="this Pillow was built without AVIF")
def test_avif_is_close_to_what_was_saved() -> None:
    image = picture()
    assert levels_apart(pixels(encoded(image, "AVIF", quality=95, subsampling="4:4:4")), np.asarray(image)) <= 24


def test_a_name_does_not_decide_the_format() -> None:
    assert pixels(encoded(picture(), "PNG")).shape == (64, 96, 3)  # `decode` sees bytes, never a name


# Orientation


def oriented(pixels_upright: Pixels, orientation: int) -> Pixels:
    """Return pixels as a camera stores them that asks for `orientation` (EXIF 2.32, section 4.6.4, tag 274)."""
    x = pixels_upright
    stored = {
        1: x,
        2: x[:, ::-1],
        3: x[::-1, ::-1],
        4: x[::-1],
        5: x.swapaxes(0, 1),
        6: np.rot90(x, 1),  # the viewer turns it clockwise
        7: x[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(x, -1),
    }
    return np.ascontiguousarray(stored[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = np.asarray(picture(40, 24))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(oriented(upright, orientation)), kind, exif=exif, **options)
    np.testing.assert_array_equal(pixels(content), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_jpeg_is_applied(orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)  # four quarters, each of its own colour
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(oriented(upright, orientation))
    found = pixels(encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert levels_apart(found[[4, 4, 28, 28], [4, 44, 4, 44]], upright[[4, 4, 28, 28], [4, 44, 4, 44]]) <= 6


def exif_of(entry: bytes) -> bytes:
    return b"Exif\x00\x00MM\x00*\x00\x00\x00\x08" + entry


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00no TIFF header at all",
        exif_of(b""),
        exif_of(b"\x00\x09"),  # nine entries announced, none there
        exif_of(b"\x00\x01" + struct.pack(">HHIHH", 274, 3, 1, 99, 0) + b"\x00" * 4),  # orientation 99
        exif_of(b"\x00\x01" + struct.pack(">HHII", 274, 2, 4_000_000_000, 4_000_000_000)),
        exif_of(b"\x00\x01" + struct.pack(">HHIHH", 274, 3, 0, 6, 0)),
        exif_of(b"\x00\x01" + struct.pack(">HHI4s", 274, 2, 3, b"6\x00\x00\x00") + b"\x00" * 4),  # as text
        exif_of(b"\x00\x01" + struct.pack(">HHII", 34665, 4, 1, 8) + b"\x00" * 4),  # a directory inside itself
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
    ],
)
def test_a_broken_exif_block_counts_as_none(exif: bytes) -> None:
    image = picture()
    kinds: list[tuple[str, dict[str, Any]]] = [("JPEG", {"quality": 90}), ("PNG", {}), ("WEBP", {"lossless": True})]
    for kind, options in kinds:
        with quiet_pillow():
            found = pixels(encoded(image, kind, exif=exif, **options))
        np.testing.assert_array_equal(found, pixels(encoded(image, kind, **options)))


def test_a_broken_block_beside_the_orientation_does_not_fail_the_image() -> None:
    # The orientation is readable, but the block cannot be written again, which Pillow's own helper would try.
    entries = struct.pack(">HHIHH", 274, 3, 1, 6, 0) + struct.pack(">HHII", 34665, 4, 1, 4_000_000_000)
    image = picture()
    content = encoded(image, "PNG", exif=exif_of(b"\x00\x02" + entries + b"\x00" * 4))
    with quiet_pillow():
        np.testing.assert_array_equal(pixels(content), np.rot90(np.asarray(image), -1))


# Damage


def wholes() -> list[tuple[str, bytes]]:
    image = picture(200, 120)
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("JPEG", "JPEG", {}),
        ("progressive JPEG", "JPEG", {"progressive": True}),
        ("PNG", "PNG", {}),
        ("WEBP", "WEBP", {}),
        ("GIF", "GIF", {}),
        ("BMP", "BMP", {}),
        ("PPM", "PPM", {}),
        ("TIFF", "TIFF", {}),
        ("LZW TIFF", "TIFF", {"compression": "tiff_lzw"}),
    ]
    if writes("AVIF"):
        kinds.append(("AVIF", "AVIF", {}))
    if features.check("jpg_2000"):
        kinds.append(("JPEG2000", "JPEG2000", {}))
    return [(title, encoded(image, kind, **options)) for title, kind, options in kinds]


@pytest.mark.parametrize(("title", "content"), wholes(), ids=[title for title, _ in wholes()])
def test_a_truncated_file_is_an_error_never_other_pixels(title: str, content: bytes) -> None:
    whole = pixels(content)
    cuts = [*np.linspace(1, len(content) - 4, 40).astype(int).tolist(), *(len(content) - n for n in (3, 2, 1))]
    refused = 0
    for cut in cuts:
        try:
            with quiet_pillow():
                found = pixels(content[:cut])
        except ImageError:
            refused += 1
        else:  # only an end mark or metadata was lost
            np.testing.assert_array_equal(found, whole, err_msg=f"{title} cut at {cut} of {len(content)}")
            assert cut > 0.9 * len(content)
    assert refused >= len(cuts) - 4


def test_a_real_photograph_cut_short_is_an_error(shared_data: Path) -> None:
    path = next(iter(sorted((shared_data / "data/clothing-small/train/hat").glob("*.jpg"))))
    content = path.read_bytes()
    pixels(content)
    for share in np.linspace(0.01, 0.99, 60):
        with pytest.raises(ImageError):
            decode(content[: int(share * len(content))])


def test_what_is_no_image_is_an_error() -> None:
    for content, reason in [
        (b"", "the file is empty"),
        (b"\x00", "not an image"),
        (b"\x00" * 5000, "not an image"),
        (b"not a photograph, whatever its name says\n", "not an image"),
        (b"<!DOCTYPE html><title>404</title>", "not an image"),
        (b"\xff\xd8\xff", "could not|not an image"),
        (b"\x89PNG\r\n\x1a\n", "could not|not an image"),
        (b"GIF89a", "could not|not an image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "could not|not an image"),
    ]:
        with quiet_pillow(), pytest.raises(ImageError, match=reason):
            decode(content)


@pytest.mark.parametrize("program", ["handlers of its own", "a level of its own", "none"])
def test_pillows_own_errors_reach_nobody(program: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("PIL")
    if program != "none":
        caplog.set_level(logging.DEBUG if program == "a level of its own" else logging.WARNING)
    else:
        logging.getLogger().removeHandler(caplog.handler)
    with quiet_pillow():
        logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded: 8")
    assert not caplog.records
    assert logger.propagate
    logging.getLogger("PIL.TiffImagePlugin").error("outside")
    assert bool(caplog.records) == (program != "none"), "what others decode is theirs"


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    for title, content in wholes():
        for _ in range(40):
            damaged = bytearray(content)
            for at in rng.integers(0, len(damaged), 4):
                damaged[at] = rng.integers(0, 256)
            try:
                with quiet_pillow():
                    assert decode(bytes(damaged)).mode == "RGB", title
            except ImageError:
                pass


def test_postscript_is_refused_without_running_it() -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ImageError, match="EPS"):
        decode(content)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (15_000, 12_000), (1_000_000_000, 1)])
def test_a_decompression_bomb_is_refused_by_what_it_declares(width: int, height: int) -> None:
    assert width * height > MAX_PIXELS
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
    tracemalloc.start()
    with pytest.raises(ImageError, match="declares"):
        decode(content + png_chunk(b"IEND", b""))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_the_limit_on_pixels_is_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


def test_pillows_warnings_are_silenced_and_others_are_not() -> None:
    def warn_as(module: str) -> None:
        warnings.warn_explicit("odd", UserWarning, "file.py", 1, module)

    before = list(warnings.filters)
    with quiet_pillow():
        warn_as("PIL.TiffImagePlugin")
        with pytest.raises(UserWarning, match="odd"):
            warn_as("stackbone.extract.images.decode")
    assert list(warnings.filters) == before


# The transform


def timm_pixels(image: Image.Image, transform: Transform, mean: Sequence[float], std: Sequence[float]) -> Pixels:
    """Return the pixels that timm's evaluation transform feeds, its normalisation undone; (height, width, 3) uint8."""
    from timm.data import create_transform

    made = create_transform(
        input_size=(3, *transform.input_size),
        is_training=False,
        interpolation=transform.interpolation,
        crop_pct=transform.crop_fraction,
        crop_mode=transform.crop_mode,
        mean=tuple(mean),
        std=tuple(std),
    )
    return undone(made(image).numpy(), mean, std)


def undone(normalised: NDArray[np.float32], mean: Sequence[float], std: Sequence[float]) -> Pixels:
    values = normalised.astype(np.float64) * np.reshape(std, (3, 1, 1)) + np.reshape(mean, (3, 1, 1))
    levels = values.transpose(1, 2, 0) * 255
    assert np.abs(levels - np.rint(levels)).max() < 1e-3
    rounded: Pixels = np.rint(levels).astype(np.uint8)
    return rounded


def sizes(image: Image.Image) -> list[Image.Image]:
    """Return the image and resized copies: odd sizes, smaller than any input, flat, narrow, large."""
    others = [(333, 501), (224, 300), (256, 384), (97, 61), (223, 225), (640, 100), (300, 590), (901, 1203)]
    return [image, *(image.resize(size, Image.Resampling.BICUBIC) for size in others)]


@pytest.fixture(scope="module")
def noise() -> list[Image.Image]:
    """Images with the strongest contrasts there are."""
    rng = np.random.default_rng(0)
    shapes = [(400, 533), (533, 400), (224, 224), (61, 97), (37, 240), (3, 5), (1, 1)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[Image.Image]:
    """Two real photographs, one upright and one across, in several sizes."""
    opened = [
        decode(path.read_bytes()) for path in sorted((shared_data / "data/clothing-small/train/hat").glob("*.jpg"))[:40]
    ]
    upright = next(image for image in opened if image.height > image.width)
    across = next(
        (image for image in opened if image.width > image.height), upright.transpose(Image.Transpose.ROTATE_90)
    )
    return [*sizes(upright), *sizes(across)]


def pinned_transform(name: str) -> Callable[[Image.Image], Pixels]:
    """Return what timm itself makes of the pinned tag's configuration; nothing of ours but the name."""
    from timm.data import create_transform

    config = pinned_config(BACKBONES[name])
    made = create_transform(**config, is_training=False)
    return lambda image: undone(made(image).numpy(), config["mean"], config["std"])


def across_first(image: Image.Image, transform: Transform) -> Image.Image:
    """Return what Pillow's first pass makes of an image that is squashed, where its second may come first since 13."""
    if transform.crop_mode != "squash":
        return image
    width = int(transform.input_size[1] / transform.crop_fraction)
    return image.resize((width, image.height), Image.Resampling[transform.interpolation.upper()])


@pytest.mark.parametrize("name", BACKBONES)
def test_transform_equals_timms_on_photographs(name: str, photographs: list[Image.Image]) -> None:
    reference = pinned_transform(name)
    for image in photographs:
        found = apply_transform(image, BACKBONES[name].transform)
        assert levels_apart(found, reference(across_first(image, BACKBONES[name].transform))) <= 1, image.size


@pytest.mark.parametrize("name", BACKBONES)
def test_transform_equals_timms_on_noise(name: str, noise: list[Image.Image]) -> None:
    reference = pinned_transform(name)
    for image in noise:
        found = apply_transform(image, BACKBONES[name].transform)
        assert found.dtype == np.uint8
        assert levels_apart(found, reference(across_first(image, BACKBONES[name].transform))) <= 1, image.size


@pytest.mark.parametrize("transform", [SQUASH, WIDE, HIGH], ids=["squash", "wide", "high"])
def test_squash_and_oblong_inputs_equal_timms(transform: Transform, noise: list[Image.Image]) -> None:
    import timm

    if transform is HIGH and tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 31):
        pytest.skip("timm before 1.0.31 resizes to oblong inputs bilinearly, whatever interpolation is asked for")
    for image in noise:
        found = apply_transform(image, transform)
        assert levels_apart(found, timm_pixels(image, transform, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))) <= 1, image.size


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_a_high_image_is_resized_across_first_whatever_pillow_prefers(transform: Transform) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1100, 400, 3), dtype=np.uint8))
    height, width = transform.input_size
    ratio = 400 / int(width / transform.crop_fraction)
    full = (
        (int(width / transform.crop_fraction), int(height / transform.crop_fraction))
        if transform.crop_mode == "squash"
        else (int(width / transform.crop_fraction), int(1100 / ratio) if height == width else round(1100 / ratio))
    )
    filter_ = Image.Resampling[transform.interpolation.upper()]
    whole = image.resize((full[0], 1100), filter_).resize(full, filter_)
    left, top = round((full[0] - width) / 2), round((full[1] - height) / 2)
    expected = np.asarray(whole.crop((left, top, left + width, top + height)))
    assert levels_apart(apply_transform(image, transform), expected) <= 1


THREADS = [(1, 30_000), (30_000, 1), (2, 15_000), (15_000, 3)]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("size", THREADS, ids=str)
def test_the_middle_of_a_thread_of_an_image_is_kept(transform: Transform, size: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, size[0] * size[1]).astype(np.uint8).reshape(size[1], size[0])
    found = apply_transform(decode(encoded(Image.fromarray(ramp), "PNG")), transform)
    assert found.shape == (*transform.input_size, 3)
    if transform.crop_mode == "center":
        assert abs(float(found.mean()) - 127.5) < 4
    else:
        assert np.ptp(found) > 200


def test_a_thread_of_an_image_costs_little_memory() -> None:
    code = f"""
import resource
from PIL import Image
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.images.decode import apply_transform
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for size in {[*THREADS, (1, 4_000_000), (4_000_000, 1)]}:
    for transform in {{b.transform for b in BACKBONES.values()}} | {{Transform((200, 320), 0.9, "bilinear")}}:
        apply_transform(Image.new("RGB", size), transform)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200_000 * (1024 if sys.platform == "darwin" else 1)  # KiB; resized whole: 7 GB


def test_a_large_jpeg_is_decoded_smaller_where_that_suffices() -> None:
    content = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 1200)).convert("RGB").save(content, "JPEG")
    small = decode(content.getvalue(), (320, 320))
    assert small.width * 1200 == small.height * 1600
    assert 320 <= small.height < 1200
    np.testing.assert_allclose(np.asarray(small)[:, 5, 0][[0, -1]], [0, 255], atol=4)
    assert decode(content.getvalue()).size == (1600, 1200)
