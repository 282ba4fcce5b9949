"""A made experiment's report, of any size: what the tests and the benchmark of the page draw."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from made_records import (
    BACKBONES,
    made_backbones,
    made_catalogue,
    made_classes,
    made_confidence,
    made_data,
    made_head,
    made_learning,
    made_map,
    made_provenance,
    made_scores,
    made_suspects,
    made_wrong,
    word,
)
from PIL import Image

from stackbone.cache.disk.reading import ListedFile
from stackbone.stack.experiments.against.change import Change, ClassChange, ImageChange
from stackbone.stack.report.catalogue.catalogue import Catalogue
from stackbone.stack.report.images import ReportImage
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.report import FilledSection, PageContent, Report
from stackbone.stack.report.section import SECTIONS
from stackbone.stack.report.sections.against.changes import ChangesRecord
from stackbone.stack.report.sections.attention import AttentionRecord, Look
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.errors import ErrorsRecord
from stackbone.stack.report.sections.fit import FitRecord, TargetPoints
from stackbone.stack.report.sections.learning import LearningRecord
from stackbone.stack.report.sections.map import MapRecord, highlighted_classes, nearest_classes
from stackbone.stack.report.sections.scores import ScoresRecord
from stackbone.stack.report.sections.single.check import CheckRecord
from stackbone.stack.report.sections.single.gallery import GalleryRecord
from stackbone.stack.tables.metric_names import as_primary

R = TypeVar("R")


def made_report(
    n_images: int = 400, n_classes: int = 6, n_pictures: int = 24, names: list[str] | None = None, seed: int = 0
) -> Report:
    """Return the report of a classification, as `stack.report.report.collect_report` does.

    Parameters
    ----------
    n_images, n_classes : int
        Points of the maps, and classes.
    n_pictures : int
        Images that galleries and maps point at.
    names : list of str, optional
        Of the classes; by default made ones.
    seed : int
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    names = names or [f"{word(i)} {i:03}" for i in range(n_classes)]
    n_classes = len(names)
    truth = np.sort(rng.integers(0, n_classes, n_images))
    shift = rng.integers(1, 4, n_images) * (rng.random(n_images) < 0.15)
    predicted = (truth + shift) % n_classes
    rows = rng.choice(n_images, min(n_pictures, n_images), replace=False).tolist()
    scores = made_scores(rng)
    classes = made_classes(truth, predicted, names, rows, rng)
    wrong = [made_wrong(place, row, int(truth[row]), names, rng) for place, row in enumerate(rows)]
    maps = [made_map(name, truth, rng) for name in BACKBONES]
    pairs = [each.pair for each in classes.pairs]
    records = {
        "scores": scores,
        "classes": classes,
        "errors": ErrorsRecord(wrong, [rows[:2]]),
        "check": CheckRecord(made_suspects(rows, truth, names), len(rows), by_neighbours=True),
        "images": GalleryRecord(names, "stack:oof", list(BACKBONES)),
        "backbones": made_backbones(),
        "confidence": made_confidence(n_images),
        "learning": made_learning(),
        "map": MapRecord(maps, names, highlighted_classes(names, pairs), nearest_classes(maps[0], names)),
        "attention": AttentionRecord([Look(rows[0], "vit_toast")], {}),
        "data": made_data(n_images, names, truth),
        "provenance": made_provenance(),
    }
    images = {row: ReportImage(names[truth[row]], ListedFile("/made", f"photos/{row:05}.jpg", b"")) for row in rows}
    known = made_catalogue(truth, predicted, names, rows, rng)
    return Report(made_head(n_images, n_classes), _parts(records), images, catalogue=known)


def made_regression(n_images: int = 300, seed: int = 0) -> Report:
    """Return the report of a regression: `made_report` without what classes are needed for."""
    rng = np.random.default_rng(seed)
    true = rng.normal(40, 12, n_images).round(2)
    classes = made_report(n_images, seed=seed)
    predicted = (0.9 * true + 4 + rng.normal(0, 4, n_images)).round(3)
    pictured = np.sort(list(classes.images))
    worst = pictured[np.argsort(-np.abs(predicted - true)[pictured])]
    every = np.arange(n_images)
    points = TargetPoints(every, true, predicted, worst)
    quantiles = np.percentile(predicted - true, (5, 25, 50, 75, 95)).tolist()
    scores, maps = record_of(classes, ScoresRecord), record_of(classes, MapRecord).maps
    models = [replace(each, metrics={"mae": 3.1, "rmse": 4.2}) for each in scores.models]
    shown = [replace(each, codes=None, values=true) for each in maps]
    records = {
        "scores": replace(scores, metric="R²", models=models, best=models[-1]),
        "fit": FitRecord("stack:oof", points, every, dict(zip((5, 25, 50, 75, 95), quantiles, strict=True))),
        "backbones": replace(record_of(classes, BackbonesRecord), metric=as_primary("r2"), overlap=None),
        "learning": replace(record_of(classes, LearningRecord), metric="R²"),
        "map": MapRecord(shown, [], [], []),
        "images": GalleryRecord([], "stack:oof", []),
    }
    lacking = {"classes", "errors", "confidence", "check"}
    kept = {each.section.name: each.record for each in classes.parts if each.section.name not in lacking}
    head = replace(classes.head, metric="R²", facts=replace(classes.head.facts, n_classes=0))
    known = Catalogue(every, [f"photos/{row:05}.jpg" for row in every], [f"{value:g}" for value in true])
    return replace(classes, head=head, parts=_parts({**kept, **records}), catalogue=known)


def made_pictures(report: PageContent, n: int, size: int = 120, *, n_attention: int = 0) -> Pictures:
    """Return pictures of the first n images, and of the first looks."""
    drawn = made_thumbnails(max(n, n_attention), size)
    attention = {number: drawn[number] for number in range(n_attention)}
    return Pictures(dict(zip(list(report.images)[:n], drawn.values(), strict=False)), {}, attention)


def made_thumbnails(n: int, size: int = 120) -> dict[int, bytes]:
    """Return n WebP pictures of about the weight of a photograph's thumbnail."""
    found = {}
    for i in range(n):
        rng = np.random.default_rng(i)
        colors = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        content = BytesIO()
        Image.fromarray(colors).resize((size, size), Image.Resampling.BICUBIC).save(content, "WEBP", quality=70)
        found[i] = content.getvalue()
    return found


def record_of(report: Report, kind: type[R]) -> R:
    """Return the record of that type, which the report has."""
    record = report.record(kind)
    assert record is not None, kind
    return record


def changed(report: Report, **changes: Any) -> Report:  # noqa: ANN401 - fields of any record
    """Return a report with other fields in the record of a section: ``section={"field": value}``; None removes it."""
    parts = [
        replace(each, record=replace(each.record, **(changes.get(each.section.name) or {})))
        for each in report.parts
        if changes.get(each.section.name, {}) is not None
    ]
    return replace(report, parts=parts)


def with_changes(report: Report) -> Report:
    """Return a report that tells of an earlier result too, in the words of its own classes."""
    assert report.catalogue is not None
    names = report.catalogue.classes
    shown = dict(list(report.images.items())[:6])
    images = [
        ImageChange(each.path, each.label, names[i % len(names)], each.label, "won" if i < 4 else "lost")
        for i, each in enumerate(shown.values())
    ]
    change = Change(
        file="before.json",
        metric="accuracy",
        model_before="stack:oof",
        model_now="stack:oof",
        before=0.85,
        now=0.861,
        difference=None,
        models=[],
        n_both=len(report.catalogue.rows),
        images=images,
        classes=[ClassChange(name, 20, 0.7, 0.8, 2, 1) for name in names],
    )
    rows = {each.path: row for row, each in shown.items()}
    records = {each.section.name: each.record for each in report.parts}
    return replace(report, parts=_parts({**records, "changes": ChangesRecord(change, rows)}))


def _parts(records: dict[str, Any]) -> list[FilledSection[Any]]:
    return [FilledSection(section, records[name]) for name, section in SECTIONS.items() if name in records]
