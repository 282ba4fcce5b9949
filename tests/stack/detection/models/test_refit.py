"""What a saved detector takes over from the folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from stackbone.cache.boxes.box_table import box_table
from stackbone.stack.detection.models.refit import mean_thresholds
from stackbone.stack.detection.run import run_detection
from stackbone.stack.detection.scores.thresholds import USUAL
from tests.made.detection import make_detection_cache, make_images


def test_folds_that_learnt_no_threshold_do_not_draw_the_mean_to_the_usual_one() -> None:
    learnt = [np.array([0.2, np.nan, np.nan]), np.array([0.4, 0.1, np.nan])]
    assert mean_thresholds(learnt).tolist() == [np.mean([0.2, 0.4]), 0.1, USUAL]


def test_a_class_on_few_images_has_the_threshold_of_the_folds_that_held_one_out(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    digests, boxes = make_images(40)
    for row, each in enumerate(boxes):
        boxes[row] = each if row < 4 else replace(each, classes=("disc",) * len(each))
    for row in range(4):
        boxes[row] = replace(boxes[row], classes=("square",) * len(boxes[row]))
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))
    experiment = run_detection(store, heads="cells", cv=4, with_model=True)
    learnt = np.array([each.learnt for each in experiment.detectors[experiment.main]])
    square = experiment.classes.index("square")
    assert np.isnan(learnt[:, square]).any()
    assert not np.isnan([each.thresholds for each in experiment.detectors[experiment.main]]).any()
    known = learnt[~np.isnan(learnt[:, square]), square]
    assert experiment.model is not None
    assert experiment.model.thresholds[square] == (known.mean() if len(known) else USUAL)
