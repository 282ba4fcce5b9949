"""A made experiment's report, of any size: what the tests and the benchmark of the page draw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.records.listed import Listed, Skipped
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, Sizes
from stackbone.cache.upkeep.oddities.find import Oddity
from stackbone.stack.experiments.against.change import Change, ClassChange, ImageChange
from stackbone.stack.experiments.learning_curve import LearningCurve
from stackbone.stack.metrics.compare import ErrorOverlap
from stackbone.stack.metrics.confusion import ClassReport, ConfusedPair, confused_pairs
from stackbone.stack.report.answers import ConfidentError, Vote
from stackbone.stack.report.catalogue.catalogue import Catalogue, Said
from stackbone.stack.report.catalogue.collect import Suspect
from stackbone.stack.report.embedding_maps import EmbeddingMap
from stackbone.stack.report.figures.backbone_figures import Cost
from stackbone.stack.report.figures.confusion_matrix import ConfusionMatrix
from stackbone.stack.report.head import Facts, Head
from stackbone.stack.report.images import ReportImage
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.projection import Projection
from stackbone.stack.report.report import FilledSection, PageContent, Report
from stackbone.stack.report.section import SECTIONS
from stackbone.stack.report.sections.against.changes import ChangesRecord
from stackbone.stack.report.sections.attention import AttentionRecord, Look
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.classes import ClassesRecord, PairPictures
from stackbone.stack.report.sections.confidence import CalibrationRange, ConfidenceRecord, ScoreHistogram
from stackbone.stack.report.sections.data import DataRecord
from stackbone.stack.report.sections.errors import ErrorsRecord
from stackbone.stack.report.sections.fit import FitRecord, TargetPoints
from stackbone.stack.report.sections.learning import LearningRecord
from stackbone.stack.report.sections.map import MapRecord, highlighted_classes, nearest_classes
from stackbone.stack.report.sections.provenance import ProvenanceRecord, Values
from stackbone.stack.report.sections.scores import ModelSummary, ScoresRecord
from stackbone.stack.report.sections.single.check import CheckRecord
from stackbone.stack.report.sections.single.gallery import GalleryRecord
from stackbone.stack.tables.losses import BackboneLoss
from stackbone.stack.tables.metric_names import as_primary
from stackbone.stack.tables.verdict import Verdict
from stackbone.stack.tasks.findings import Lesson

R = TypeVar("R")

BACKBONES = ("resnet50", "vit_base", "efficientnet_lite2")
_MODELS = (
    *((f"lr:{name}", "backbone", f"logistic regression on {name}") for name in BACKBONES),
    ("mean", "baseline", "mean of the backbones' probabilities"),
    ("concat", "baseline", "logistic regression on all features side by side"),
    ("stack:oof", "stack", "linear SVM on out-of-fold log-probabilities"),
)


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
    names = names or [f"{_word(i)} {i:03}" for i in range(n_classes)]
    n_classes = len(names)
    truth = np.sort(rng.integers(0, n_classes, n_images))
    shift = rng.integers(1, 4, n_images) * (rng.random(n_images) < 0.15)
    predicted = (truth + shift) % n_classes
    rows = rng.choice(n_images, min(n_pictures, n_images), replace=False).tolist()
    scores = _scores(rng)
    classes = _classes(truth, predicted, names, rows, rng)
    wrong = [_wrong(place, row, int(truth[row]), names, rng) for place, row in enumerate(rows)]
    maps = [_map(name, truth, rng) for name in BACKBONES]
    pairs = [each.pair for each in classes.pairs]
    records = {
        "scores": scores,
        "classes": classes,
        "errors": ErrorsRecord(wrong, [rows[:2]]),
        "check": CheckRecord(_suspects(rows, truth, names), len(rows), by_neighbours=True),
        "images": GalleryRecord(names, "stack:oof", list(BACKBONES)),
        "backbones": _backbones(),
        "confidence": _confidence(n_images),
        "learning": _learning(),
        "map": MapRecord(maps, names, highlighted_classes(names, pairs), nearest_classes(maps[0], names)),
        "attention": AttentionRecord([Look(rows[0], "vit_toast")], {}),
        "data": _data(n_images, names, truth),
        "provenance": _provenance(),
    }
    images = {row: ReportImage(names[truth[row]], ListedFile("/made", f"photos/{row:05}.jpg", b"")) for row in rows}
    known = _catalogue(truth, predicted, names, rows, rng)
    return Report(_head(n_images, n_classes), _parts(records), images, catalogue=known)


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


def _word(i: int) -> str:
    return ("warbler", "jay", "sparrow", "gull", "tern", "wren", "kingfisher", "vireo")[i % 8]


def _head(n_images: int, n_classes: int) -> Head:
    return Head(
        dataset="made",
        created=datetime(2025, 1, 31, 12, tzinfo=UTC),
        model="stack:oof",
        metric="accuracy",
        mean=0.861,
        std=0.006,
        verdict=Verdict(
            "stack:oof (0.861) beats the best single backbone, lr:vit_base (0.838), by 2.3 points, ahead in 3 of 3 "
            "folds.",
            "95% interval of the difference: +0.9 to +3.7 points (corrected resampled t).",
            "stack:oof is 0.4 points above the plain concat (0.857).",
        ),
        facts=Facts(
            n_images=n_images,
            n_classes=n_classes,
            n_groups=n_images - 3,
            how="3 folds, seed 0",
            left_out={"unlabelled": 0, "failed": 2, "doubles": 3, "conflicting": 0},
            notes=["3 images are byte-for-byte copies"],
        ),
    )


def _scores(rng: np.random.Generator) -> ScoresRecord:
    means = (0.802, 0.838, 0.815, 0.849, 0.857, 0.861)
    models = [
        ModelSummary(
            name=name,
            kind=kind,
            what=what,
            mean=mean,
            std=0.006,
            folds=(mean + rng.normal(0, 0.006, 3)).round(4).tolist(),
            interval=(mean - 0.012, mean + 0.012),
            metrics={"macro_f1": mean - 0.01, **({"log_loss": 0.41} if kind != "backbone" else {})},
        )
        for (name, kind, what), mean in zip(_MODELS, means, strict=True)
    ]
    lessons = [Lesson("each fold uses features whose steering never saw its test part", "vit_toast is steered")]
    return ScoresRecord("accuracy", models, models[-1], models[-1], lessons)


def _classes(
    truth: NDArray[np.int_], predicted: NDArray[np.int_], names: list[str], rows: list[int], rng: np.random.Generator
) -> ClassesRecord:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    matrix = ConfusionMatrix(names, counts, rng.permutation(len(names)))
    return ClassesRecord(
        model="stack:oof",
        repeats=1,
        matrix=matrix,
        frequent=confused_pairs(truth, predicted, names, top=100) if len(names) > 20 else None,
        scored=sorted(_reports(counts, names), key=lambda each: each.f1),
        untested=[],
        pairs=_pairs(counts, names, rows),
    )


def _reports(counts: NDArray[np.int64], names: list[str]) -> list[ClassReport]:
    right = np.diag(counts)
    recall = right / np.maximum(counts.sum(axis=1), 1)
    precision = right / np.maximum(counts.sum(axis=0), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return [
        ClassReport(name, int(n), float(p), float(r), float(f))
        for name, n, p, r, f in zip(names, counts.sum(axis=1), precision, recall, f1, strict=True)
        if n
    ]


def _pairs(counts: NDArray[np.int64], names: list[str], rows: list[int]) -> list[PairPictures]:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None)[:8]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        PairPictures(
            ConfusedPair(names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / max(counts[i].sum(), 1))),
            [rows[(number * 3 + k) % len(rows)] for k in range(3)],
        )
        for number, (i, j) in enumerate(pairs)
    ]


def _suspects(rows: list[int], truth: NDArray[np.int_], names: list[str]) -> list[Suspect]:
    return [
        Suspect(row, names[truth[row]], names[(truth[row] + 1) % len(names)], 0.99 - 0.01 * place, 2, 3)
        for place, row in enumerate(rows[:12])
    ]


def _catalogue(
    truth: NDArray[np.int_], predicted: NDArray[np.int_], names: list[str], rows: list[int], rng: np.random.Generator
) -> Catalogue:
    every = np.arange(len(truth))
    sure = rng.uniform(0.4, 1, len(truth))
    votes = (Said(np.where(every % place, predicted, truth), sure) for place in (2, 3, 4))
    return Catalogue(
        every,
        paths=[f"photos/{row:05}.jpg" for row in every],
        labels=[names[code] for code in truth],
        splits=["test" if row % 4 == 0 else "train" for row in every],
        classes=names,
        true=truth,
        model="stack:oof",
        said=Said(predicted, sure),
        votes=dict(zip(BACKBONES, votes, strict=True)),
        neighbours=np.stack([np.roll(rows, place)[every % len(rows)] for place in range(min(6, len(rows)))], axis=1),
    )


def _wrong(place: int, row: int, true: int, names: list[str], rng: np.random.Generator) -> ConfidentError:
    taken = names[(true + 1) % len(names)]
    votes = [
        Vote(name, taken if i < 2 or place % 2 else names[true], round(float(rng.uniform(0.4, 1)), 3))
        for i, name in enumerate(BACKBONES)
    ]
    return ConfidentError(row, names[true], taken, round(0.99 - 0.01 * place, 3), votes)


def _backbones() -> BackbonesRecord:
    costs = [
        Cost(name, 1280, 5.1 * (i + 1), 90.0 / (i + 1), 0.81 + 0.02 * i, (0.8, 0.86))
        for i, name in enumerate(BACKBONES)
    ]
    return BackbonesRecord(
        metric=as_primary("accuracy"),
        ablation=[BackboneLoss(name, 1.2 * i - 0.4, 1.2 * i - 1, 1.2 * i + 0.2) for i, name in enumerate(BACKBONES)],
        overlap=ErrorOverlap(
            list(BACKBONES), np.array([[1, 0.31, 0.42], [0.31, 1, 0.35], [0.42, 0.35, 1]]), [0.2, 0.17, 0.19], 0.95
        ),
        costs=costs,
        shares={name: (i + 1) / 6 for i, name in enumerate(BACKBONES)},
    )


def _confidence(n_images: int) -> ConfidenceRecord:
    edges = np.linspace(0, 1, 11).round(3).tolist()
    share = np.array([0, 0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.47])
    counts = (share * n_images).astype(int)
    ranges = [
        CalibrationRange(low, high, (low + high) / 2, (low + high) / 2 - 0.03, int(n), (low - 0.05, high + 0.01))
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
        if n
    ]
    right = (counts * np.linspace(0.05, 0.95, 10)).astype(int)
    return ConfidenceRecord("image", ranges, 0.031, ScoreHistogram(edges, right.tolist(), (counts - right).tolist()))


def _learning() -> LearningRecord:
    curves = [
        LearningCurve(model, [50, 100, 200, 400], [0.5, 0.6, 0.7, top], [0.02, 0.02, 0.01, 0.01])
        for model, top in (("stack:oof", 0.86), ("lr:vit_base", 0.83))
    ]
    return LearningRecord("accuracy", curves)


def _map(backbone: str, truth: NDArray[np.int_], rng: np.random.Generator) -> EmbeddingMap:
    centres = rng.normal(0, 4, (int(truth.max()) + 1, 2))
    points = (centres[truth] + rng.normal(0, 1, (len(truth), 2))).round(4)
    return EmbeddingMap(backbone, Projection("PCA", points, (0.21, 0.12), 0.43), np.arange(len(truth)), truth, None)


def _data(n_images: int, names: list[str], truth: NDArray[np.int64]) -> DataRecord:
    counts = np.bincount(truth, minlength=len(names)).tolist()
    small = "images are smaller than the networks' input and will be enlarged: from 32 pixels in the median"
    return DataRecord(
        DatasetSummary(
            name="photos",
            root="/made",
            n_listed=n_images,
            n_images=n_images,
            n_failed=0,
            n_labelled=n_images,
            classes=dict(zip(names, counts, strict=True)),
            splits={},
            groups={},
            n_doubles=0,
            conflicts=[],
            sizes=Sizes(n_images, (28, 28), (32, 32), (64, 48)),
            listed=Listed([Skipped(".heic", "not read", 12, "a/<b>.heic")], ["'dev' is the split 'validation'."]),
            oddities=[Oddity("small images", small)],
        )
    )


def _provenance() -> ProvenanceRecord:
    features = [
        Values(
            f"Features of {name}",
            {
                "id": f"{name}-0123456789ab",
                **{"architecture": name, "input_size": [224, 224], "pooling": "avg"},
                **{"made: engine": "openvino", "made: torch": "2.9"},
            },
        )
        for name in BACKBONES
    ]
    options = {
        **{"seed": 0, "folds": [{"n_train": 266, "n_test": 134}] * 3, "repeats": 1},
        "meta": {"learner": "svm", "scores": "log-probability"},
    }
    return ProvenanceRecord(
        ["stackbone extract photos", "stackbone stack --cv 3 --seed 0 --report report.html"],
        [
            Values("Versions", {"stackbone": "0.1.0", "numpy": "2.2", "scikit-learn": "1.7"}),
            Values("Options", options),
            *features,
        ],
    )
