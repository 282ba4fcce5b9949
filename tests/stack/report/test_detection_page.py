"""The page of a detection experiment in a browser: boxes over pictures, no request, no name that could run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stackbone.cache.boxes.box_table import box_table
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.head import HEADS
from stackbone.stack.detection.judging.errors import compare, count_confusions, image_errors
from stackbone.stack.detection.judging.issues import UNLABELLED, find_label_issues
from stackbone.stack.detection.judging.kinds import KINDS
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.run import run_detection
from stackbone.stack.report.blocks import Page
from stackbone.stack.report.detection.confusions import Errors, collect_errors
from stackbone.stack.report.detection.report import collect_detection_report
from stackbone.stack.report.page import write_page
from stackbone.stack.report.pictures import Pictures
from tests.made.detection import CELLS_HEAD, CLASSES, make_detection_cache, make_images
from tests.made.opened_page import NASTY, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> DetectionExperiment:
    """Return an experiment with a class whose name is a script, and a box that nobody labelled."""
    store = make_detection_cache(tmp_path_factory.mktemp("cache"), noise=0.05)
    digests, boxes = make_images(40)
    first = boxes[0]
    kept = slice(1, None)
    boxes[0] = replace(
        first,
        corners=first.corners[kept],
        classes=first.classes[kept],
        difficult=first.difficult[kept],
        crowd=first.crowd[kept],
    )
    for row in (1, 2, 3, 4, 5, 6):
        boxes[row] = replace(boxes[row], classes=(NASTY[0], *boxes[row].classes[1:]))
    named = {digest.tobytes(): each for digest, each in zip(digests, boxes, strict=True)}
    store.write_boxes("shapes", box_table(named, "voc"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HEADS._ours, CELLS_HEAD.name, CELLS_HEAD)
        return run_detection(store, heads="cells")


@pytest.fixture(scope="module")
def page(experiment: DetectionExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "detection.html"
    write_page(collect_detection_report(experiment), file, Pictures())
    return file


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_opens_without_an_error_a_request_or_a_wide_body(browser: Browser, page: Path, width: int) -> None:
    opened = Opened(browser, page, viewport={"width": width, "height": 900})
    for figure in ("detection_scores", "detection_curves", "detection_confusions", "detection_sizes"):
        opened.show(figure)
    assert opened.errors == []
    assert opened.requests == [page.as_uri()]
    assert opened.value("document.documentElement.scrollWidth") <= width
    assert opened.value("window.pwned") is None
    opened.context.close()


def test_a_box_lies_over_its_picture(browser: Browser, page: Path) -> None:
    opened = Opened(browser, page, viewport={"width": 1280, "height": 900})
    frame = opened.page.locator(".boxed").first.bounding_box()
    svg = opened.page.locator(".boxed svg").first.bounding_box()
    assert frame is not None
    assert svg is not None
    assert svg == pytest.approx(frame, abs=1)
    assert frame["width"] == pytest.approx(frame["height"], abs=1)  # made images are square
    opened.context.close()


def test_nothing_serious_is_found_by_axe(browser: Browser, page: Path) -> None:
    opened = Opened(browser, page, viewport={"width": 1280, "height": 900}, color_scheme="light")
    assert opened.serious() == []
    opened.context.close()


def test_a_box_that_nobody_labelled_is_told(experiment: DetectionExperiment) -> None:
    issues = [each for each in find_label_issues(experiment) if each.kind == UNLABELLED]
    digests, boxes = make_images(40)
    rows = {experiment.annotated.images.digests[each.row].tobytes(): each for each in issues}
    found = rows[digests[0].tobytes()]
    assert found.name == boxes[0].classes[0]
    left, top, right, bottom = boxes[0].corners[0]
    assert found.corners[0] < right
    assert found.corners[2] > left
    assert found.corners[1] < bottom
    assert found.corners[3] > top


def test_every_object_and_box_is_counted_once_among_confusions(experiment: DetectionExperiment) -> None:
    errors = image_errors(experiment)
    counts = count_confusions(errors, experiment.classes)
    assert counts[:-1].sum() == experiment.annotated.n_boxes
    assert counts[:, :-1].sum() == sum(len(each.shown) for each in errors)
    assert counts[-1, -1] == 0


def test_a_second_box_is_not_told_as_one_on_nothing(experiment: DetectionExperiment) -> None:
    _, boxes = make_images(1)
    one = boxes[0]
    codes = np.array([experiment.classes.index(name) for name in one.classes])
    n = len(one)
    twice = Detections.sort(np.tile(one.corners, (2, 1)), np.linspace(0.9, 0.8, 2 * n), np.tile(codes, 2))
    found = compare(0, twice, one, experiment.classes)
    assert int(found.left_over.sum()) == n
    record = collect_errors(experiment, [found])
    assert record.kinds == {**dict.fromkeys(KINDS, 0), "duplicate": n}
    said = str(Errors().html(record, Page(Errors().figures(record), {})))
    assert f"{n} box" in said
    assert "without an object left" in said
    assert "on nothing, and" not in said


def test_a_box_of_another_class_on_an_object_is_a_confusion() -> None:
    _, boxes = make_images(1)
    one = boxes[0]
    other = [1 - CLASSES.index(name) for name in one.classes]
    found = compare(0, Detections.sort(one.corners, np.ones(len(one)), np.array(other)), one, CLASSES)
    assert sorted(found.confused.tolist()) == list(range(len(one)))
    assert not found.left_over.any()
    assert found.missed.all()
