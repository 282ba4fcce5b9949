"""Every image goes to its own row once, a bad one spoils nothing, and what was computed is kept whatever happens."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

import stackbone.cache.disk.reading
from stackbone.cache import CacheError, FeatureStore, StackboneError
from stackbone.extract.backbones.backbone import BACKBONES, Backbone
from stackbone.extract.embedding import pipeline
from stackbone.extract.embedding.embedder import Embedder, Failure
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.images import Image
from stackbone.extract.embedding.pipeline import embed_images
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import apply_transform, decode, decoded
from tests.made.checkout import ROOT
from tests.made.commands import run_code
from tests.made.engines import BlockMeans, block_means

LITE0, LITE1, RESNET = BACKBONES["efficientnet_lite0"], BACKBONES["efficientnet_lite1"], BACKBONES["resnet50"]


def make_images(folder: Path, n: int, start: int = 0) -> list[Image]:
    """Write distinct PNG files, of many sizes so that they take different times to decode."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        colours = np.random.default_rng(i).integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Picture.fromarray(colours).resize((40 + 37 * (i * 7 % 11), 60 + 29 * (i * 5 % 7))).save(folder / f"{i:03d}.png")
    return [listed(folder / f"{i:03d}.png") for i in range(start, start + n)]


def listed(path: Path) -> Image:
    return Image(str(path), hashlib.sha256(path.read_bytes()).digest())


def embedder(
    store: FeatureStore,
    images: Sequence[Image],
    engine: BlockMeans | None = None,
    backbone: Backbone = LITE0,
    start: Callable[[], BlockMeans] | None = None,
    batch_size: int | None = None,
    lacking: slice = slice(None),
) -> Embedder:
    spec = backbone.spec("random(0)")
    lacks = np.zeros(len(images), np.bool_)
    lacks[lacking] = True
    made = engine or BlockMeans()
    filling = Filling(spec, store.feature_set(backbone.name, spec), lacks, np.zeros_like(lacks))
    return Embedder(backbone, [filling], start or (lambda: made), {"stackbone": "test"}, batch_size)


def digests(images: Sequence[Image]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(image.digest for image in images), np.uint8).reshape(-1, 32)


def own_features(image: Image, backbone: Backbone = LITE0) -> NDArray[np.float32]:
    """Embed one image by itself, without the pipeline."""
    pixels = apply_transform(decode(Path(image.path).read_bytes()), backbone.transform)
    row: NDArray[np.float32] = block_means(pixels[None])[0]
    return row


# Rows


@pytest.mark.parametrize("workers", [1, 4])
def test_every_row_is_its_images_own(tmp_path: Path, store: FeatureStore, workers: int) -> None:
    images = make_images(tmp_path / "photos", 30)
    both = [embedder(store, images, backbone=backbone) for backbone in (LITE0, RESNET)]
    assert embed_images(images, both, workers=workers) == {}
    for each in both:
        rows = each.fillings[0].feature_set.load(digests(images))
        assert rows.shape == (30, 192)
        for image, row in zip(images, rows, strict=True):
            np.testing.assert_array_equal(row, own_features(image, each.backbone))
        assert each.fillings[0].n_embedded == 30


def test_each_backbone_embeds_what_it_lacks_and_nothing_else(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 10)
    first = embedder(store, images, lacking=slice(6))
    second = embedder(store, images, backbone=LITE1, lacking=slice(4, None))
    embed_images(images, [first, second])
    assert sorted(map(bytes, first.fillings[0].feature_set.digests())) == sorted(image.digest for image in images[:6])
    assert sorted(map(bytes, second.fillings[0].feature_set.digests())) == sorted(image.digest for image in images[4:])


def test_an_image_is_decoded_once_for_all_backbones(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_decoded: list[bytes] = []

    def count(content: bytes, budget: DecodingBudget, **rest: Any) -> AbstractContextManager[Picture.Image]:  # noqa: ANN401
        n_decoded.append(content)
        return decoded(content, budget, **rest)

    monkeypatch.setattr(pipeline, "decoded", count)
    images = make_images(tmp_path / "photos", 7)
    embed_images(images, [embedder(store, images, backbone=backbone) for backbone in (LITE0, LITE1, RESNET)])
    assert len(n_decoded) == 7


def test_equal_transforms_are_computed_once(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    def count(picture: Picture.Image, transform: object) -> NDArray[np.uint8]:
        done.append(transform)
        return apply_transform(picture, LITE0.transform)

    monkeypatch.setattr("stackbone.extract.views.views.apply_transform", count)
    images = make_images(tmp_path / "photos", 3)
    assert RESNET.transform == BACKBONES["vgg19"].transform
    embed_images(images, [embedder(store, images, backbone=b) for b in (RESNET, BACKBONES["vgg19"], LITE0)])
    assert len(done) == 3 * 2


def test_batches_are_of_the_engines_size_or_the_one_asked_for(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 10)
    own, asked = BlockMeans(), BlockMeans()
    embed_images(images, [embedder(store, images, own), embedder(store, images, asked, LITE1, batch_size=3)])
    assert own.batches == [4, 4, 2]
    assert asked.batches == [3, 3, 3, 1]


def test_the_engine_starts_with_the_first_sound_image_only(tmp_path: Path, store: FeatureStore) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    started: list[int] = []

    def start() -> BlockMeans:
        started.append(1)
        return BlockMeans()

    bad = listed(tmp_path / "bad.png")
    assert list(embed_images([bad], [embedder(store, [bad], start=start)])) == [bad.digest]
    assert started == []


def test_progress_counts_every_image(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 5)
    Path(images[2].path).unlink()
    seen: list[tuple[int, int]] = []
    embed_images(images, [embedder(store, images)], on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]


# Bad images


def test_a_bad_image_is_recorded_and_does_not_spoil_its_batch(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 9)
    Path(images[1].path).write_bytes(Path(images[1].path).read_bytes()[:60])
    images[1] = listed(Path(images[1].path))
    (tmp_path / "photos/text.jpg").write_text("not a photograph")
    images.insert(5, listed(tmp_path / "photos/text.jpg"))
    engine = BlockMeans()
    failed = embed_images(images, [embedder(store, images, engine)])
    assert set(failed) == {images[1].digest, images[5].digest}
    assert "is cut short" in failed[images[1].digest].reason
    assert "not an image" in failed[images[5].digest].reason
    good = [image for image in images if image.digest not in failed]
    rows = embedder(store, images).fillings[0].feature_set.load(digests(good))
    for image, row in zip(good, rows, strict=True):
        np.testing.assert_array_equal(row, own_features(image))
    assert engine.batches == [4, 4]


def test_a_file_that_vanished_or_changed_is_recorded(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 5)
    Path(images[1].path).unlink()
    Path(images[3].path).write_bytes(Path(images[0].path).read_bytes())
    failed = embed_images(images, [each := embedder(store, images)])
    assert failed == {
        images[1].digest: Failure("No such file or directory", lasting=False),
        images[3].digest: Failure("its bytes changed since it was listed; run again", lasting=False),
    }
    assert each.fillings[0].n_embedded == 3


def test_an_unreadable_file_is_recorded(tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    images = make_images(tmp_path / "photos", 4)
    open_regular = stackbone.cache.disk.reading.open_regular

    def refuse(path: str) -> BinaryIO:
        if path == images[2].path:
            raise PermissionError(13, "Permission denied", path)
        return open_regular(path)

    monkeypatch.setattr(stackbone.cache.disk.reading, "open_regular", refuse)
    assert embed_images(images, [embedder(store, images)]) == {
        images[2].digest: Failure("Permission denied", lasting=False)
    }


class NotFinite(BlockMeans):
    """Fails on dark images, as a network in half precision may."""

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = super().features(pixels)
        features[pixels.max((1, 2, 3)) < 50, 7] = np.inf
        return features


def test_features_that_are_not_finite_are_recorded_and_not_committed(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 8)
    for value, name in [(10, "dark"), (20, "darker")]:
        Picture.new("RGB", (30, 30), (value, value, value)).save(tmp_path / f"{name}.png")
    images[2:2] = [listed(tmp_path / "dark.png"), listed(tmp_path / "darker.png")]
    sick, sound = embedder(store, images, NotFinite()), embedder(store, images, backbone=LITE1)
    failed = embed_images(images, [sick, sound])
    assert set(failed) == {images[2].digest, images[3].digest}
    reason = "efficientnet_lite0 gave features that are not finite (fp32)"
    assert set(failed.values()) == {Failure(reason, lasting=False)}
    assert sick.fillings[0].n_embedded == 8
    assert sound.fillings[0].n_embedded == 10
    good = [image for image in images if image.digest not in failed]
    rows = sick.fillings[0].feature_set.load(digests(good))
    for image, row in zip(good, rows, strict=True):
        np.testing.assert_array_equal(row, own_features(image))
    assert sick.fillings[0].feature_set.missing(digests(images)).tolist() == [
        image.digest in failed for image in images
    ]


def test_a_run_in_which_no_feature_is_finite_commits_nothing(tmp_path: Path, store: FeatureStore) -> None:
    Picture.new("RGB", (30, 30)).save(tmp_path / "black.png")
    black = listed(tmp_path / "black.png")
    assert set(embed_images([black], [each := embedder(store, [black], NotFinite())])) == {black.digest}
    assert each.fillings[0].feature_set.shards() == []


def test_odd_metadata_warns_nobody(tmp_path: Path, store: FeatureStore) -> None:
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09"
    images = []
    for i in range(40):
        path = tmp_path / f"{i}.png"
        Picture.new("RGB", (20, 20), (i, 0, 0)).save(path, exif=exif)
        images.append(listed(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert embed_images(images, [embedder(store, images)], workers=8) == {}
        assert list(warnings.filters) == before
    assert caught == []
    with pytest.warns(UserWarning, match="EXIF"):
        decode(Path(images[0].path).read_bytes())


# Commits


def test_a_commit_comes_at_least_every_so_many_images(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "COMMIT_IMAGES", 8)
    images = make_images(tmp_path / "photos", 20)
    each = embedder(store, images)
    committed: list[int] = []
    embed_images(images, [each], on_progress=lambda _done, _total: committed.append(each.fillings[0].n_embedded))
    assert committed[7:16] == [8] * 8 + [16]
    assert len(each.fillings[0].feature_set.shards()) == 3
    assert not each.fillings[0].feature_set.missing(digests(images)).any()


def test_a_commit_comes_at_least_every_so_many_seconds(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(pipeline, "COMMIT_SECONDS", 60.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    images = make_images(tmp_path / "photos", 12)
    each = embedder(store, images, batch_size=1)
    committed: list[int] = []

    def advance(_done: int, _total: int) -> None:
        committed.append(each.fillings[0].n_embedded)
        clock[0] += 25.0

    embed_images(images, [each], on_progress=advance)
    assert committed == [0, 0, 0, 4, 4, 4, 7, 7, 7, 10, 10, 10]
    assert each.fillings[0].n_embedded == 12


def test_the_limits_are_those_that_the_docs_promise() -> None:
    assert (
        pipeline.COMMIT_IMAGES,
        pipeline.COMMIT_SECONDS,
    ) == (2048, 60.0)


class Failing(BlockMeans):
    """Raises something after some batches."""

    def __init__(self, after: int, problem: BaseException) -> None:
        super().__init__()
        self.after, self.problem = after, problem

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(self.batches) == self.after:
            raise self.problem
        return super().features(pixels)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), RuntimeError("out of memory"), SystemExit(1)], ids=repr)
def test_an_interrupt_or_a_failing_engine_keeps_what_was_computed(
    tmp_path: Path, store: FeatureStore, problem: BaseException
) -> None:
    images = make_images(tmp_path / "photos", 20)
    sound, sick = embedder(store, images, backbone=LITE1), embedder(store, images, Failing(3, problem))
    with pytest.raises(type(problem)):
        embed_images(images, [sound, sick])
    assert sick.fillings[0].n_embedded == 12
    assert sound.fillings[0].n_embedded == 16
    kept = images[:12]
    for image, row in zip(kept, sick.fillings[0].feature_set.load(digests(kept)), strict=True):
        np.testing.assert_array_equal(row, own_features(image))

    rest = [
        image
        for image, lacks in zip(images, sick.fillings[0].feature_set.missing(digests(images)), strict=True)
        if lacks
    ]
    assert [image.path for image in rest] == [image.path for image in images[12:]]
    engine = BlockMeans()
    embed_images(rest, [embedder(store, rest, engine)])
    assert sum(engine.batches) == 8
    assert not sick.fillings[0].feature_set.missing(digests(images)).any()


def test_no_thread_outlives_an_interrupt(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 30)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        embed_images(images, [embedder(store, images, Failing(1, KeyboardInterrupt()))], workers=4)
    assert threading.active_count() <= before


def test_a_bad_start_of_one_engine_is_raised(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 3)

    def refuse() -> BlockMeans:
        message = "no such device"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="no such device"):
        embed_images(images, [embedder(store, images, start=refuse)])


# Memory


@pytest.mark.parametrize("workers", [1, 4])
def test_a_bounded_number_of_images_is_decoded_ahead(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(pipeline, "IMAGES_AHEAD", 6)
    images = make_images(tmp_path / "photos", 40)
    n_decoded = [0]
    lock = threading.Lock()

    def count(content: bytes, budget: DecodingBudget, **rest: Any) -> AbstractContextManager[Picture.Image]:  # noqa: ANN401
        with lock:
            n_decoded[0] += 1
        return decoded(content, budget, **rest)

    monkeypatch.setattr(pipeline, "decoded", count)
    ahead: list[int] = []

    class Slow(BlockMeans):
        def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            time.sleep(0.03)  # time enough for the threads to run as far ahead as they may
            ahead.append(n_decoded[0] - sum(self.batches) - len(pixels))
            return super().features(pixels)

    embed_images(images, [embedder(store, images, Slow())], workers=workers)
    assert max(ahead) <= 6
    assert max(ahead) >= 1


# A cache that cannot be written


def test_a_cache_below_a_regular_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = FeatureStore(tmp_path / "taken" / "features")
    images = make_images(tmp_path / "photos", 3)
    with pytest.raises(CacheError, match="taken"):
        embed_images(images, [embedder(store, images)])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    images = make_images(tmp_path / "photos", 40)
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_pipeline as t
from pathlib import Path
import stackbone.cache.disk.reading
from stackbone.extract.embedding import pipeline
from stackbone.cache import CacheError, FeatureStore, StackboneError
pipeline.COMMIT_IMAGES = 8
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FeatureStore({str(tmp_path / "features")!r})
images = [t.listed(path) for path in sorted(Path({str(tmp_path / "photos")!r}).glob("*.png"))]
each = t.embedder(store, images)
def full(done, total):
    if done == 20:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    t.embed_images(images, [each], on_progress=full)
except CacheError as exc:
    print(each.fillings[0].n_embedded, exc)
"""
    done = run_code(code, cwd=ROOT)
    assert done.stdout.startswith("16 could not write"), done.stderr
    assert "--cache" in done.stdout
    store = FeatureStore(tmp_path / "features")
    found = embedder(store, images).fillings[0].feature_set
    assert found.missing(digests(images)).tolist() == [False] * 16 + [True] * 24
    assert {path.name[:5] for path in found.folder.iterdir()} == {"part-"}  # no draft is left behind


# Memory


def test_running_out_of_memory_halves_the_batch_and_goes_on(
    tmp_path: Path, store: FeatureStore, caplog: pytest.LogCaptureFixture
) -> None:
    class SmallMemory(BlockMeans):
        def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            if len(pixels) > 2:
                raise MemoryError
            return super().features(pixels)

    images = make_images(tmp_path / "photos", 10)
    each = embedder(store, images, SmallMemory(), batch_size=8)
    assert embed_images(images, [each]) == {}
    assert each.fillings[0].n_embedded == 10
    for image, row in zip(images, each.fillings[0].feature_set.load(digests(images)), strict=True):
        np.testing.assert_array_equal(row, own_features(image))
    assert "out of memory with 8 images at once; going on with 4" in caplog.text
    assert each.batch_size == 2


def test_no_memory_for_one_image_is_an_error_in_words(tmp_path: Path, store: FeatureStore) -> None:
    class NoMemory(BlockMeans):
        def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise MemoryError

    images = make_images(tmp_path / "photos", 2)
    with pytest.raises(StackboneError, match="one image"):
        embed_images(images, [embedder(store, images, NoMemory())])
