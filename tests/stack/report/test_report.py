"""What a report shows is what the experiment found: whole, finite, of UTF-8, and every pointer points somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_report import record_of
from stackbone.cache import CacheError, FeatureStore, UsageError
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.records.indexes.listed import Listed, Skipped
from stackbone.cache.upkeep.compact import compact
from stackbone.stack import Experiment, MetaOptions, StackOptions, run_experiment
from stackbone.stack.audit.audit import audit
from stackbone.stack.learners.weight_shares import mean_shares, target_shares
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, paired_difference
from stackbone.stack.metrics.metrics import regression_metrics
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.page import render_page, write_report
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.report import Report, collect_report, draw_pictures
from stackbone.stack.report.sections.backbones import BackbonesRecord
from stackbone.stack.report.sections.classes import ClassesRecord
from stackbone.stack.report.sections.confidence import ConfidenceRecord
from stackbone.stack.report.sections.data import DataRecord
from stackbone.stack.report.sections.errors import ErrorsRecord
from stackbone.stack.report.sections.fit import FitRecord
from stackbone.stack.report.sections.learning import LearningRecord
from stackbone.stack.report.sections.map import MapRecord
from stackbone.stack.report.sections.provenance import ProvenanceRecord
from stackbone.stack.report.sections.scores import ScoresRecord
from stackbone.stack.report.sections.single.check import CheckRecord
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.class_findings import ClassFindings

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 90
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))

Make = Callable[..., FeatureStore]


def collected(experiment: Experiment, store: FeatureStore, **options: Any) -> Report:  # noqa: ANN401
    return collect_report(experiment, store, ReportOptions(projection="pca", **options))


def payload(report: Report) -> dict[str, Any]:
    """Return the page's JSON as a browser reads it: refused if it is not finite or not UTF-8."""
    page = render_page(report, Pictures()).encode().decode()
    script = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert script is not None
    found = json.loads(script[1])
    assert isinstance(found, dict)
    return found


def sections(report: Report) -> list[str]:
    return [part.section.name for part in report.parts]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("features"), LABELS, noise=3.0)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, options=FIXED)


@pytest.fixture(scope="module")
def report(experiment: Experiment, store: FeatureStore) -> Report:
    return collected(experiment, store)


def test_every_section_that_has_something_to_show_is_there(report: Report) -> None:
    assert sections(report) == [
        *("scores", "classes", "errors", "check", "images", "backbones", "confidence", "map", "data", "provenance")
    ]
    assert report.head.dataset == "photos"
    assert record_of(report, ErrorsRecord).conflicts == []
    assert set(payload(report)["figures"]) == set(report.figures())


def test_words_and_facts_are_those_of_the_terminal(report: Report, experiment: Experiment) -> None:
    head = report.head
    assert head.verdict == verdict(experiment)
    assert record_of(report, ScoresRecord).lessons == [], "what other sections show is not said twice"
    assert len(lessons(experiment)) > 3
    assert head.facts.how == "3 folds, seed 0"
    assert head.facts.how in table.title(experiment)
    assert (head.facts.n_images, head.facts.n_classes, head.facts.n_groups) == (N, 3, None)
    assert record_of(report, ClassesRecord).matrix.names == [f"class {i}" for i in range(3)]
    assert (head.model, head.metric) == ("stack:oof", "accuracy")
    assert head.mean == experiment.evaluation.score("stack:oof").mean
    assert head.interval == experiment.interval("stack:oof")


def test_models_are_the_table_with_the_interval_of_each_mean(report: Report, experiment: Experiment) -> None:
    results, record = experiment.evaluation.results, record_of(report, ScoresRecord)
    assert record.metric == "accuracy"
    assert [each.name for each in record.models] == [each.model for each in results]
    for shown, score in zip(record.models, results, strict=True):
        assert (shown.mean, shown.std, shown.folds) == (score.mean, score.std, score.folds)
        if len(set(score.folds)) > 1:
            whole = paired_difference(score.folds, [0, 0, 0], 60, 30)
            assert whole.low is not None
            assert whole.high is not None
            assert shown.interval == pytest.approx((max(0.0, whole.low), min(1.0, whole.high)))
        else:
            assert shown.interval is None
    kinds = {each.name: each.kind for each in record.models}
    assert kinds["lr:resnet50"] == kinds["svm:vgg19"] == "backbone"
    assert kinds["mean"] == kinds["concat"] == "baseline"
    assert kinds["stack:oof"] == kinds["stack:published"] == "stack"
    assert record.best.mean == max(score.mean for score in results)
    assert record.about.name == experiment.model_name


def test_comparisons_are_those_of_the_findings(report: Report, experiment: Experiment) -> None:
    found, record = experiment.findings, record_of(report, BackbonesRecord)
    assert isinstance(found, ClassFindings)
    for loss, (name, each) in zip(record.ablation, found.ablation.items(), strict=True):
        assert isinstance(each, Difference)
        assert loss.without == name
        assert loss.mean == pytest.approx(100 * each.mean)
        assert each.low is not None
        assert loss.low == pytest.approx(100 * each.low)
    assert record.overlap is not None
    assert record.overlap.names == ["resnet50", "vgg19"]
    np.testing.assert_array_equal(record.overlap.jaccard, found.overlap.jaccard)
    classes = record_of(report, ClassesRecord)
    assert classes.scored == sorted(found.classes, key=lambda each: each.f1)
    assert classes.untested == []


def test_the_confusion_matrix_holds_every_prediction(report: Report, experiment: Experiment) -> None:
    record = record_of(report, ClassesRecord)
    counts = record.matrix.counts
    assert record.model == "stack:oof"
    assert counts.sum() == N
    assert counts.trace() == round(N * experiment.evaluation.score("stack:oof").mean)
    assert sorted(record.matrix.order.tolist()) == [0, 1, 2]
    names = record.matrix.names
    pairs = {(each.pair.true, each.pair.predicted): each.pair.n for each in record.pairs}
    assert pairs == {(names[i], names[j]): counts[i, j] for i, j in np.argwhere(counts) if i != j}
    for each in record.pairs:
        assert 0 < len(each.examples) <= min(6, each.pair.n)
        assert {report.images[row].label for row in each.examples} == {each.pair.true}


def test_with_repeats_every_prediction_counts(store: FeatureStore) -> None:
    found = collected(run_experiment(store, options=FIXED, recipes=["oof"], repeats=2), store)
    record, confidence = record_of(found, ClassesRecord), record_of(found, ConfidenceRecord)
    assert (record.repeats, confidence.noun) == (2, "prediction")
    assert sum(each.n for each in record.scored) == N
    assert record.matrix.counts.sum() == 2 * N
    assert sum(confidence.histogram.right) == record.matrix.counts.trace()
    assert sum(confidence.histogram.wrong) == 2 * N - record.matrix.counts.trace()
    assert sum(each.n for each in confidence.ranges) == 2 * N


def test_wrong_images_agree_with_the_findings_and_are_in_the_list(report: Report, experiment: Experiment) -> None:
    found, wrong = experiment.findings, record_of(report, ErrorsRecord).wrong
    assert isinstance(found, ClassFindings)
    assert len(found.wrong) > 3
    for shown, each in zip(wrong, found.wrong, strict=False):
        image = report.images[shown.row]
        assert (image.path, image.label) == (each.path, each.label)
        assert (shown.true, shown.predicted) == (each.label, each.predicted)
        assert shown.probability == pytest.approx(each.score)
        assert [vote.backbone for vote in shown.votes] == ["resnet50", "vgg19"]
    assert len(wrong) == N - np.trace(record_of(report, ClassesRecord).matrix.counts)


def test_labels_to_check_are_those_that_the_audit_finds(tmp_path: Path, make_cache: Make) -> None:
    labels = [LABELS[(i + 1) % 3] if i % 17 == 0 else label for i, label in enumerate(LABELS)]
    content = make_cache(tmp_path, LABELS, noise=1.5)
    index = content.dataset()
    content.write_dataset(replace(index, label=labels))
    found = record_of(collected(run_experiment(content, recipes=["oof"]), content), CheckRecord)
    said = audit(content, kinds="label").findings["label"]
    assert len(said) > 3
    paths = index.path
    assert [(paths[each.row], each.label, each.likeliest) for each in found.suspects] == [
        (each.image, each.label, each.suggested_label) for each in said
    ]
    assert [each.doubt for each in found.suspects] == pytest.approx([each.score for each in said])
    assert found.n_found == len(said)


@pytest.mark.parametrize("recipe", ["oof", "concat", "published"])
def test_a_page_speaks_of_one_model(store: FeatureStore, recipe: str) -> None:
    experiment = run_experiment(store, options=FIXED, recipes=[recipe])
    found = collected(experiment, store)
    name = experiment.model_name
    assert (
        found.head.model == record_of(found, ScoresRecord).about.name == record_of(found, ClassesRecord).model == name
    )
    assert found.head.verdict.comparison.startswith(name)
    assert found.head.interval == experiment.interval(name)
    assert found.catalogue is not None
    assert found.catalogue.model == name
    backbones = record_of(found, BackbonesRecord)
    assert bool(backbones.ablation) == bool(backbones.shares) == (recipe == "oof"), "those are of stack:oof"


def test_the_data_are_those_of_the_index_and_of_these_networks(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, [*LABELS, ""])
    index = store.dataset()
    listed = Listed([Skipped(".heic", "not read here", 3, "a/b.heic")], ["It is so."])
    store.write_dataset(replace(index, sizes=np.full((len(index), 2), 100), listed=listed))
    summary = record_of(collected(run_experiment(store, options=FIXED), store), DataRecord).summary
    assert summary.classes == {f"class {i}": 30 for i in range(3)}
    assert (summary.n_listed, summary.n_labelled, summary.listed) == (N + 1, N, listed)
    assert [each.kind for each in summary.oddities] == ["small images"]


def test_cost_is_the_features_of_these_images(report: Report, experiment: Experiment) -> None:
    record = record_of(report, BackbonesRecord)
    assert [each.backbone for each in record.costs] == list(experiment.backbones)
    for each in record.costs:
        assert each.megabytes == pytest.approx(N * 8 * 4 / 1e6)
        assert each.dim == 8
        assert each.images_per_s is None
        assert each.score == experiment.evaluation.score(f"lr:{each.backbone}").mean
    assert sum(record.shares.values()) == pytest.approx(1.0)


def test_a_recorded_speed_is_shown(tmp_path: Path, make_cache: Make, experiment: Experiment) -> None:
    store = make_cache(tmp_path, LABELS)
    for each in store.feature_sets():
        spec, x = each.header().spec, each.load(each.digests())
        digests = each.digests()
        for shard in each.shards():
            shard.unlink()
        each.append(spec, digests, x, {"images_per_s": "123.4"})
    costs = record_of(collected(experiment, store), BackbonesRecord).costs
    assert [each.images_per_s for each in costs] == [123.4, 123.4]


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("rates", [["24.2", "35.9"], ["102.0", "24.2; 35.9", "300"], ["24.2", "unknown"]])
def test_the_speed_of_several_runs_is_shown_before_and_after_they_are_merged(
    tmp_path: Path, make_cache: Make, experiment: Experiment, rates: list[str], *, merge: bool
) -> None:
    store = make_cache(tmp_path, LABELS)
    for each in store.feature_sets():
        spec, digests = each.header().spec, each.digests()
        x = each.load(digests)
        for shard in each.shards():
            shard.unlink()
        for i, rate in enumerate(rates):
            each.append(spec, digests[i :: len(rates)], x[i :: len(rates)], {"images_per_s": rate, "engine": f"e{i}"})
        if merge:
            assert compact(each).shards_after == 1
    report = collected(experiment, store)
    numbers = [float(each) for rate in rates for each in rate.split("; ") if each != "unknown"]
    assert [each.images_per_s for each in record_of(report, BackbonesRecord).costs] == [np.median(numbers)] * 2
    made = record_of(report, ProvenanceRecord).made_with[-1].values
    assert made["made: engine"] == ", ".join(f"e{i}" for i in range(len(rates)))
    assert "made: images_per_s" in render_page(report, Pictures())


def test_maps_hold_every_image_and_point_into_the_list(report: Report, experiment: Experiment) -> None:
    record = record_of(report, MapRecord)
    assert [each.backbone for each in record.maps] == ["resnet50", "vgg19"]
    for each in record.maps:
        assert each.projection.method == "PCA"
        assert each.projection.points.shape == (N, 2)
        assert each.values is None
        assert each.codes is not None
        for code, row, path in zip(each.codes, each.rows.tolist(), experiment.joined.paths, strict=True):
            assert record.classes[code] == report.images[row].label
            assert report.images[row].path == path
    sent = payload(report)
    assert sent["rows"] == [list(range(N))]
    assert sent["catalogue"]["row"] == list(range(N))
    assert sent["catalogue"]["path"] == list(experiment.joined.paths)
    assert sent["catalogue"]["true"] == record.maps[0].codes.tolist()  # type: ignore[union-attr]


def test_the_nearest_class_is_that_of_the_nearest_mean(report: Report) -> None:
    record = record_of(report, MapRecord)
    first = record.maps[0]
    centres = {
        name: first.projection.points[first.codes == code].mean(axis=0) for code, name in enumerate(record.classes)
    }
    for each in record.neighbours:
        others = {name: centre for name, centre in centres.items() if name != each.name}
        assert each.n_points == 30
        assert each.nearest == min(others, key=lambda name: float(np.linalg.norm(others[name] - centres[each.name])))


@pytest.mark.parametrize("most", [0, 5, 40])
def test_no_more_images_are_pictured_than_asked_for(experiment: Experiment, store: FeatureStore, most: int) -> None:
    found = collected(experiment, store, max_thumbnails=most)
    assert len(found.files()) == most
    assert [each.place for each in found.files().values()] == [
        f"/photos/{each.path}" for each in list(found.images.values())[:most]
    ]
    assert payload(found)["catalogue"]["row"] == list(range(N)), "every point has its path, pictured or not"


def test_provenance_names_what_made_the_numbers(report: Report, experiment: Experiment) -> None:
    record = record_of(report, ProvenanceRecord)
    made_with = {each.title: each.values for each in record.made_with}
    assert list(made_with) == ["Versions", "Options", "Features of resnet50", "Features of vgg19"]
    assert {"python", "stackbone", "numpy", "scikit-learn"} <= set(made_with["Versions"])
    options = made_with["Options"]
    assert options["seed"] == 0
    assert options["folds"] == [{"n_train": 60, "n_test": 30}] * 3
    assert options["c"] == 0.1
    assert options["meta"]["learner"] == "svm"
    features = made_with["Features of vgg19"]
    assert features["id"] == experiment.backbones["vgg19"]
    assert features["weights"] == "random(0)"
    assert features["made: engine"] == "torch"
    assert record.commands[-1].startswith("stackbone stack --cv 3 --seed 0 ")


def test_names_of_any_character_come_through(tmp_path: Path, make_cache: Make) -> None:
    bad = "photo\udcff.jpg"  # a file name that is no UTF-8, as Python lists it
    names = ["<script>alert(1)</script>", 'a "b" & \\ c', "naïve \u2028 class"]
    labels = [names[i % 3] for i in range(N)]
    paths = [bad, *(f"{i}\n</script>.jpg" for i in range(1, N))]
    store = make_cache(tmp_path, labels, paths=paths, root=tmp_path)
    found = collected(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    assert str(tmp_path / bad) in [file.place for file in found.files().values()], "the file is opened as it is"
    written = tmp_path / "report.html"
    write_report(run_experiment(store, options=FIXED, recipes=["oof"]), store, written)
    script = re.search(r'id="report-data">(.*?)</script>', written.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    sent = json.loads(script[1])
    assert sorted(sent["classes"]) == sorted(names)
    shown = sent["catalogue"]["path"]
    assert r"photo\udcff.jpg" in shown
    assert "1\n</script>.jpg" in shown


def test_byte_identical_files_of_two_labels_are_shown(tmp_path: Path, make_cache: Make) -> None:
    content = [*range(N - 2), 0, 1]  # the last two are the first two once more, under other labels
    store = make_cache(tmp_path, [*LABELS[:-2], LABELS[1], LABELS[2]], content=content)
    found = collected(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    assert found.head.facts.left_out["conflicting"] == 4
    shown = [[(found.images[row].path, found.images[row].label) for row in rows] for rows in _conflicts(found)]
    assert sorted(shown) == [
        [("class 0/0.jpg", "class 0"), (f"class 1/{N - 2}.jpg", "class 1")],
        [("class 1/1.jpg", "class 1"), (f"class 2/{N - 1}.jpg", "class 2")],
    ]


def _conflicts(report: Report) -> list[list[int]]:
    return record_of(report, ErrorsRecord).conflicts


def test_conflicting_labels_of_a_regression_are_shown_too(tmp_path: Path, make_cache: Make) -> None:
    labels = [str(round(i / 10, 1)) for i in range(N)]
    store = make_cache(tmp_path, labels, content=[*range(N - 1), 0])
    found = collected(run_experiment(store, task="regression"), store)
    assert record_of(found, ErrorsRecord).wrong == []
    assert [[found.images[row].label for row in rows] for rows in _conflicts(found)] == [["0.0", "8.9"]]


def test_a_single_split_has_intervals_over_images(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS, splits=["test" if i < 45 else "train" for i in range(N)])
    experiment = run_experiment(store, split="test", options=FIXED, recipes=["oof"])
    found = collected(experiment, store)
    fold, predicted = experiment.folds[0], experiment.evaluation.predictions["lr:vgg19"][0]
    right = np.unique(LABELS, return_inverse=True)[1][fold.test] == predicted.scores.argmax(axis=1)
    expected = bootstrap_difference(right, np.zeros_like(right), seed=0)
    shown = next(each for each in record_of(found, ScoresRecord).models if each.name == "lr:vgg19")
    assert shown.interval == (expected.low, expected.high)
    assert found.head.facts.how == "trained on the other splits, tested on 'test'"
    assert found.head.std is None
    assert len(record_of(found, MapRecord).maps[0].rows) == N


def test_the_published_recipe_alone_has_no_probabilities(store: FeatureStore) -> None:
    found = collected(run_experiment(store, options=FIXED, recipes=["published"]), store)
    assert record_of(found, ClassesRecord).model == "stack:published"
    assert found.record(ConfidenceRecord) is None
    assert record_of(found, BackbonesRecord).shares == {}
    assert all(each.probability is None for each in record_of(found, ErrorsRecord).wrong)


def test_one_backbone_has_a_report(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS[:60], backbones=["resnet50"])
    record = record_of(collected(run_experiment(store, options=FIXED), store), BackbonesRecord)
    assert record.ablation == []
    assert record.overlap is None
    assert record.shares == {"resnet50": 1.0}


def test_many_classes_have_their_most_frequent_confusions_listed(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, [f"class {i % 25:02}" for i in range(150)], noise=3.0)
    record = record_of(collected(run_experiment(store, options=FIXED, recipes=["oof"]), store), ClassesRecord)
    assert record.frequent is not None
    off = record.matrix.counts - np.diag(np.diag(record.matrix.counts))
    assert sorted((each.n for each in record.frequent), reverse=True) == [each.n for each in record.frequent]
    assert sum(each.n for each in record.frequent) == np.sort(off[off > 0])[::-1][:100].sum()


def test_a_regression_shows_numbers_and_no_classes(tmp_path: Path, make_cache: Make) -> None:
    labels = [str(round(i / 10, 1)) for i in range(N)]
    store = make_cache(tmp_path, labels)
    experiment = run_experiment(store, task="regression")
    found = collected(experiment, store, learning_curve=True, n_jobs=1, max_thumbnails=70)
    assert sections(found) == ["scores", "fit", "images", "backbones", "learning", "map", "data", "provenance"]
    assert (found.head.metric, found.head.facts.n_classes) == ("R²", 0)
    assert record_of(found, ScoresRecord).metric == "R²"
    record = record_of(found, FitRecord)
    points = record.points
    assert points.true.tolist() == [float(label) for label in labels]
    errors = regression_metrics(points.true, points.predicted)
    assert errors["mae"] == pytest.approx(np.mean(experiment.evaluation.score("stack:oof").metrics["mae"]))
    missed = np.abs(points.predicted - points.true)
    assert missed[points.worst].tolist() == sorted(missed, reverse=True)[:60]
    assert record.quantiles[50] == pytest.approx(np.median(points.predicted - points.true))
    assert len(found.images) == len(found.files()) == 70
    assert record.images[points.worst].tolist() == list(found.images)[:60], "the worst are pictured first"
    for row, image in found.images.items():
        assert image.label == labels[row]
    maps = record_of(found, MapRecord)
    assert (maps.classes, maps.highlighted, maps.neighbours, maps.maps[0].codes) == ([], [], [], None)
    np.testing.assert_array_equal(maps.maps[0].values, points.true)
    learnt = record_of(found, LearningRecord)
    assert [each.model for each in learnt.curves] == [experiment.findings.single, "stack:oof"]
    backbones = record_of(found, BackbonesRecord)
    assert [each.low for each in backbones.ablation] == [None, None]
    assert backbones.overlap is None
    predictions, names = experiment.evaluation.predictions, list(experiment.backbones)
    each = [
        target_shares(
            stack.scores.astype(np.float64),
            np.column_stack([predictions[f"ridge:{name}"][fold].scores for name in names]),
        )
        for fold, stack in enumerate(predictions["stack:oof"])
    ]
    assert backbones.shares == pytest.approx(mean_shares(names, each)), "of each fold, its own meta-learner"
    assert sum(backbones.shares.values()) == pytest.approx(1.0)
    assert payload(found)["maps"] == {}


def test_a_meta_learner_without_weights_shows_none(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS)
    averaged = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions("mean"))
    found = collected(run_experiment(store, options=averaged, recipes=["oof"]), store)
    assert record_of(found, BackbonesRecord).shares == {}
    numbers = make_cache(tmp_path / "numbers", [str(i) for i in range(60)])
    averaged = StackOptions(inner_splits=3, meta=MetaOptions("mean"))
    found = collected(run_experiment(numbers, task="regression", options=averaged), numbers)
    assert record_of(found, BackbonesRecord).shares == {}


def test_unknown_projections_are_refused_before_the_work() -> None:
    with pytest.raises(UsageError, match="unknown projection 'som'"):
        ReportOptions(projection="som")


def test_pictures_are_put_in_their_places_and_reasons_in_place_of_those_that_lack(report: Report) -> None:
    asked: list[str] = []

    def draw(files: Sequence[ListedFile]) -> list[bytes | str]:
        asked.extend(file.path for file in files)
        return ["it is gone" if i == 1 else file.path.encode() for i, file in enumerate(files)]

    pictures = draw_pictures(report, draw)
    assert asked == [image.path for image in report.images.values()]
    second = list(report.images)[1]
    assert pictures.missing == {second: "it is gone"}
    assert pictures.thumbnails == {row: image.path.encode() for row, image in report.images.items() if row != second}
    assert draw_pictures(report) == Pictures()


def test_a_report_is_written_by_one_call(tmp_path: Path, experiment: Experiment, store: FeatureStore) -> None:
    webp = b"RIFF\0\0\0\0WEBP"
    file = tmp_path / "new" / "report.html"
    written = write_report(
        experiment, store, file, options=ReportOptions("pca", max_thumbnails=2), thumbnails=lambda files: [webp] * 2
    )
    text = file.read_text(encoding="utf-8")
    assert text.count("data:image/webp;base64,") == len(written.files()) == 2
    assert written.head.verdict.comparison.partition(" (")[0] in text


def test_features_that_left_the_cache_are_named(tmp_path: Path, experiment: Experiment) -> None:
    with pytest.raises(CacheError, match=r"no feature set .* any more"):
        write_report(experiment, FeatureStore(tmp_path), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
