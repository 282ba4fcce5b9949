"""What a report shows is what the experiment found: whole, finite, of UTF-8, and every pointer points somewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.stack import Experiment, MetaOptions, StackOptions, run_experiment
from stackbone.stack.metrics.compare import bootstrap_difference, paired_difference
from stackbone.stack.metrics.metrics import regression_metrics
from stackbone.stack.report.data import collect
from stackbone.stack.tables import table
from stackbone.stack.tasks.class_findings import ClassFindings

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 90
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))
KEYS = {
    *("task", "dataset", "created", "verdict", "lessons", "facts", "classes", "images", "models", "difference"),
    *("confusion", "per_class", "confused_pairs", "wrong", "conflicts", "overlap", "ablation", "cost", "weights"),
    *("calibration", "calibration_error", "scores", "learning_curve", "maps", "regression", "attention", "provenance"),
}

Make = Callable[..., FeatureStore]


def to_json(experiment: Experiment, store: FeatureStore, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the report's JSON as a browser reads it: refused if it is not finite or not UTF-8."""
    data = collect(experiment, store, projection="pca", **options)
    content = json.dumps(data.to_dict(), allow_nan=False, ensure_ascii=False).encode()
    found = json.loads(content)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("features"), LABELS, noise=3.0)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, options=FIXED)


@pytest.fixture(scope="module")
def report(experiment: Experiment, store: FeatureStore) -> dict[str, Any]:
    return to_json(experiment, store)


def test_every_promised_section_is_there(report: dict[str, Any]) -> None:
    assert set(report) == KEYS
    assert report["task"] == "classification"
    assert report["dataset"] == "photos"
    assert report["regression"] is report["learning_curve"] is None
    assert report["conflicts"] == report["attention"] == []


def test_words_and_facts_are_those_of_the_terminal(report: dict[str, Any], experiment: Experiment) -> None:
    assert report["verdict"] == table.verdict(experiment)
    assert report["lessons"] == table.lessons(experiment)
    assert report["facts"]["how"] == "3 folds, seed 0"
    assert report["facts"]["how"] in table.title(experiment)
    assert (report["facts"]["n_images"], report["facts"]["n_classes"], report["facts"]["n_groups"]) == (N, 3, None)
    assert report["classes"] == [{"name": f"class {i}", "n_images": 30} for i in range(3)]


def test_models_are_the_table_with_the_interval_of_each_mean(report: dict[str, Any], experiment: Experiment) -> None:
    results = experiment.evaluation.results
    assert [each["name"] for each in report["models"]] == [each.model for each in results]
    for shown, score in zip(report["models"], results, strict=True):
        assert (shown["mean"], shown["std"], shown["folds"]) == (score.mean, score.std, score.folds)
        assert shown["chief"] == "accuracy"
        if len(set(score.folds)) > 1:
            whole = paired_difference(score.folds, [0, 0, 0], 60, 30)
            assert whole.low is not None
            assert whole.high is not None
            assert shown["interval"] == pytest.approx([max(0.0, whole.low), min(1.0, whole.high)])
        else:
            assert shown["interval"] is None
    kinds = {each["name"]: each["kind"] for each in report["models"]}
    assert kinds["lr:resnet50"] == kinds["svm:vgg19"] == "backbone"
    assert kinds["mean"] == kinds["concat"] == "baseline"
    assert kinds["stack:oof"] == kinds["stack:published"] == "stack"
    best = [each["mean"] for each in report["models"] if each["best"]]
    assert best == [max(score.mean for score in results)]


def test_comparisons_are_those_of_the_findings(report: dict[str, Any], experiment: Experiment) -> None:
    found = experiment.findings
    assert isinstance(found, ClassFindings)
    expected = found.difference
    assert report["difference"] == {
        **{"a": found.stack, "b": found.single, "mean": expected.mean, "low": expected.low, "high": expected.high},
        "confidence": 0.95,
    }
    assert {each["without"]: each["mean_difference"] for each in report["ablation"]} == {
        name: each.mean for name, each in found.ablation.items()
    }
    assert report["overlap"] == {"models": ["resnet50", "vgg19"], "matrix": found.overlap.jaccard.tolist()}
    for shown, each in zip(report["per_class"], found.classes, strict=True):
        assert (report["classes"][shown["class"]]["name"], shown["f1"], shown["n"]) == (each.name, each.f1, each.n)


def test_the_confusion_matrix_holds_every_prediction(report: dict[str, Any], experiment: Experiment) -> None:
    counts = np.array(report["confusion"]["counts"])
    assert counts.sum() == N
    assert counts.trace() == round(N * experiment.evaluation.score("stack:oof").mean)
    assert sorted(report["confusion"]["order"]) == [0, 1, 2]
    pairs = {(each["true"], each["predicted"]): each["n"] for each in report["confused_pairs"]}
    off = {(int(i), int(j)): int(counts[i, j]) for i, j in np.argwhere(counts) if i != j}
    assert pairs == off


def test_wrong_images_agree_with_the_findings_and_are_in_the_list(
    report: dict[str, Any], experiment: Experiment
) -> None:
    found = experiment.findings
    assert isinstance(found, ClassFindings)
    assert len(found.wrong) > 3
    names = [each["name"] for each in report["classes"]]
    for shown, each in zip(report["wrong"], found.wrong, strict=False):
        image = report["images"][shown["image"]]
        assert (image["path"], image["label"]) == (each.path, each.label)
        assert (names[shown["true"]], names[shown["predicted"]]) == (each.label, each.predicted)
        assert shown["probability"] == pytest.approx(each.score)
        assert [vote["backbone"] for vote in shown["votes"]] == ["resnet50", "vgg19"]
    assert len(report["wrong"]) == N - np.trace(report["confusion"]["counts"])


def test_cost_is_the_features_of_these_images(report: dict[str, Any], experiment: Experiment) -> None:
    for each in report["cost"]:
        assert each["megabytes"] == pytest.approx(N * 8 * 4 / 1e6)
        assert each["dim"] == 8
        assert each["images_per_s"] is None
        assert each["accuracy"] == experiment.evaluation.score(f"lr:{each['backbone']}").mean
        assert each["feature_set"] == experiment.backbones[each["backbone"]]
    assert sum(each["share"] for each in report["weights"]) == pytest.approx(1.0)


def test_a_recorded_speed_is_shown(tmp_path: Path, make_cache: Make, experiment: Experiment) -> None:
    store = make_cache(tmp_path, LABELS)
    for each in store.feature_sets():
        spec, x = each.header().spec, each.load(each.digests())
        digests = each.digests()
        for shard in each.shards():
            shard.unlink()
        each.append(spec, digests, x, {"images_per_s": "123.4"})
    assert [each["images_per_s"] for each in to_json(experiment, store)["cost"]] == [123.4, 123.4]


def test_maps_hold_every_image_and_point_into_the_list(report: dict[str, Any], experiment: Experiment) -> None:
    assert [each["backbone"] for each in report["maps"]] == ["resnet50", "vgg19"]
    for each in report["maps"]:
        assert each["method"] == "PCA"
        assert len(each["x"]) == len(each["y"]) == len(each["class"]) == len(each["image"]) == N
        assert each["value"] is None
        for code, image, path in zip(each["class"], each["image"], experiment.joined.paths, strict=True):
            assert report["classes"][code]["name"] == report["images"][image]["label"]
            assert report["images"][image]["path"] == path


@pytest.mark.parametrize("most", [0, 5, 40])
def test_no_more_images_are_pictured_than_asked_for(experiment: Experiment, store: FeatureStore, most: int) -> None:
    data = collect(experiment, store, projection="pca", max_thumbnails=most)
    files, images = data.image_files(), data.to_dict()["images"]
    assert len(files) <= most
    assert [file.place for file in files] == [f"/photos/{each['path']}" for each in images[: len(files)]]
    assert len(data.to_dict()["wrong"]) <= len(images) <= max(most, 60)


def test_provenance_names_what_made_the_numbers(report: dict[str, Any], experiment: Experiment) -> None:
    found = report["provenance"]
    assert {"python", "stackbone", "numpy", "scikit-learn"} <= set(found["versions"])
    assert found["seed"] == 0
    assert found["folds"] == [{"n_train": 60, "n_test": 30}] * 3
    assert found["options"]["c"] == 0.1
    assert found["options"]["meta"]["learner"] == "svm"
    assert {name: each["id"] for name, each in found["feature_sets"].items()} == experiment.backbones
    assert found["feature_sets"]["vgg19"]["spec"]["weights"] == "random(0)"
    assert found["feature_sets"]["vgg19"]["provenance"] == {"engine": "torch"}
    assert found["commands"][-1].startswith("stackbone stack --cv 3 --seed 0 ")


def test_names_of_any_character_come_through(tmp_path: Path, make_cache: Make) -> None:
    bad = "photo\udcff.jpg"  # a file name that is no UTF-8, as Python lists it
    names = ["<script>alert(1)</script>", 'a "b" & \\ c', "naïve \u2028 class"]
    labels = [names[i % 3] for i in range(N)]
    paths = [bad, *(f"{i}\n</script>.jpg" for i in range(1, N))]
    store = make_cache(tmp_path, labels, paths=paths, root=tmp_path)
    experiment = run_experiment(store, options=FIXED, recipes=["oof"])
    found = to_json(experiment, store)
    assert sorted(each["name"] for each in found["classes"]) == sorted(names)
    shown = {each["path"] for each in found["images"]}
    assert r"photo\udcff.jpg" in shown
    assert "1\n</script>.jpg" in shown
    files = collect(experiment, store, projection="pca").image_files()
    assert str(tmp_path / bad) in [file.place for file in files], "the file is opened as it is"


def test_byte_identical_files_of_two_labels_are_shown(tmp_path: Path, make_cache: Make) -> None:
    content = [*range(N - 2), 0, 1]  # the last two are the first two once more, under other labels
    store = make_cache(tmp_path, [*LABELS[:-2], LABELS[1], LABELS[2]], content=content)
    found = to_json(run_experiment(store, options=FIXED, recipes=["oof"]), store)
    assert found["facts"]["left_out"]["conflicting"] == 4
    shown = [([found["images"][i]["path"] for i in each["images"]], each["labels"]) for each in found["conflicts"]]
    assert sorted(shown) == [
        (["class 0/0.jpg", f"class 1/{N - 2}.jpg"], ["class 0", "class 1"]),
        (["class 1/1.jpg", f"class 2/{N - 1}.jpg"], ["class 1", "class 2"]),
    ]
    assert {found["images"][i]["copies"] for each in found["conflicts"] for i in each["images"]} == {2}


def test_a_single_split_has_intervals_over_images(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS, splits=["test" if i < 45 else "train" for i in range(N)])
    experiment = run_experiment(store, split="test", options=FIXED, recipes=["oof"])
    found = to_json(experiment, store)
    fold, predicted = experiment.folds[0], experiment.evaluation.predictions["lr:vgg19"][0]
    right = np.unique(LABELS, return_inverse=True)[1][fold.test] == predicted.scores.argmax(axis=1)
    expected = bootstrap_difference(right, np.zeros_like(right), seed=0)
    shown = next(each for each in found["models"] if each["name"] == "lr:vgg19")
    assert shown["interval"] == [expected.low, expected.high]
    assert found["facts"]["how"] == "trained on the other splits, tested on 'test'"
    assert len(found["maps"][0]["x"]) == N


def test_the_published_recipe_alone_has_no_probabilities(experiment: Experiment, store: FeatureStore) -> None:
    found = to_json(run_experiment(store, options=FIXED, recipes=["published"]), store)
    assert found["confusion"]["model"] == "stack:published"
    assert found["calibration"] == found["scores"]["edges"] == []
    assert found["calibration_error"] is found["weights"] is None
    assert all(each["probability"] is None for each in found["wrong"])


def test_one_backbone_has_a_report(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS[:60], backbones=["resnet50"])
    found = to_json(run_experiment(store, options=FIXED), store)
    assert found["ablation"] == []
    assert found["overlap"] == {"models": ["resnet50"], "matrix": [[1.0]]}
    assert found["weights"] == [{"backbone": "resnet50", "share": 1.0}]


def test_a_regression_shows_numbers_and_no_classes(tmp_path: Path, make_cache: Make) -> None:
    labels = [str(round(i / 10, 1)) for i in range(N)]
    store = make_cache(tmp_path, labels)
    experiment = run_experiment(store, task="regression")
    found = to_json(experiment, store, learning_curve=True, n_jobs=1, max_thumbnails=70)
    assert set(found) == KEYS
    assert (found["task"], found["classes"], found["facts"]["n_classes"]) == ("regression", [], 0)
    assert found["confusion"] is found["overlap"] is found["scores"] is None
    points = found["regression"]
    assert points["true"] == [float(label) for label in labels]
    errors = regression_metrics(np.array(points["true"]), np.array(points["predicted"]))
    assert errors["mae"] == pytest.approx(np.mean(experiment.evaluation.score("stack:oof").metrics["mae"]))
    assert sum(image >= 0 for image in points["image"]) == 70
    missed = np.abs(np.subtract(points["predicted"], points["true"]))
    assert missed[points["worst"]].tolist() == sorted(missed, reverse=True)[:60]
    assert [points["image"][i] for i in points["worst"]] == list(range(60))
    for row, image in enumerate(points["image"]):
        assert image == -1 or found["images"][image]["label"] == labels[row]
    assert found["maps"][0]["value"] == points["true"]
    assert found["maps"][0]["class"] == []
    assert [each["model"] for each in found["learning_curve"]] == [found["difference"]["b"], "stack:oof"]
    assert [each["low"] for each in found["ablation"]] == [None, None]
    assert sum(each["share"] for each in found["weights"]) == pytest.approx(1.0)
    assert {each["chief"] for each in found["models"]} == {"r2"}


def test_a_meta_learner_without_weights_shows_none(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS)
    averaged = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions("mean"))
    assert to_json(run_experiment(store, options=averaged, recipes=["oof"]), store)["weights"] is None
    numbers = make_cache(tmp_path / "numbers", [str(i) for i in range(60)])
    assert to_json(run_experiment(numbers, task="regression", options=averaged), numbers)["weights"] is None


def test_progress_is_told_of_each_map(experiment: Experiment, store: FeatureStore) -> None:
    told: list[tuple[str, int, int]] = []
    collect(experiment, store, projection="pca", progress=lambda *step: told.append(step))
    assert told == [("projecting", 0, 2), ("projecting", 1, 2), ("projecting", 2, 2)]
