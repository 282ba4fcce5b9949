"""Attention is pictured of images that the steering never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, FeatureStore
from stackbone.cache.disk.reading import ListedFile
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.report.context import Context, ReportOptions
from stackbone.stack.report.report import collect_report, draw_pictures
from stackbone.stack.report.sections.attention import SECTION, AttentionRecord, choose_images

LABELS = [f"class {i % 3}" for i in range(60)]


@pytest.fixture
def store(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> FeatureStore:
    return make_cache(tmp_path, LABELS, backbones=["resnet50", "toast0", "toast1", "toast2"])


@pytest.fixture
def plain(store: FeatureStore) -> Experiment:
    options = StackOptions(c=0.1, inner_splits=2)
    return run_experiment(store, backbones=["resnet50", "toast0"], recipes=["oof"], options=options)


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch, plain: Experiment, store: FeatureStore) -> Experiment:
    """Return an experiment with a backbone that has features of its own in each fold."""
    ids = {each.backbone: each.id for each in store.feature_sets()}
    backbones = {"resnet50": ids["resnet50"], "toast0": [ids[f"toast{fold}"] for fold in range(3)]}
    monkeypatch.setattr(Experiment, "backbones", backbones)
    return plain


def test_plain_backbones_have_no_attention_to_show(plain: Experiment, store: FeatureStore) -> None:
    assert SECTION.collect(Context(plain, store)) is None


def test_images_are_of_the_first_test_part_and_errors_among_them_come_first(
    steered: Experiment, store: FeatureStore
) -> None:
    context = Context(steered, store)
    found = SECTION.collect(context)
    assert found is not None
    assert {look.backbone for look in found.looks} == {"toast0"}
    rows = [look.row for look in found.looks]
    assert len(rows) == len(set(rows)) == 12
    assert set(rows) <= set(steered.joined.rows[steered.folds[0].test].tolist())
    assert set(rows) <= set(context.images)
    assert context.answers is not None
    unseen = [each.row for each in context.answers.wrong if each.row in context.rows[steered.folds[0].test]]
    assert rows[: min(6, len(unseen))] == unseen[:6]


def test_few_images_are_all_there_are_and_seen_errors_are_left_out() -> None:
    test = np.array([104, 107, 109])
    assert choose_images(test, np.zeros(3, np.int64), [100, 109, 104], 0) == [109, 104, 107]
    many = np.arange(100, 160)
    found = choose_images(many, np.arange(60) % 3, list(range(159, 100, -1)), 0)
    assert found[:6] == [159, 158, 157, 156, 155, 154]
    assert len(found) == len(set(found)) == 12


def test_pictures_are_drawn_from_the_features_that_the_first_fold_used(
    steered: Experiment, store: FeatureStore
) -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def draw(name: str, spec: FeatureSpec, files: Sequence[ListedFile]) -> list[bytes | None]:
        asked.append((name, spec.architecture, [each.path for each in files]))
        return [None if i == 1 else b"picture %d" % i for i in range(len(files))]

    report = collect_report(steered, store, ReportOptions(projection="pca"))
    record = report.record(AttentionRecord)
    assert record is not None
    pictures = draw_pictures(report, attention=draw)
    assert asked == [("toast0", "toast0", [report.images[look.row].path for look in record.looks])]
    assert list(pictures.attention) == [0, *range(2, 12)]
    assert pictures.attention[2] == b"picture 2"
    assert not pictures.thumbnails
    assert not pictures.missing
