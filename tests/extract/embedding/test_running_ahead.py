"""An engine that computes while its batches are filled: the same rows, one batch ahead, and nothing lost by errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackboneError
from stackbone.extract.embedding.pipeline import embed_images
from stackbone.extract.embedding.report import report_backbone
from stackbone.extract.engines.contract import Computed, RunsAhead
from tests.extract.embedding.test_pipeline import digests, embedder, make_images, own_features
from tests.made.engines import BlockMeans

SECONDS = 0.25
"""What a batch takes on its device, by the engine's own word."""


class Ahead(BlockMeans):
    """Computes a batch when it is waited for, and writes down what was asked of it in turn."""

    def __init__(self, most: int = 1000, *, breaks_at: int = 1000) -> None:
        super().__init__()
        self.said: list[str] = []
        self._most, self._breaks_at, self._n = most, breaks_at, 0

    runs_ahead = True

    def launch(self, pixels: NDArray[np.uint8]) -> Callable[[], Computed]:
        """Take a batch on."""
        if len(pixels) > self._most:
            message = "CUDA out of memory"
            raise MemoryError(message)
        number = self._n = self._n + 1
        if number == self._breaks_at:
            message = "the engine failed on a batch: unspecified launch failure"
            raise StackboneError(message)
        self.said.append(f"start {number}")

        def wait() -> Computed:
            self.said.append(f"wait {number}")
            return Computed(self.embed(pixels), SECONDS)

        return wait


def test_plain_engines_do_not_run_ahead() -> None:
    assert isinstance(Ahead(), RunsAhead)
    assert not isinstance(BlockMeans(), RunsAhead)


def test_each_batch_starts_before_the_last_one_is_waited_for(tmp_path: Path, store: FeatureStore) -> None:
    images, engine = make_images(tmp_path / "photos", 11), Ahead()
    each = embedder(store, images, engine)
    assert embed_images(images, [each]) == {}
    assert engine.said == ["start 1", "start 2", "wait 1", "start 3", "wait 2", "wait 3"]
    assert each.n_run == 11
    found = each.fillings[0].feature_set.load(digests(images))
    for image, row in zip(images, found, strict=True):
        np.testing.assert_array_equal(row, own_features(image))


def test_a_device_that_is_full_takes_smaller_batches_and_says_so(
    tmp_path: Path, store: FeatureStore, caplog: pytest.LogCaptureFixture
) -> None:
    images, engine = make_images(tmp_path / "photos", 24), Ahead(most=2)
    each = embedder(store, images, engine, batch_size=8)
    with caplog.at_level(logging.WARNING):
        assert embed_images(images, [each]) == {}
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(": ")[2] for text in said] == [
        "out of memory with 8 images at once; going on with 4",
        "out of memory with 4 images at once; going on with 2",
    ]
    assert set(engine.batches) == {2}
    found = each.fillings[0].feature_set.load(digests(images))
    for image, row in zip(images, found, strict=True):
        np.testing.assert_array_equal(row, own_features(image))


def test_no_memory_for_one_image_is_an_error_that_keeps_what_was_computed(tmp_path: Path, store: FeatureStore) -> None:
    images, engine = make_images(tmp_path / "photos", 12), Ahead()
    each = embedder(store, images, engine)

    def fill_up(done: int, _total: int) -> None:
        if done == 8:
            engine._most = 0

    with pytest.raises(StackboneError, match="one image"):
        embed_images(images, [each], on_progress=fill_up)
    missing = each.fillings[0].feature_set.missing(digests(images))
    assert missing.tolist() == [False] * 8 + [True] * 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_keeps_the_batch_that_runs(
    tmp_path: Path, store: FeatureStore, error: type[BaseException]
) -> None:
    images, engine = make_images(tmp_path / "photos", 12), Ahead()
    each = embedder(store, images, engine)

    def interrupt(done: int, _total: int) -> None:
        if done == 9:
            raise error

    with pytest.raises(error):
        embed_images(images, [each], on_progress=interrupt)
    assert each.fillings[0].feature_set.missing(digests(images)).tolist() == [False] * 8 + [True] * 4
    assert engine.said[-1] == "wait 2"


def test_an_engine_that_breaks_leaves_the_batches_before(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 12)
    each = embedder(store, images, Ahead(breaks_at=3))
    with pytest.raises(StackboneError, match="unspecified launch failure"):
        embed_images(images, [each])
    assert each.fillings[0].feature_set.missing(digests(images)).tolist() == [False] * 8 + [True] * 4


def test_time_at_work_is_what_the_device_took(tmp_path: Path, store: FeatureStore) -> None:
    """Not the time from a batch's start until it is taken in, in which the next is read and other networks run."""
    images = make_images(tmp_path / "photos", 20)
    each = embedder(store, images, Ahead())
    embed_images(images, [each], on_progress=lambda _done, _total: time.sleep(0.01))
    assert each.embed_seconds == 5 * SECONDS
    assert each.runs_ahead


def test_the_parts_of_a_batch_that_did_not_fit_are_added_up(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 8)
    each = embedder(store, images, Ahead(most=2), batch_size=8)
    embed_images(images, [each])
    assert each.embed_seconds == 4 * SECONDS


def test_an_engine_on_a_cpu_is_not_kept_waiting_for_the_next_batch(tmp_path: Path, store: FeatureStore) -> None:
    class OnCpu(Ahead):
        runs_ahead = False

    images, engine = make_images(tmp_path / "photos", 9), OnCpu()
    each = embedder(store, images, engine)
    began = time.perf_counter()
    embed_images(images, [each], on_progress=lambda _done, _total: time.sleep(0.05))
    assert (engine.said, each.n_run) == ([], 9)
    assert not each.runs_ahead
    assert 0 < each.embed_seconds < time.perf_counter() - began - 9 * 0.05


def test_the_profile_tells_what_ran_on_a_device_beside_the_wall_time(tmp_path: Path, store: FeatureStore) -> None:
    images = make_images(tmp_path / "photos", 8)
    each = embedder(store, images, Ahead())
    embed_images(images, [each])
    told = report_backbone(each.fillings[0], each, len(images))
    assert (told.ran_meanwhile, told.embed_seconds) == (True, 2 * SECONDS)
