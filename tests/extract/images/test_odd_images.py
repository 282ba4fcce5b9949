"""Images that other pipelines stumble over: their pixels by a stated rule, or the true reason why there are none."""

from __future__ import annotations

import io
import struct
import threading
import tracemalloc
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin, features

from stackbone.cache import ImageError
from stackbone.cache.errors import NotLetInError, UsageError
from stackbone.extract.images import formats, opening
from stackbone.extract.images.decode import decode, decoded, quiet_pillow
from stackbone.extract.images.formats import decodable_extensions, what_decodes
from stackbone.extract.images.jxl_size import jxl_size
from stackbone.extract.images.levels import Declared, Scale, apply_scale, find_scale
from stackbone.extract.images.limits import MAX_PIXELS, Limits
from stackbone.extract.images.opening import FIRST_FRAME, TRUNCATED
from stackbone.extract.images.png_text import chunks, significant_bits, without_large_text

Pixels = NDArray[np.uint8]


def picture(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(content: bytes, limits: Limits = Limits()) -> tuple[Pixels, list[str]]:  # noqa: B008 - frozen
    remarks: list[str] = []
    with quiet_pillow(limits), decoded(content, limits=limits, remarks=remarks) as found:
        assert found.mode == "RGB"
        return np.asarray(found), remarks


def reason(content: bytes, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with quiet_pillow(limits), pytest.raises(ImageError) as caught:
        decode(content, limits=limits)
    return str(caught.value)


def png(header: bytes, rows: bytes, *before: tuple[bytes, bytes]) -> bytes:
    parts = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def tiff(samples: NDArray[Any], *, order: Literal["<", ">"] = "<", kind: int = 1, bits: int = 0, **tags: int) -> bytes:
    """Return an uncompressed TIFF of samples (h, w) or (h, w, bands), as it would be written by hand (TIFF 6.0)."""
    height, width = samples.shape[:2]
    bands = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    bits = bits or 8 * samples.dtype.itemsize
    entries = {256: width, 257: height, 259: 1, 262: tags.pop("photometric", 1), 277: bands, 278: height}
    entries |= {279: len(data), 273: 0, 258: bits, 339: kind, **{int(tag[3:]): value for tag, value in tags.items()}}
    lists = {258: [bits] * bands, 339: [kind] * bands} if bands > 1 else {}
    end = 8 + 2 + 12 * len(entries) + 4
    extra = b""
    table = b""
    for tag, value in sorted(entries.items()):
        if tag in lists and bands > 2:
            table += struct.pack(f"{order}HHII", tag, 3, bands, end + len(extra))
            extra += struct.pack(f"{order}{bands}H", *lists[tag])
        else:
            table += struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value)
    at = table.index(struct.pack(f"{order}HHI", 273, 4, 1))
    table = table[: at + 8] + struct.pack(f"{order}I", end + len(extra)) + table[at + 12 :]
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}IH", 8, len(entries))
    return head + table + bytes(4) + extra + data


GREY = np.asarray(picture().convert("L"))
EIGHT = np.repeat(GREY[..., None], 3, axis=2)


def widened(bits: int) -> NDArray[np.uint16]:
    """Return the grey picture in so many bits, its white the largest value that they hold."""
    made: NDArray[np.uint16] = np.rint(GREY / 255.0 * ((1 << bits) - 1)).astype(np.uint16)
    made[0, 0] = (1 << bits) - 1
    return made


# Samples of more than 8 bits


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "big-endian TIFF", "32-bit TIFF"])
def test_few_bits_in_wide_samples_are_scaled_by_the_largest_value(bits: int, kind: str) -> None:
    values = widened(bits)
    content = {
        "PNG": lambda: encoded(Image.fromarray(values), "PNG"),
        "TIFF": lambda: encoded(Image.fromarray(values), "TIFF"),
        "big-endian TIFF": lambda: tiff(values, order=">"),
        "32-bit TIFF": lambda: tiff(values.astype(np.uint32)),
    }[kind]()
    found, remarks = read(content)
    assert remarks == [f"16-bit samples that hold values of {bits} bits, scaled from those"]
    assert np.abs(found[1:].astype(int) - EIGHT[1:]).max() <= 1
    assert found[0, 0].tolist() == [255, 255, 255]


def test_all_16_bits_are_scaled_as_ever_and_nothing_is_said() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for content in (encoded(Image.fromarray(values), "PNG"), encoded(Image.fromarray(values), "TIFF"), tiff(values)):
        found, remarks = read(content)
        np.testing.assert_array_equal(found[..., 0], (values.astype(np.uint32) + 128) // 257)
        assert remarks == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "big-endian TIFF", "PNG with alpha"])
def test_few_bits_in_wide_colours_are_scaled_too(kind: str) -> None:
    colours = (np.asarray(picture()).astype(np.uint16) << 4) | 9  # 12 bits
    height, width, _ = colours.shape
    bands = np.dstack([colours, np.full((height, width), 65535, np.uint16)]) if kind.endswith("alpha") else colours
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in bands)
    header = struct.pack(">IIBBBBB", width, height, 16, 6 if kind.endswith("alpha") else 2, 0, 0, 0)
    content = {"TIFF": tiff(colours, photometric=2), "big-endian TIFF": tiff(colours, order=">", photometric=2)}
    found, remarks = read(content.get(kind, png(header, rows)))
    assert remarks == ["16-bit samples that hold values of 12 bits, scaled from those"]
    np.testing.assert_array_equal(found, np.rint(colours / 4095 * 255))


def test_the_depth_that_a_file_declares_counts() -> None:
    dark = widened(12) // 8  # its largest value would be taken for one of 10 bits
    expected = np.rint(dark / 4095 * 255)
    height, width = dark.shape
    packed = np.unpackbits(dark.astype(">u2").view(np.uint8).reshape(height, width, 2), axis=2)[..., 4:]
    twelve = np.packbits(packed.reshape(height, -1), axis=1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in dark)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    plain = tiff(twelve, bits=12, tag256=width)
    for content in (plain, png(header, rows, (b"sBIT", b"\x0c"))):
        found, remarks = read(content)
        np.testing.assert_array_equal(found[..., 0], expected)
        assert remarks == []
    found, remarks = read(png(header, rows, (b"sBIT", b"\x10")))  # all 16: the picture is dark
    np.testing.assert_array_equal(found[..., 0], np.rint(dark / 257.0))
    assert remarks == []


def test_a_pgm_of_12_bits_keeps_the_range_that_it_declares() -> None:
    dark = widened(12) // 8
    content = b"P5 %d %d 4095\n" % dark.shape[::-1] + dark.astype(">u2").tobytes()
    found, remarks = read(content)
    assert np.abs(found[..., 0] - np.rint(dark / 4095 * 255)).max() <= 1
    assert remarks == []


def test_a_range_that_a_tiff_declares_counts_if_all_values_lie_in_it() -> None:
    values = (100 + 4 * GREY.astype(np.uint16)).astype(np.uint16)
    found, remarks = read(tiff(values, tag340=100, tag341=1120))
    np.testing.assert_array_equal(found, EIGHT)
    assert remarks == ["values scaled from 100 to 1120, as the file declares"]
    for smallest, largest in ((0, 200), (7, 7)):
        _, remarks = read(tiff(values, tag340=smallest, tag341=largest))
        assert remarks == ["16-bit samples that hold values of 12 bits, scaled from those"]


def test_zero_as_white_is_not_inverted() -> None:
    values = (GREY.astype(np.uint16) * 257)[:, ::-1].copy()
    np.testing.assert_array_equal(read(tiff(values, photometric=0))[0], 255 - EIGHT[:, ::-1])


@pytest.mark.parametrize(
    ("values", "kind", "expected", "said"),
    [
        (np.array([[0, 70_000, 35_000]], np.uint32), 1, [0, 255, 128], "from 0 to the largest"),
        (np.array([[0, 4_000_000_000, 2_000_000_000]], np.uint32), 1, [0, 255, 128], "from 0 to the largest"),
        (np.array([[-1000, 3000, 1000]], np.int16), 2, [0, 255, 128], "from the smallest to the largest"),
        (np.array([[-70_000, 70_000, 0]], np.int32), 2, [0, 255, 128], "from the smallest to the largest"),
        (np.array([[0.0, 0.5, 1.0]], np.float32), 3, [0, 128, 255], "from 0 to 1"),
        (np.array([[0.0, 128.0, 3.0]], np.float32), 3, [0, 128, 3], "from 0 to 255"),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), 3, [0, 128, 255], "from the smallest to the largest"),
        (np.array([[200.0, 900.0, 550.0]], np.float32), 3, [0, 255, 128], "from the smallest to the largest"),
        (np.array([[7.5, 7.5, 7.5]], np.float32), 3, [8, 8, 8], "from 0 to 255"),
        (np.array([[-3.0, -3.0, -3.0]], np.float32), 3, [0, 0, 0], "from the smallest to the largest"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_other_numbers_are_scaled_by_what_the_picture_holds(
    values: NDArray[Any], kind: int, expected: list[int], said: str, order: Literal["<", ">"]
) -> None:
    if order == ">" and values.dtype == np.uint32:
        assert "Pillow does not read" in reason(tiff(values, kind=kind, order=order))
        return
    found, remarks = read(tiff(values, kind=kind, order=order))
    assert np.abs(found[0, :, 0].astype(int) - expected).max() <= 1
    assert len(remarks) == 1
    assert said in remarks[0]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(odd: float) -> None:
    assert "not finite" in reason(tiff(np.array([[0, odd, 1]], np.float32), kind=3))


def test_the_rules_of_ranges_come_in_their_order() -> None:
    assert find_scale(0, 900, Declared(), floating=True) == Scale(
        0, 900, "values scaled from the smallest to the largest in the picture"
    )
    assert find_scale(5, 5, Declared(smallest=0, largest=10)).white == 10
    assert find_scale(0, 0, Declared()) == Scale(0, 65535)
    assert apply_scale(np.array([3.0]), Scale(3, 3)).tolist() == [0]


# Pages, bands, texts


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_the_first_of_several_pages_or_frames_is_taken_and_said(kind: str) -> None:
    first, others = picture(), [picture(seed=seed) for seed in (1, 2)]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "GIF":
        first, others = first.quantize(64), [each.quantize(64) for each in others]
    found, remarks = read(encoded(first, kind, save_all=True, append_images=others, **options))
    assert remarks == [FIRST_FRAME]
    alone, said = read(encoded(first, kind, **options))
    np.testing.assert_array_equal(found, alone)
    assert said == []


def test_the_second_picture_of_a_camera_is_nothing_to_speak_of() -> None:
    assert read(encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=1)]))[1] == []


@pytest.mark.parametrize("bands", [5, 6, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_many_bands_are_refused_for_the_true_reason(bands: int, dtype: type) -> None:
    content = tiff(np.zeros((4, 5, bands), dtype), kind=3 if dtype is np.float32 else 1)
    found = reason(content)
    assert f"a TIFF with {bands} samples a pixel" in found
    assert "save those three as an RGB image" in found
    assert "is not an image" not in reason(tiff(np.zeros((4, 5), np.float64), kind=3))
    assert "64-bit" in reason(tiff(np.zeros((4, 5), np.float64), kind=3))


def with_text(**texts: str) -> PngImagePlugin.PngInfo:
    made = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        made.add_text(key, text, zip=True)
    return made


def with_international(text: str) -> PngImagePlugin.PngInfo:
    made = PngImagePlugin.PngInfo()
    made.add_itxt("big", text, zip=True)
    return made


LONG = "x" * 3_000_000


@pytest.mark.parametrize(
    "options",
    [
        {"pnginfo": with_text(big=LONG)},
        {"pnginfo": with_international(LONG)},
        {"icc_profile": bytes(2_000_000)},
        {"pnginfo": with_text(**{f"k{i}": "y" * 900_000 for i in range(90)})},  # together over Pillow's 64 MiB
        {"pnginfo": with_text(big=LONG), "icc_profile": bytes(2_000_000)},
    ],
    ids=["zTXt", "iTXt", "iCCP", "many", "both"],
)
def test_a_png_with_much_text_or_a_large_profile_has_sound_pixels(options: dict[str, Any]) -> None:
    content = encoded(picture(), "PNG", **options)
    with pytest.raises(ValueError, match=r"MAX_TEXT|Too Large"):  # older Pillows name no limit
        Image.open(io.BytesIO(content)).load()
    np.testing.assert_array_equal(read(content)[0], np.asarray(picture()))


def test_text_behind_the_pixels_is_passed_over_too() -> None:
    content = encoded(picture(), "PNG")
    text = dict(chunks(encoded(picture(), "PNG", pnginfo=with_text(big=LONG))))[b"zTXt"]
    content = content[:-12] + text + content[-12:]
    np.testing.assert_array_equal(read(content)[0], np.asarray(picture()))


def test_a_bomb_of_text_takes_no_memory() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    content = encoded(picture(), "PNG")
    chunk = b"zTXt" + b"key\0\0" + bomb
    made = content[:33] + struct.pack(">I", len(bomb) + 5) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    tracemalloc.start()
    found, _ = read(made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, np.asarray(picture()))
    assert peak < 20_000_000


def test_a_short_text_keeps_its_orientation_beside_a_long_one() -> None:
    xmp = "<x xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/>"
    made = with_text(big=LONG)
    made.add_itxt("XML:com.adobe.xmp", xmp)
    np.testing.assert_array_equal(read(encoded(picture(), "PNG", pnginfo=made))[0], np.rot90(np.asarray(picture()), -1))


def test_what_is_no_png_is_left_alone() -> None:
    assert significant_bits(b"GIF89a") is None
    assert list(chunks(b"\x89PNG\r\n\x1a\n\0\0")) == []
    whole = encoded(picture(), "PNG")
    assert without_large_text(whole) == whole


# Files that are cut short


def cut_files() -> list[tuple[str, bytes]]:
    image = picture(200, 150)
    whole = {
        "JPEG": encoded(image, "JPEG", quality=95),
        "progressive JPEG": encoded(image, "JPEG", progressive=True, quality=95),
        "PNG": encoded(image, "PNG"),
        "GIF": encoded(image.quantize(200), "GIF"),
        "BMP": encoded(image, "BMP"),
        "TIFF": encoded(image, "TIFF"),
        "LZW TIFF": encoded(image, "TIFF", compression="tiff_lzw"),
    }
    return [(name, content[: int(0.8 * len(content))]) for name, content in whole.items()]


@pytest.mark.parametrize(("name", "content"), cut_files(), ids=[name for name, _ in cut_files()])
def test_what_is_there_of_a_cut_file_is_let_in_if_asked(name: str, content: bytes) -> None:
    with quiet_pillow(), pytest.raises(ImageError) as caught:
        decode(content)
    if name == "LZW TIFF":  # libtiff tells damaged from cut no more than it tells what is there
        assert not isinstance(caught.value, NotLetInError)
        return
    assert isinstance(caught.value, NotLetInError)
    assert "cut short" in str(caught.value)
    assert "--allow-truncated" in caught.value.way_out
    found, remarks = read(content, Limits(allow_truncated=True))
    assert remarks == [TRUNCATED]
    there = np.asarray(picture(200, 150))[5:60]
    part = found[5:60] if name != "BMP" else found[95:145]
    there = there if name != "BMP" else np.asarray(picture(200, 150))[95:145]
    assert np.abs(part.astype(int) - there).mean() < 12


def cut_with_text(kind: str) -> bytes:
    """Return a PNG with a text over Pillow's limit, and a part of its pixels or its end missing."""
    content = encoded(picture(200, 150), "PNG")
    parts = dict(chunks(content))
    pixels = b"".join(part for name, part in chunks(content) if name == b"IDAT")
    text = dict(chunks(encoded(picture(), "PNG", pnginfo=with_text(big=LONG))))[b"zTXt"]
    half = zlib.compress(zlib.decompress(pixels[8:-4])[:60_000])
    part = struct.pack(">I", len(half)) + b"IDAT" + half + struct.pack(">I", zlib.crc32(b"IDAT" + half))
    start = content[:8] + parts[b"IHDR"]
    return {
        "text cut": start + pixels + text[:-200],
        "text before, pixels cut": start + text + pixels[:-4000],
        "pixels missing before the text": start + part + text + parts[b"IEND"],
        "plain texts of 70 MB, pixels cut": start
        + b"".join(encoded_text(b"k%d" % i, b"y" * 10_000_000) for i in range(7))
        + pixels[:-4000],
    }[kind]


def encoded_text(key: bytes, text: bytes) -> bytes:
    data = b"tEXt" + key + b"\0" + text
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


@pytest.mark.parametrize(
    "kind",
    [
        "text cut",
        "text before, pixels cut",
        "pixels missing before the text",
        "plain texts of 70 MB, pixels cut",
    ],
)
def test_a_cut_file_with_a_long_text_is_let_in_like_any_other(kind: str) -> None:
    content = cut_with_text(kind)
    with quiet_pillow(), pytest.raises(NotLetInError, match="cut short"):
        decode(content)
    found, remarks = read(content, Limits(allow_truncated=True))
    assert remarks == [TRUNCATED]
    np.testing.assert_array_equal(found[:60], np.asarray(picture(200, 150))[:60])


def test_a_photograph_that_lacks_its_last_bytes_is_whole_but_for_a_corner() -> None:
    image = picture(400, 300)
    content = encoded(image, "JPEG", quality=95)
    whole = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    found, _ = read(content[:-200], Limits(allow_truncated=True))
    same = (found == whole).all(axis=(1, 2))
    assert same[:200].all()
    assert not same.all()


@pytest.mark.parametrize("n", [30, 200, 640, 700])
def test_a_file_with_no_pixels_left_is_refused_all_the_same(n: int) -> None:
    content = encoded(picture(400, 300), "JPEG")
    start = content.index(b"\xff\xda")
    with quiet_pillow(), pytest.raises(ImageError) as caught:
        decode(content[: min(n, start + 40)], limits=Limits(allow_truncated=True))
    assert not isinstance(caught.value, NotLetInError)


def test_a_whole_file_has_the_same_pixels_whatever_is_allowed() -> None:
    content = encoded(picture(), "JPEG")
    found, remarks = read(content, Limits(allow_truncated=True, max_pixels=10**10))
    np.testing.assert_array_equal(found, read(content)[0])
    assert remarks == []


def test_leniency_of_one_thread_never_reaches_another() -> None:
    cut, pixels = cut_files()[0][1], 0
    found: list[str] = []

    def lenient() -> None:
        for _ in range(40):
            decode(cut, limits=Limits(allow_truncated=True))

    def strict() -> None:
        for _ in range(40):
            try:
                decode(cut)
                found.append("decoded")
            except ImageError:
                pass

    threads = [threading.Thread(target=each) for each in (lenient, strict, lenient, strict)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert (found, pixels) == ([], 0)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


# Large ones


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_the_limit_of_pixels_is_raised_by_choice(kind: str) -> None:
    content = encoded(Image.new("1", (400, 300), 1), kind)
    with pytest.raises(NotLetInError) as caught:
        decode(content, limits=Limits(max_pixels=119_999))
    assert "400 x 300 = 120,000 pixels, over the limit of 119,999" in str(caught.value)
    assert "--max-pixels 120000" in caught.value.way_out
    assert read(content, Limits(max_pixels=120_000))[0].shape == (300, 400, 3)


def test_pillows_own_limit_gives_way_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    content = encoded(picture(), "PNG")
    with pytest.raises(NotLetInError) as caught, quiet_pillow(Limits(max_pixels=100)):
        decode(content, limits=Limits(max_pixels=100))
    assert "--max-pixels 6144" in caught.value.way_out
    assert read(content, Limits(max_pixels=6144))[0].shape == (64, 96, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_limit_under_one_is_refused() -> None:
    with pytest.raises(UsageError, match="expected 1 or more"):
        Limits(max_pixels=0)
    assert Limits().max_pixels == MAX_PIXELS
    assert Limits().provenance == {}
    assert Limits(allow_truncated=True, max_pixels=7).provenance == {"allow_truncated": "yes", "max_pixels": "7"}


# Formats by plug-ins


BOX = b"\x00\x00\x00\x18ftyp"


@pytest.mark.parametrize(
    ("content", "name", "needs"),
    [
        (BOX + b"heic" + bytes(30), "HEIC", "pip install 'stackbone[heif]'"),
        (BOX + b"mif1" + bytes(30), "HEIC", "pip install 'stackbone[heif]'"),
        (b"\xff\x0a" + bytes(30), "JPEG XL", "pip install pillow-jxl-plugin"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL", "pip install pillow-jxl-plugin"),
        (BOX + b"avif" + bytes(30), "AVIF", "pip install 'pillow>=11.3'"),
    ],
)
def test_a_format_without_its_decoder_names_what_to_install(
    content: bytes, name: str, needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    monkeypatch.setattr(features, "check", lambda _: False)
    Image.init()
    monkeypatch.setattr(Image, "ID", ["PNG", "JPEG"])  # whatever was registered by other tests
    assert reason(content) == f"it is {name}, and nothing here decodes that: {needs}"


def test_extensions_are_those_that_can_be_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    decodable_extensions.cache_clear()
    try:
        monkeypatch.setattr(formats, "find_spec", lambda _: None)
        assert {".jpg", ".png", ".webp", ".tiff"} <= set(decodable_extensions())
        assert not {".heic", ".jxl"} & set(decodable_extensions())
        assert what_decodes(".heic") == "pip install 'stackbone[heif]'"
        assert what_decodes(".jxl") == "pip install pillow-jxl-plugin"
        decodable_extensions.cache_clear()
        monkeypatch.setattr(formats, "find_spec", lambda _: "there")
        assert {".heic", ".heif", ".hif", ".jxl"} <= set(decodable_extensions())
        assert [what_decodes(each) for each in (".heic", ".jxl", ".jpg", ".mp4")] == [None] * 4
    finally:
        decodable_extensions.cache_clear()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_heic_is_decoded_upright(orientation: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[274] = orientation
    turned = {1: 0, 3: 2, 6: -1}[orientation]
    content = encoded(picture(), "HEIF", quality=95, exif=exif.tobytes())
    found, remarks = read(content)
    expected = np.rot90(np.asarray(picture()), turned)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 8
    assert remarks == []


def test_jpeg_xl_is_decoded() -> None:
    pytest.importorskip("pillow_jxl")
    content = encoded(picture(), "JXL", lossless=True)
    np.testing.assert_array_equal(read(content)[0], np.asarray(picture()))
    assert jxl_size(content) == (96, 64)
    assert "96 x 64 = 6,144 pixels" in reason(content, Limits(max_pixels=6143))


def jxl_header(height: int, width: int | None, *, ratio: int = 0, small: bool = False) -> bytes:
    """Return a codestream's beginning (ISO/IEC 18181-1, SizeHeader)."""
    bits, n = int(small), 1

    def put(value: int, width_: int) -> None:
        nonlocal bits, n
        bits |= value << n
        n += width_

    def length(value: int) -> None:
        if small:
            put(value // 8 - 1, 5)
        else:
            put(3, 2)
            put(value - 1, 30)

    length(height)
    put(ratio, 3)
    if width is not None:
        length(width)
    return b"\xff\x0a" + bits.to_bytes(12, "little")


JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n"


def in_parts(codestream: bytes, n: int) -> bytes:
    """Return a codestream in boxes of so many of its bytes each."""
    parts = [codestream[at : at + n] for at in range(0, len(codestream), n)]
    return b"".join(struct.pack(">I4sI", 12 + len(part), b"jxlp", i) + part for i, part in enumerate(parts))


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (jxl_header(64, 96, small=True), (96, 64)),
        (jxl_header(300, 70_000), (70_000, 300)),
        (jxl_header(900, None, ratio=5), (1600, 900)),
        (jxl_header(10, None, ratio=1), (10, 10)),
        (JXL + struct.pack(">I4s", 22, b"jxlc") + jxl_header(60_000, 60_000), (60_000, 60_000)),
        (JXL + struct.pack(">I4sI", 0, b"jxlp", 0) + jxl_header(50, 40), (40, 50)),
        (JXL + in_parts(jxl_header(60_000, 60_000), 5), (60_000, 60_000)),
        (JXL + in_parts(jxl_header(60_000, 60_000), 2), (60_000, 60_000)),
        (b"", None),
        (b"\xff\xd8\xff\xe0", None),
        (struct.pack(">I4s", 0, b"abcd"), None),
        (struct.pack(">I4s", 22, b"jxlc") + jxl_header(60_000, 60_000), None),  # no JPEG XL: nobody looks for boxes
    ],
)
def test_the_size_of_a_jpeg_xl_is_read_before_anything_is_decoded(
    content: bytes, size: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jxl_size(content) == size
    if size and size[0] * size[1] > MAX_PIXELS:
        monkeypatch.setattr(opening, "what_decodes", lambda _: None)
        monkeypatch.setattr(opening, "prepare_decoder", pytest.fail)
        assert "3,600,000,000 pixels" in reason(content)


@pytest.mark.parametrize(
    "content",
    [
        JXL,
        JXL + struct.pack(">I4s", 8, b"free") * 20_000 + jxl_header(9, 9),
        JXL + struct.pack(">I4s", 8, b"Exif"),
        JXL + struct.pack(">I4s", 12, b"jxlc") + b"\xff\x0a\x06\xff",
        b"\xff\x0a\xf8",
        JXL + in_parts(jxl_header(60_000, 60_000)[:6], 3),
    ],
)
def test_a_jpeg_xl_of_unknown_size_never_reaches_its_plug_in(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "what_decodes", lambda _: None)
    monkeypatch.setattr(opening, "prepare_decoder", pytest.fail)
    assert jxl_size(content) is None
    assert reason(content) == "it is JPEG XL and does not say how large it is, so it is damaged"
