"""Made records of the sections of a report: what `made_report` puts together."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.records.indexes.listed import Listed, Skipped
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, Sizes
from stackbone.cache.upkeep.oddities.find import Oddity
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
from stackbone.stack.report.projection import Projection
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.classes import ClassesRecord, PairPictures
from stackbone.stack.report.sections.confidence import CalibrationRange, ConfidenceRecord, ScoreHistogram
from stackbone.stack.report.sections.data import DataRecord
from stackbone.stack.report.sections.learning import LearningRecord
from stackbone.stack.report.sections.provenance import ProvenanceRecord, Values
from stackbone.stack.report.sections.scores import ModelSummary, ScoresRecord
from stackbone.stack.tables.losses import BackboneLoss
from stackbone.stack.tables.metric_names import as_primary
from stackbone.stack.tables.verdict import Verdict
from stackbone.stack.tasks.findings import Lesson

BACKBONES = ("resnet50", "vit_base", "efficientnet_lite2")
_MODELS = (
    *((f"lr:{name}", "backbone", f"logistic regression on {name}") for name in BACKBONES),
    ("mean", "baseline", "mean of the backbones' probabilities"),
    ("concat", "baseline", "logistic regression on all features side by side"),
    ("stack:oof", "stack", "linear SVM on out-of-fold log-probabilities"),
)


def word(i: int) -> str:
    """Return a bird, one of eight in turn."""
    return ("warbler", "jay", "sparrow", "gull", "tern", "wren", "kingfisher", "vireo")[i % 8]


def made_head(n_images: int, n_classes: int) -> Head:
    """Return what stands at the top of the report."""
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


def made_scores(rng: np.random.Generator) -> ScoresRecord:
    """Return the scores of six models."""
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


def made_classes(
    truth: NDArray[np.int_], predicted: NDArray[np.int_], names: list[str], rows: list[int], rng: np.random.Generator
) -> ClassesRecord:
    """Return the confusions of classes, and the pairs that are mixed up most."""
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


def made_suspects(rows: list[int], truth: NDArray[np.int_], names: list[str]) -> list[Suspect]:
    """Return up to twelve labels that look wrong."""
    return [
        Suspect(row, names[truth[row]], names[(truth[row] + 1) % len(names)], 0.99 - 0.01 * place, 2, 3)
        for place, row in enumerate(rows[:12])
    ]


def made_catalogue(
    truth: NDArray[np.int_], predicted: NDArray[np.int_], names: list[str], rows: list[int], rng: np.random.Generator
) -> Catalogue:
    """Return every image with its label, its prediction, the votes of backbones and its neighbours."""
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


def made_wrong(place: int, row: int, true: int, names: list[str], rng: np.random.Generator) -> ConfidentError:
    """Return one error with what each backbone said."""
    taken = names[(true + 1) % len(names)]
    votes = [
        Vote(name, taken if i < 2 or place % 2 else names[true], round(float(rng.uniform(0.4, 1)), 3))
        for i, name in enumerate(BACKBONES)
    ]
    return ConfidentError(row, names[true], taken, round(0.99 - 0.01 * place, 3), votes)


def made_backbones() -> BackbonesRecord:
    """Return what each backbone costs and adds."""
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


def made_confidence(n_images: int) -> ConfidenceRecord:
    """Return a calibration over ten ranges."""
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


def made_learning() -> LearningRecord:
    """Return the learning curves of two models."""
    curves = [
        LearningCurve(model, [50, 100, 200, 400], [0.5, 0.6, 0.7, top], [0.02, 0.02, 0.01, 0.01])
        for model, top in (("stack:oof", 0.86), ("lr:vit_base", 0.83))
    ]
    return LearningRecord("accuracy", curves)


def made_map(backbone: str, truth: NDArray[np.int_], rng: np.random.Generator) -> EmbeddingMap:
    """Return a map of images in clouds, one a class."""
    centres = rng.normal(0, 4, (int(truth.max()) + 1, 2))
    points = (centres[truth] + rng.normal(0, 1, (len(truth), 2))).round(4)
    return EmbeddingMap(
        backbone,
        Projection("PCA", points, (0.21, 0.12), 0.43),
        np.arange(len(truth)),
        truth,
        None,
        clusters=rng.permutation(truth),
    )


def made_data(n_images: int, names: list[str], truth: NDArray[np.int64]) -> DataRecord:
    """Return what is said of a dataset."""
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


def made_provenance() -> ProvenanceRecord:
    """Return how the result was made."""
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
