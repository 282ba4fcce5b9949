"""The page of a detection experiment, collected."""

from __future__ import annotations

from typing import Any

from stackbone.stack.detection.judging.errors import image_errors
from stackbone.stack.detection.judging.issues import find_label_issues
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.report.detection.boxed import SIZE
from stackbone.stack.report.detection.confusions import Errors, collect_errors
from stackbone.stack.report.detection.curves import Curves, collect_curves
from stackbone.stack.report.detection.detectors import Detectors, collect_detectors
from stackbone.stack.report.detection.head import collect_detection_head
from stackbone.stack.report.detection.label_issues import LabelIssues, collect_label_issues
from stackbone.stack.report.detection.pictures import DetectionPictures, collect_pictures
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.report import FilledSection, Report


def collect_detection_report(experiment: DetectionExperiment) -> Report:
    """Collect what the page of a detection experiment shows.

    Parameters
    ----------
    experiment : DetectionExperiment
        Scored.
    """
    images, errors = ImageList(experiment.annotated.images.index), image_errors(experiment)
    parts: list[FilledSection[Any]] = [
        FilledSection(Detectors(), collect_detectors(experiment)),
        FilledSection(DetectionPictures(), collect_pictures(experiment, errors, images)),
        FilledSection(Curves(), collect_curves(experiment, errors)),
        FilledSection(Errors(), collect_errors(experiment, errors)),
    ]
    issues = collect_label_issues(experiment, find_label_issues(experiment), images)
    if issues is not None:
        parts.append(FilledSection(LabelIssues(), issues))
    return Report(collect_detection_head(experiment), parts, images.records(), thumbnail_size=SIZE)
