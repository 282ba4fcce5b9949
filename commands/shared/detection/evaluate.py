"""What `evaluate` does with a detection model: scores on annotated images that it was not fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackbone.cache.errors import DatasetError
from stackbone.cache.text import typed
from stackbone.commands.shared.console import print_json, progress
from stackbone.commands.shared.detection.maps import embed_maps, open_detector
from stackbone.commands.shared.detection.output import print_detection
from stackbone.commands.shared.detection.predict import DetectionAsked
from stackbone.commands.shared.endings import Outputs, exit_if_too_many_failed
from stackbone.commands.shared.report_output import FigureOptions, write_collected

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.extract import Dataset


def evaluate_boxes(
    file: Path,
    dataset: Dataset,
    store: FeatureStore,
    asked: DetectionAsked,
    *,
    split: str | None,
    report: Path | None,
    page: FigureOptions,
) -> None:
    """Test a detection model on a dataset with boxes, print its scores, and write what was asked for."""
    from stackbone.extract.datasets.boxes.fitting import fit_boxes
    from stackbone.extract.embedding.digests import unread_index
    from stackbone.stack.detection.models.judge import judge_detector
    from stackbone.stack.detection.records.sources import MapBackbone
    from stackbone.stack.detection.tables.table import score_rows
    from stackbone.stack.divisions.named_split import find_split
    from stackbone.stack.judging.asked import files_to_test
    from stackbone.stack.report.detection.report import collect_detection_report

    if dataset.boxes is None:
        message = (
            f"the dataset {dataset.name!r} has no boxes, and {typed(file)} is a detection model, which is tested on "
            "them. Name a folder in the form of Pascal VOC, COCO or YOLO"
        )
        raise DatasetError(message)
    model = open_detector(file)
    listed = unread_index(dataset)
    split = None if split is None else find_split(listed, split)
    embedded = embed_maps(
        model,
        dataset,
        store,
        asked.sources,
        asked.decoding,
        engine=asked.engine,
        device=asked.device,
        only=files_to_test(listed, split),
    )
    index = embedded.index(dataset)
    fitted = fit_boxes(dataset.boxes, dataset.root, dataset.paths, embedded.digests, None)
    if fitted.table is None:
        message = f"no box of the dataset {dataset.name!r} can be used: {' '.join(fitted.notes)}"
        raise DatasetError(message)
    backbones = [MapBackbone(each.name, store.feature_set(each.name, each.spec)) for each in model.backbones]
    with progress() as on_progress:
        test = judge_detector(
            model, index, fitted.table, backbones, split=split, notes=fitted.notes, progress=on_progress
        )
    rows = score_rows(test)
    if asked.as_json:
        failed = [{"path": path, "reason": reason} for path, reason in embedded.failures]
        print_json({**test.to_dict(), "failed": failed})
    else:
        print_detection(test)
    with Outputs() as outputs:
        asked.files.write({name: [row[name] for row in rows] for name in rows[0]}, outputs)
        if report or page.figures:
            with outputs.file():
                write_collected(collect_detection_report(test), report, page.figures, opens=page.opens)
    n_asked = int(embedded.asked.sum())
    exit_if_too_many_failed(len(embedded.failures), n_asked, asked.max_failed, "the scores are of the others")
