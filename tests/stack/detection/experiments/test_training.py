"""A long training goes on where it was, on a disk or on an object store, and where nothing can be written."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.places.place import is_there, place_of
from stackbone.stack.detection.experiments.kept import DetectionCache
from stackbone.stack.detection.heads.conv.head import HEAD
from stackbone.stack.detection.heads.conv.training import Plan
from tests.made.planted_maps import CLASSES, PlantedMaps, planted_images

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_a_checkpoint_that_cannot_be_written_costs_one_warning_and_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = planted_images(1, 8)
    source, plan = PlantedMaps(boxes), Plan(n_epochs=3, width=16, depth=1)
    (tmp_path / "file").touch()
    file = tmp_path / "file" / "head.training"
    with caplog.at_level(logging.WARNING):
        head = HEAD.fit(source, source.digests, boxes, CLASSES, 0, checkpoint=file, plan=plan)
    assert caplog.text.count("cannot be taken up again") == 1
    plain = HEAD.fit(source, source.digests, boxes, CLASSES, 0, plan=plan).to_tensors()
    assert all(np.array_equal(plain[name], each) for name, each in head.to_tensors().items())


@pytest.mark.parametrize("on_server", [False, True])
def test_a_training_that_was_stopped_goes_on_where_it_was(tmp_path: Path, *, on_server: bool) -> None:
    boxes = planted_images(1, 8)
    source, plan = PlantedMaps(boxes), Plan(n_epochs=3, width=16, depth=1)
    folder = place_of(f"memory://{uuid.uuid4().hex}/scores" if on_server else tmp_path / "scores")
    cache, epochs = DetectionCache(folder, "photos"), list[int]()
    file = cache.checkpoint("ab")
    assert file == folder / "ab.training"

    def stop(_what: str, done: int, _of: int) -> None:
        epochs.append(done)
        if is_there(folder / "ab.training"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HEAD.fit(source, source.digests, boxes, CLASSES, 0, checkpoint=file, plan=plan, on_progress=stop)
    assert is_there(folder / "ab.training")
    seen = list[int]()
    head = HEAD.fit(
        source,
        source.digests,
        boxes,
        CLASSES,
        0,
        checkpoint=file,
        plan=plan,
        on_progress=lambda _what, done, _of: seen.append(done),
    )
    assert seen[0] > epochs[0]
    assert not is_there(folder / "ab.training")
    cache.finished("ab")
    plain = HEAD.fit(source, source.digests, boxes, CLASSES, 0, plan=plan).to_tensors()
    assert all(np.array_equal(plain[name], each) for name, each in head.to_tensors().items())
