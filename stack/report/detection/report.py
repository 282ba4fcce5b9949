"""The page of a detection experiment, collected."""

from __future__ import annotations

from typing import Any

from stackbone.cache import FeatureStore
from stackbone.stack.detection.experiments.experiment import DetectionExperiment
from stackbone.stack.report.detection.detectors import Detectors, collect_detectors
from stackbone.stack.report.detection.head import collect_detection_head
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.report import FilledSection, Report


def collect_detection_report(experiment: DetectionExperiment, store: FeatureStore) -> Report:
    """Collect what the page of a detection experiment shows.

    Parameters
    ----------
    experiment : DetectionExperiment
        Scored.
    store : FeatureStore
        The cache that it was made with.
    """
    images = ImageList(experiment.annotated.images.index)
    parts: list[FilledSection[Any]] = [FilledSection(Detectors(), collect_detectors(experiment))]
    return Report(collect_detection_head(experiment), parts, images.records())
