"""The head of the page of detections: AP50 of the main detector, the verdict, and what it was measured on."""

from __future__ import annotations

from datetime import UTC, datetime

from stackbone.stack.detection.records.experiment import FUSION, DetectionExperiment
from stackbone.stack.detection.tables.verdict import verdict
from stackbone.stack.report.head import Facts, Head


def collect_detection_head(experiment: DetectionExperiment) -> Head:
    """Collect what the head of the page shows."""
    main = experiment.score(experiment.main)
    about = "the boxes of all backbones, fused" if main.model.endswith(f":{FUSION}") else "one head on one backbone"
    boxes = f"{experiment.annotated.n_boxes:,} boxes"
    return Head(
        dataset=experiment.dataset,
        created=datetime.now(UTC),
        model=main.model,
        metric="AP50",
        mean=main.ap50,
        std=None,
        verdict=verdict(experiment),
        facts=Facts(
            n_images=experiment.n_images,
            n_classes=len(experiment.classes),
            n_groups=experiment.annotated.images.n_groups,
            how=f"{experiment.how}; {boxes}",
            left_out=experiment.annotated.images.left_out,
            notes=experiment.notes,
        ),
        about=about,
        interval=(main.low, main.high),
    )
