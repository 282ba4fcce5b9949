"""Images in memory are a dataset like any other: one digest for equal pixels, embedded once, indexed, predicted."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import FeatureStore, ImageError, UsageError
from stackbone.cache.disk.reading import ListedFile
from stackbone.extract import ExtractReport, extract, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES, Backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.embedding import recompute
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.images.arrays import Arrays, decode_array
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.extract.images.thumbnails import thumbnails
from tests.made.engines import block_means

LITE = "efficientnet_lite0"
X = np.random.default_rng(0).integers(0, 256, (6, 30, 40, 3), dtype=np.uint8)
Y = list("ababab")


def run(images: Any, store: FeatureStore, **options: Any) -> ExtractReport:  # noqa: ANN401 - whatever a user gives
    return extract(open_dataset(images, **options), LITE, store, random_seed=0)


def digest(pixels: NDArray[np.uint8]) -> bytes:
    """Return the SHA-256 that FORMAT.md defines, by plain code."""
    height, width, _ = pixels.shape
    return hashlib.sha256(b"stackbone-array\0" + f"{width} {height}\n".encode() + pixels.tobytes()).digest()


def test_arrays_become_columns_in_their_order() -> None:
    dataset = open_dataset(X, labels=Y, splits=["train"] * 4 + ["test"] * 2, groups=[1, 1, 2, 2, 3, 3])
    assert (dataset.name, dataset.n, dataset.classes) == ("arrays", 6, ["a", "b"])
    assert dataset.paths == [f"array/{i:06d}" for i in range(6)]
    assert (dataset.labels, dataset.groups) == (Y, list("112233"))
    assert dataset.splits[-1] == "test"
    assert open_dataset(X).labels == [""] * 6
    assert open_dataset(X, name="train", labels=Y, label_column=None).labels == [""] * 6


def test_labels_are_texts_and_none_is_no_label() -> None:
    given = [None, float("nan"), 3.0, np.int64(3), np.str_(" cat "), ""]
    assert open_dataset(X, labels=given).labels == ["", "", "3", "3", "cat", ""]
    assert open_dataset(X, labels=np.arange(6)).labels == list("012345")


def test_features_are_those_of_the_pixels(store: FeatureStore, counts: dict[str, int]) -> None:
    report = run(X, store, labels=Y)
    assert (report.n_images, report.n_embedded, report.index.root) == (6, 6, "")
    assert [row.tobytes() for row in report.index.image_sha256] == [digest(each) for each in X]
    rows = store.covering(report.index)[0].load(report.index.image_sha256)
    transform = BACKBONES[LITE].transform
    expected = block_means(np.stack([apply_transform(Image.fromarray(each), transform) for each in X]))
    np.testing.assert_array_equal(rows, expected)
    assert run(X, store, labels=Y[::-1]).n_embedded == 0
    assert store.dataset("arrays").label == Y[::-1]
    assert counts == {LITE: 6}


@pytest.mark.parametrize("kind", ["list", "PIL", "memory map", "grey and RGB", "clear", "Fortran", "duck"])
def test_equal_pixels_are_one_image_whatever_holds_them(
    kind: str, store: FeatureStore, counts: dict[str, int], tmp_path: Path
) -> None:
    class Duck:
        shape, dtype = X.shape, X.dtype

        def __len__(self) -> int:
            return len(X)

        def __getitem__(self, row: int) -> NDArray[np.uint8]:
            image: NDArray[np.uint8] = X[row]
            return image

    grey = X[..., 0]
    as_rgb = np.repeat(grey[..., None], 3, axis=3)
    np.save(tmp_path / "x.npy", X)
    opaque = np.concatenate([X, np.full((*X.shape[:3], 1), 255, np.uint8)], axis=3)
    first, second = {
        "list": (X, list(X)),
        "PIL": (X, [Image.fromarray(each) for each in X]),
        "memory map": (X, np.load(tmp_path / "x.npy", mmap_mode="r")),
        "grey and RGB": (as_rgb, grey),
        "clear": (X, opaque),
        "Fortran": (X, np.asfortranarray(X)),
        "duck": (X, Duck()),
    }[kind]
    run(first, store)
    assert run(second, store, name="again").n_embedded == 0
    assert counts == {LITE: 6}


def test_images_of_different_sizes_and_kinds_go_together(store: FeatureStore, counts: dict[str, int]) -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned = Image.fromarray(X[2])
    turned.getexif().update(exif)
    mixed = [X[0], X[1, :10, :12], turned, Image.fromarray(X[3, ..., 0]), X[4, ..., 1], X[5, :, :, :1]]
    report = run(mixed, store)
    pixels = [X[0], X[1, :10, :12], np.rot90(X[2], -1), *(np.dstack([each] * 3) for each in (X[3, ..., 0],))]
    pixels += [np.dstack([X[4, ..., 1]] * 3), np.dstack([X[5, ..., 0]] * 3)]
    assert [row.tobytes() for row in report.index.image_sha256] == [digest(np.ascontiguousarray(p)) for p in pixels]
    assert counts == {LITE: 6}


def test_an_array_and_its_file_are_two_images_and_its_own_bytes_are_it(tmp_path: Path, store: FeatureStore) -> None:
    content = Arrays(X).read(0)
    np.testing.assert_array_equal(np.asarray(decode(content)), X[0])
    assert hashlib.sha256(content).digest() == digest(X[0])
    Image.fromarray(X[0]).save(tmp_path / "x.png")
    assert hashlib.sha256((tmp_path / "x.png").read_bytes()).digest() != digest(X[0])
    for broken in (content[:-1], content + b"\0", b"stackbone-array\x009 9\n"):
        with pytest.raises(ImageError, match="bytes of pixels"):
            decode(broken)
    for other in (b"stackbone-array\x000 9\n", b"stackbone-array", b"\x89PNG"):
        assert decode_array(other) is None


def test_a_memory_map_is_never_read_whole(tmp_path: Path, store: FeatureStore, counts: dict[str, int]) -> None:
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.uint8, (300, 100, 400, 3))
    large[:, 0, 0, 0] = np.arange(300) % 256
    large[:, 0, 0, 1] = np.arange(300) // 256
    del large
    tracemalloc.start()
    report = run(np.load(path, mmap_mode="r"), store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.n_embedded == 300
    assert peak < 60e6  # the pixels of all networks ahead; the array has 36 MB
    assert counts == {LITE: 300}


def opened(kind: str, **options: Any) -> Image.Image:  # noqa: ANN401 - Pillow's own
    """Return a picture that Pillow has opened and not decoded."""
    stream = io.BytesIO()
    Image.fromarray(X[0]).resize((800, 600)).save(stream, kind, **options)
    return Image.open(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_pictures_that_are_not_decoded_stay_so(kind: str) -> None:
    pictures = [opened(kind) for _ in range(3)]
    arrays, expected = Arrays(pictures), hashlib.sha256(Arrays([np.asarray(opened(kind).convert("RGB"))]).read(0))
    for row in range(len(pictures)):
        assert hashlib.sha256(arrays.read(row)).digest() == expected.digest()
    assert all(each.fp is not None for each in pictures)  # type: ignore[attr-defined]
    assert np.asarray(pictures[0]).shape[:2] == (600, 800)  # its user may decode it all the same
    assert hashlib.sha256(arrays.read(0)).digest() == expected.digest()


def test_a_picture_is_read_as_its_user_left_it() -> None:
    frames = [Image.fromarray(each).quantize(64) for each in X[:3]]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    second, drafted, turned = Image.open(stream), opened("JPEG"), opened("PNG")
    second.seek(1)
    drafted.draft("RGB", (100, 75))
    exif = Image.Exif()
    exif[274] = 6
    turned = opened("JPEG", exif=exif)
    for picture, size in ((second, (40, 30)), (drafted, (100, 75)), (turned, (600, 800))):
        content = Arrays([picture]).read(0)
        assert decode(content).size == size
        if picture is not turned:
            np.testing.assert_array_equal(np.asarray(decode(content)), np.asarray(picture.convert("RGB")))


def test_one_picture_may_be_in_a_list_many_times(store: FeatureStore, counts: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    Image.fromarray(X[0]).save(path)
    with Image.open(path) as picture:
        report = run([picture] * 50, store)
    assert (report.failures, report.n_images, counts) == ([], 1, {LITE: 1})


def test_pixels_that_change_after_they_were_listed_are_recorded(store: FeatureStore, counts: dict[str, int]) -> None:
    x = X.copy()

    def spoil(what: str, done: int, _total: int) -> None:
        if what.startswith("preparing") and not done:
            x[5] = 0

    dataset = open_dataset(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stackbone.extract.embedding.pipeline.IMAGES_AHEAD", 1)
        report = extract(dataset, LITE, store, random_seed=0, on_progress=spoil)
    assert report.failures == [("array/000005", "its pixels changed since it was listed; run again")]
    assert run(x, store).failures == []


def test_a_picture_that_cannot_be_decoded_fails_alone(
    tmp_path: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(X[0]).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with Image.open(path) as broken:
        report = run([X[1], broken, X[2]], store)
    assert [path for path, _ in report.failures] == ["array/000001"]
    assert "could not be decoded" in report.failures[0][1]
    assert counts == {LITE: 2}


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (X / 255.0, r"type float64.*Expected uint8.*\(255 \* images\)"),
        (X.astype(np.float32), "type float32.*Expected uint8"),
        (X.astype(np.uint16), "type uint16.*Scale the range"),
        (X > 9, "type bool.*Of masks"),
        (np.moveaxis(X, -1, 1), r"shape \(6, 3, 30, 40\).*channels first.*np.moveaxis"),
        (X[0], r"which is one image.*image\[None\]"),
        (X[0, 0], r"shape \(40, 3\)"),
        (np.zeros((2, 3, 4, 5), np.uint8), r"shape \(2, 3, 4, 5\)"),
        (X[:0], "No images"),
        (Image.fromarray(X[0]), r"one PIL image.*open_dataset\(\[image\]\)"),
        ([X[0], X[1].astype(np.int64)], r"image 1 is an array of shape \(30, 40, 3\) and type int64"),
        ([X[0], X[1, 0, 0]], r"image 1 is an array of shape \(3,\)"),
        ([X[0], X[1, :0]], "it has no pixels"),
        ([X[0], "photo.jpg"], "as image 1 of a list of images, 'photo.jpg'.*Open it, as by PIL.Image.open"),
        ([Path("a.jpg"), Path("b.jpg"), Image.fromarray(X[0])], "as image 0 of a list.*list paths alone"),
        ((X[0], np.str_("photo.jpg")), "as image 1 of a list"),
        ([X[0], None], "as image 1 of a list of images, None.*Take it out"),
        ([X[0], X[1].tolist()], "as image 1 of a list"),
    ],
)
def test_what_is_no_image_is_answered_with_what_is(images: Any, says: str, store: FeatureStore) -> None:  # noqa: ANN401
    with pytest.raises(UsageError, match=says):
        run(images, store)
    assert store.dataset_names() == []


def test_marks_fit_the_images(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.fromarray(X[0]).save(tmp_path / "cat" / "1.png")
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (X, {"labels": Y[:3]}, "labels= has 3 values for 6 images"),
        (X, {"groups": [1] * 7}, "groups= has 7 values for 6 images"),
        (X, {"labels": "labels.csv"}, "Expected a sequence"),
        (X, {"splits": 3}, "Expected a sequence"),
        (X, {"suffix": ".jpg"}, "suffix= says how files.*Leave suffix= out"),
        (X, {"exclude": "array/000001"}, "Leave exclude= out"),
        (list(X), {"class_level": "leaf", "only_listed": True}, "Leave class_level= out"),
        (X, {"only_listed": True}, "Leave only_listed= out"),
        (X, {"name": "mine!"}, r"Write name='mine'\.$"),
        (list(X), {"name": "-a/b"}, r"Write name='a-b'\.$"),
        (tmp_path, {"name": "a b"}, r"Type --dataset a-b; in Python, write name='a-b'\.$"),
        (tmp_path, {"labels": Y}, "goes with images in memory"),
        (tmp_path, {"splits": Y}, "goes with images in memory"),
        ([tmp_path / "cat" / "1.png"], {"groups": ["a"]}, "goes with images in memory"),
    ]
    for data, options, says in wrong:
        with pytest.raises(UsageError, match=says):
            open_dataset(data, **options)


def test_an_array_of_paths_is_a_list_of_paths(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for file in files:
        Image.fromarray(X[0]).save(file)
    for given in (np.array(files), np.array(files, object), [np.str_(file) for file in files]):
        assert open_dataset(given).paths == ["a.png", "b.png"]


def test_other_arrays_never_take_the_place_of_a_dataset(
    tmp_path: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    run(X, store)
    with pytest.raises(UsageError, match="name='arrays-2'"):
        run(X // 2, store)
    assert run(X[:1], store).n_embedded == 0  # a part of what was there
    assert run(np.concatenate([X, X[:1] // 2]), store).n_embedded == 1
    assert run(X // 2, store, name="other").n_embedded == 5
    (tmp_path / "arrays").mkdir()
    Image.fromarray(X[0]).save(tmp_path / "arrays" / "1.png")
    with pytest.raises(UsageError, match="that was in memory"):
        run(tmp_path / "arrays", store)


def test_prediction_takes_arrays(store: FeatureStore, counts: dict[str, int]) -> None:
    report = run(X, store, labels=Y)
    [held] = store.feature_sets()
    found = embed_for({held.id: held.header().spec}, open_dataset(list(X[::-1])), store)
    assert found.paths == [f"array/{i:06d}" for i in range(6)]
    np.testing.assert_array_equal(found.features[held.id], held.load(report.index.image_sha256)[::-1])
    assert (found.n_embedded, found.remarks) == (0, [])


def test_there_is_no_file_to_read_again_and_that_is_said(store: FeatureStore, counts: dict[str, int]) -> None:
    index = run(X, store, labels=Y).index
    files: Sequence[ListedFile] = [ListedFile(index.root, index.path[0], index.image_sha256[0].tobytes())]
    assert thumbnails(files) == ["it was an array in memory, and there is no file to read"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recompute, "find_weights_of", _weights)
        [found] = recompute.recompute(store, 3)
    assert "arrays in memory" in found.problem


def _weights(backbones: Sequence[Backbone], _files: object, **_options: object) -> object:
    return {backbone.key: random_weights(0) for backbone in backbones}


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ({"splits": ["Train", "train", "TEST"]}, ["train", "train", "test"]),
        ({"splits": ["val", "validation", ""]}, ["validation", "validation", ""]),
        ({"splits": ["fold_a", "Testing", None]}, ["fold_a", "test", ""]),
    ],
)
def test_splits_in_memory_are_named_as_those_of_tables(marks: dict[str, list[str]], told: list[str]) -> None:
    dataset = open_dataset(np.zeros((3, 4, 4, 3), np.uint8), **marks)  # type: ignore[arg-type]
    assert dataset.splits == told
    assert dataset.notes
