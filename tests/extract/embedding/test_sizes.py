"""Sizes are read from headers, of a sample, once."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from stackbone.cache import Digests, FileStamps, empty_index, list_digests
from stackbone.cache.errors import RemoteError
from stackbone.extract import Dataset, open_dataset
from stackbone.extract.embedding import sizes as sizes_module
from stackbone.extract.embedding.sizes import checked_size, measure
from tests.made.lost_streams import LostStream


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """Files of several formats, one of them cut to its header, one of no format, one gone, one a pipe."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.gif", "d.tif", "e.webp")):
        Image.new("RGB", (10 + i, 20 + i), (i, 0, 0)).save(folder / name)
    pixels = np.random.default_rng(0).integers(0, 256, (500, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "f.jpg")
    (folder / "f.jpg").write_bytes((folder / "f.jpg").read_bytes()[:5000])
    (folder / "g.jpg").write_bytes(b"no image")
    (folder / "h.jpg").symlink_to("nowhere")
    (folder / "i.png").write_bytes((folder / "a.png").read_bytes())
    os.mkfifo(tmp_path / "pipe")
    (folder / "j.jpg").symlink_to(tmp_path / "pipe")
    return open_dataset(folder)


def digests_of(dataset: Dataset) -> Digests:
    nothing = FileStamps(np.zeros((0, 4), np.int64))
    return list_digests(dataset.paths, {}, np.zeros((0, 32), np.uint8), nothing, root=str(dataset.root)).digests


def test_a_size_is_what_the_header_declares(photos: Dataset) -> None:
    found = measure(photos, digests_of(photos), empty_index("photos", ""))
    expected = [[10, 20], [11, 21], [12, 22], [13, 23], [14, 24], [400, 500], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert found.tolist() == expected, "of the same bytes one is measured"
    assert found.dtype == np.int64


def test_images_in_memory_have_sizes_and_no_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "array").mkdir()
    Image.new("RGB", (1, 1)).save(tmp_path / "array" / "000000.png")
    (tmp_path / "array" / "000000.png").rename(tmp_path / "array" / "000000")
    images = [np.zeros((5, 7, 3), np.uint8), np.zeros((6, 8), np.uint8), Image.new("RGB", (9, 4))]
    digests = np.random.default_rng(0).integers(0, 256, (3, 32), dtype=np.uint8)
    found = measure(open_dataset(images), digests, empty_index("arrays", ""))
    assert found.tolist() == [[7, 5], [8, 6], [9, 4]]


def test_heic_is_measured_though_nothing_was_decoded_before(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 48))).save(tmp_path / "a.heic")
    dataset = open_dataset(tmp_path)
    assert measure(dataset, digests_of(dataset), empty_index("photos", "")).tolist() == [[64, 48]]


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "tiff", "webp", "bmp", "ppm"])
def test_a_server_that_is_lost_is_no_image_without_a_size(form: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (30, 20)).save(content, form)
    found: tuple[int, int] | None = None
    n_reads = 0  # each installed decoder looks at a file, so that they are not the same everywhere
    while found is None and n_reads < 1_000:
        with suppress(RemoteError):
            found = checked_size(LostStream(content.getvalue(), n_reads))
        n_reads += 1
    assert found == (30, 20)
    assert n_reads > 1


def test_a_run_ends_where_the_server_of_its_images_is_lost_while_these_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = fsspec.filesystem("memory")
    content = io.BytesIO()
    Image.new("RGB", (30, 20)).save(content, "png")
    files.pipe_file("/measured/a.png", content.getvalue())
    dataset, digests = open_dataset("memory://measured"), np.ones((1, 32), np.uint8)
    assert measure(dataset, digests, empty_index("d", "")).tolist() == [[30, 20]]
    lost = RemoteError("could not read memory://measured/a.png: no server answers there")

    def refuse(_: str) -> LostStream:
        raise lost

    monkeypatch.setattr(sizes_module, "open_source", refuse)
    with pytest.raises(RemoteError, match="no server answers"):
        measure(dataset, digests, empty_index("d", ""))
    lost.of_one_object = True  # as of an image that may not be read, which its hashing tells
    assert measure(dataset, digests, empty_index("d", "")).tolist() == [[0, 0]]


def test_what_an_index_knows_is_not_read_again(photos: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = digests_of(photos)
    found = measure(photos, digests, empty_index("photos", ""))
    n = photos.n
    index = replace(
        empty_index("photos", ""), path=photos.paths, image_sha256=digests, sizes=found, status=np.zeros(n, np.uint8)
    )
    read: list[str] = []

    def note(path: str) -> tuple[int, int]:
        read.append(Path(path).name)
        return 1, 2

    monkeypatch.setattr(sizes_module, "_declared_size", note)
    again = measure(photos, digests, index)
    assert read == ["g.jpg"], "what could not be measured is tried again"
    assert again[:6].tolist() == found[:6].tolist()


def test_of_many_images_a_sample_is_measured_that_hardly_changes(
    photos: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 5000
    digests = np.random.default_rng(0).integers(0, 256, (n, 32), dtype=np.uint8)
    monkeypatch.setattr(sizes_module, "_declared_size", lambda _: (3, 4))
    dataset = replace(photos, paths=[f"{i}.jpg" for i in range(n)])
    first = measure(dataset, digests, empty_index("photos", ""))
    assert first.all(axis=1).sum() == sizes_module.MOST_MEASURED
    index = replace(empty_index("photos", ""), image_sha256=digests, sizes=np.where(first > 0, 5, 0))
    more = np.concatenate([digests, np.random.default_rng(1).integers(0, 256, (50, 32), dtype=np.uint8)])
    dataset = replace(dataset, paths=[*dataset.paths, *(f"new{i}.jpg" for i in range(50))])
    again = measure(dataset, more, index)
    assert again.all(axis=1).sum() == sizes_module.MOST_MEASURED
    assert (again == 3).any(axis=1).sum() == again[n:].all(axis=1).sum() < 30, "new images alone are measured"
