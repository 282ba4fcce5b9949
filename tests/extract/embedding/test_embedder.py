"""An embedder keeps a bounded number of rows in memory, and every row reaches a shard under its own digest."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from stackbone.cache import FeatureStore
from stackbone.cache.records.shard import read_rows
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.embedding import filling, pipeline
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import Profile, embed_images

LITE0 = BACKBONES["efficientnet_lite0"]


class Widened:
    """An engine whose (B, dim) features repeat an image's first pixel; what is darkest becomes infinite."""

    def __init__(self, dim: int, batch_size: int = 4) -> None:
        self.dim = dim
        self.batch_size = batch_size
        self.is_bound_to_batch = False
        self.provenance = {"engine": "widened", "device": "cpu"}
        self.forms = [OutputForm("pooled", dim)]

    def embed(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        first = pixels[:, 0, 0, :1].astype(np.float32)
        return [np.repeat(np.where(first == 0, np.float32(np.inf), first), self.dim, axis=1)]


def pixels_of(value: int) -> NDArray[np.uint8]:
    return np.full((2, 2, 3), value, np.uint8)


def digest_of(value: int) -> bytes:
    return hashlib.sha256(bytes([value])).digest()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Embedder]:
    def embedder(engine: Widened, n_images: int = 50) -> Embedder:
        spec = LITE0.spec("random(0)")
        feature_set = FeatureStore(tmp_path / "features").feature_set(LITE0.name, spec)
        own = Filling(spec, feature_set, np.ones(n_images, np.bool_), np.zeros(n_images, np.bool_))
        return Embedder(LITE0, [own], lambda: engine, {"stackbone": "test"})

    return embedder


def rows_of(each: Embedder) -> dict[bytes, float]:
    """Return the first feature of every row by its digest."""
    shards = [rows for _, rows in each.fillings[0].feature_set.read_each(read_rows)]
    return {
        digest.tobytes(): float(row[0]) for digests, rows in shards for digest, row in zip(digests, rows, strict=True)
    }


def shard_sizes(each: Embedder) -> list[int]:
    return sorted(len(digests) for _, (digests, _) in each.fillings[0].feature_set.read_each(read_rows))


def test_rows_are_committed_before_they_take_more_than_is_allowed(
    make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "COMMIT_BYTES", 10 * 16 * 4)
    each = make(Widened(16))
    for value in range(1, 31):
        each.take(value, digest_of(value), pixels_of(value))
        assert each.n_uncommitted <= 10
    each.run()
    each.commit()
    assert shard_sizes(each) == [6, 8, 8, 8]  # of batches of 4, two have place for 10 rows
    assert rows_of(each) == {digest_of(value): value for value in range(1, 31)}
    assert (each.fillings[0].n_embedded, each.n_uncommitted) == (30, 0)
    assert each.commit_seconds > 0


def test_rows_wider_than_is_allowed_are_committed_batch_by_batch(
    make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "COMMIT_BYTES", 1)
    each = make(Widened(8, batch_size=3))
    for value in range(1, 8):
        each.take(value, digest_of(value), pixels_of(value))
    each.run()
    each.commit()
    assert shard_sizes(each) == [1, 3, 3]
    assert rows_of(each) == {digest_of(value): value for value in range(1, 8)}


def test_a_batch_may_be_larger_than_the_first_one_with_finite_features(
    make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "COMMIT_BYTES", 1)
    each = make(Widened(8))
    failed: set[bytes] = set()
    for number, value in enumerate([0, 0, 0, 0, 0, 0, 5, 0, 9, 10, 11, 12]):
        failed |= set(each.take(number, digest_of(value or 100 + number), pixels_of(value)))
    each.commit()
    assert failed == {digest_of(100 + number) for number in (0, 1, 2, 3, 4, 5, 7)}
    assert rows_of(each) == {digest_of(value): value for value in (5, 9, 10, 11, 12)}


def test_a_commit_of_nothing_writes_nothing(make: Callable[..., Embedder]) -> None:
    each = make(Widened(8))
    each.commit()
    each.take(7, digest_of(7), pixels_of(7))
    each.commit()  # what waits in the batch is not computed yet
    assert each.fillings[0].feature_set.shards() == []


# Through the pipeline


def write_images(folder: Path, n: int) -> Images:
    folder.mkdir()
    names = [f"{i:03d}.png" for i in range(n)]
    for i, name in enumerate(names):
        Picture.new("RGB", (8, 8), (i % 250 + 1, i // 250, 0)).save(folder / name)
    digests = [np.frombuffer(hashlib.sha256((folder / name).read_bytes()).digest(), np.uint8) for name in names]
    return Images(folder, names, np.stack(digests), np.arange(n))


def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    row_bytes = 25_600 * 4
    monkeypatch.setattr(filling, "COMMIT_BYTES", 10 * row_bytes)
    monkeypatch.setattr(pipeline, "IMAGES_AHEAD", 4)
    images = write_images(tmp_path / "photos", 150)

    def peak(n: int) -> int:
        tracemalloc.start()
        some = Images(images.root, images.paths, images.file_digests, images.rows[:n])
        embed_images(some, [make(Widened(25_600), n)])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(5)  # first uses of the libraries
    few, many = peak(30), peak(150)
    assert many < few + 10 * row_bytes  # 120 rows more


def test_the_profile_counts_the_time_of_all_commits(
    tmp_path: Path, make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "COMMIT_BYTES", 1)
    images = write_images(tmp_path / "photos", 9)
    profile, each = Profile(), make(Widened(8), 9)
    embed_images(images, [each], profile=profile)
    assert len(each.fillings[0].feature_set.shards()) == 3
    assert profile.commit == each.commit_seconds > 0


def test_images_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    digests = np.arange(5 * 32, dtype=np.uint8).reshape(5, 32)
    names = ["a/1.jpg", "b.jpg", "c.jpg", "/elsewhere/d.jpg", "e.jpg"]
    images = Images(tmp_path, names, digests, np.array([0, 3, 4]))
    assert [image.path for image in images] == [str(tmp_path / "a/1.jpg"), "/elsewhere/d.jpg", str(tmp_path / "e.jpg")]
    assert [image.digest for image in images] == [digests[i].tobytes() for i in (0, 3, 4)]
    assert images[1:] == [images[1], images[2]]
    assert images[-1] == images[2]
    np.testing.assert_array_equal(images.digests, digests[[0, 3, 4]])
