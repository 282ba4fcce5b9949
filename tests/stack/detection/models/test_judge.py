"""A saved detector is tested on what it was not fitted on, and says what it does not score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from stackbone.cache.boxes.box_table import box_table
from stackbone.stack.detection.models.judge import judge_detector
from stackbone.stack.detection.run import run_detection
from tests.made.detection import make_detection_cache, make_images


def test_classes_of_images_that_are_left_out_are_not_told(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache")
    experiment = run_detection(store, heads="cells", split="test", with_model=True, train_only=True)
    assert experiment.model is not None
    digests, boxes = make_images(40)
    boxes[1] = replace(boxes[1], classes=("learnt", *boxes[1].classes[1:]))  # of a training image
    boxes[4] = replace(boxes[4], classes=("tested", *boxes[4].classes[1:]))
    table = box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc")
    index = store.dataset("shapes")
    test = judge_detector(experiment.model, index, table, experiment.backbones, notes=["2 boxes are cut"])
    assert test.n_images == 10
    assert "not scored, since the model does not know it: tested" in test.notes
    assert not any("learnt" in note for note in test.notes)
    assert "2 boxes are cut" in test.to_dict()["notes"]
    assert np.isfinite(test.scores[0].ap50)
