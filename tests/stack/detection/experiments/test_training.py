"""A long training goes on where how far it has come cannot be written."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

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
