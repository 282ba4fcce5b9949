"""A saved model is tested on what it never saw: it scores what the experiment promised, and says what it left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, SeenRecord, StackError, UsageError, write_seen
from stackbone.cache.text import to_json
from stackbone.stack import (
    Experiment,
    MetaOptions,
    ModelTest,
    StackModel,
    StackOptions,
    evaluate_model,
    load_model,
    run_experiment,
    save_model,
    stack_options,
)
from stackbone.stack.judging.answer_rows import answer_rows
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import hash_digests
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.page import write_report
from stackbone.stack.report.report import collect_report
from stackbone.stack.tables import table
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.registry import TASKS
from tests.made import multilabel, numbers

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Make = Callable[..., FeatureStore]

N = 90
KINDS = ("cat", "dog", "emu")
LABELS = [KINDS[i % 3] for i in range(N)]
SPLITS = ["test" if i % 5 == 0 else "train" for i in range(N)]
N_TEST = SPLITS.count("test")
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))


def trained(
    store: FeatureStore, recipe: str = "oof", options: StackOptions = FIXED, task: str = "classification"
) -> Experiment:
    """Return an experiment on the split, and with it a model that knows the training part alone."""
    return run_experiment(
        store, task=task, split="test", recipes=[recipe], options=options, with_model=True, train_only=True
    )


def model_of(experiment: Experiment, file: Path) -> StackModel:
    """Return the model as it is after a way through its file."""
    assert experiment.model is not None
    save_model(experiment.model, file)
    return load_model(file)


@pytest.fixture(scope="module")
def store(make_cache: Make, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_cache(tmp_path_factory.mktemp("features"), LABELS, splits=SPLITS, noise=3.0)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return trained(store)


@pytest.fixture(scope="module")
def model(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> StackModel:
    return model_of(experiment, tmp_path_factory.mktemp("model") / "m.stackbone")


@pytest.fixture(scope="module")
def tested(model: StackModel, store: FeatureStore) -> ModelTest:
    return evaluate_model(model, store.dataset(), store)


def with_labels(index: DatasetIndex, labels: dict[int, str]) -> DatasetIndex:
    """Return an index in which some rows have other labels."""
    return replace(index, label=[labels.get(row, label) for row, label in enumerate(index.label)])


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat", "published"])
def test_a_model_scores_what_the_experiment_measured_on_the_same_images(
    store: FeatureStore, tmp_path: Path, recipe: str
) -> None:
    experiment = trained(store, recipe)
    tested = evaluate_model(model_of(experiment, tmp_path / "m"), store.dataset(), store, split="test")
    promised, found = experiment.evaluation.score(experiment.model_name), tested.evaluation.score("model")
    assert found.folds == promised.folds
    assert found.metrics["macro_f1"] == promised.metrics["macro_f1"]
    if recipe in ("oof", "concat"):  # the others are calibrated where they are saved alone
        np.testing.assert_allclose(found.metrics["log_loss"], promised.metrics["log_loss"], rtol=1e-5)
        ends = experiment.interval(experiment.model_name)
        assert tested.interval("model") == ends
    assert sorted(tested.joined.paths) == sorted(experiment.joined.paths[row] for row in experiment.folds[0].test)


def test_its_members_alone_are_rows_of_the_same_table(tested: ModelTest, experiment: Experiment) -> None:
    assert [each.model for each in tested.evaluation.results] == ["lr:resnet50", "lr:vgg19", "mean", "model"]
    for row in ("lr:resnet50", "lr:vgg19", "mean"):
        assert tested.evaluation.score(row).folds == experiment.evaluation.score(row).folds
    assert table.rows(tested)[0][-1] == "logistic regression on resnet50"
    assert [each.name for each in tested.members] == ["resnet50", "vgg19"]


@pytest.mark.parametrize(
    ("heads", "rows"), [("lda", ["lda"]), ("lr,lda", ["lr", "lda"]), ("ridge_classifier", ["ridge_classifier"])]
)
def test_heads_have_rows_of_their_own(store: FeatureStore, tmp_path: Path, heads: str, rows: list[str]) -> None:
    options = stack_options(heads=heads, c=0.1, inner_splits=3)
    experiment = trained(store, options=options)
    tested = evaluate_model(model_of(experiment, tmp_path / "m"), store.dataset(), store)
    singles = [f"{head}:{name}" for head in rows for name in ("resnet50", "vgg19")]
    assert [each.model for each in tested.evaluation.results] == [*singles, "mean", "model"]
    for row in [*singles, "mean"]:
        assert tested.evaluation.score(row).folds == experiment.evaluation.score(row).folds
    collect_report(tested, store, ReportOptions(projection="pca"))


def test_one_classifier_on_all_features_has_no_members_to_compare(store: FeatureStore, tmp_path: Path) -> None:
    tested = evaluate_model(model_of(trained(store, "concat"), tmp_path / "m"), store.dataset(), store)
    assert [each.model for each in tested.evaluation.results] == ["model"]
    assert "member" not in str(verdict(tested))
    assert tested.describe("model") == "the saved model: logistic regression on all features side by side"
    cats = {row: "" for row in range(N) if LABELS[row] != "cat"}
    with pytest.raises(StackError, match=r"roc-auc cannot be told of 6 images of 1 class \(cat\).*or test images of"):
        evaluate_model(tested.tested, with_labels(store.dataset(), cats), store, metric="roc-auc")
    collect_report(tested, store, ReportOptions(projection="pca"))
    assert json.loads(to_json(tested.to_dict()))["findings"]["difference"] is None


def test_training_images_are_left_out_and_counted(tested: ModelTest, model: StackModel, store: FeatureStore) -> None:
    assert tested.n_images == N_TEST
    assert tested.joined.left_out["trained_on"] == N - N_TEST == model.n_images
    assert set(tested.joined.splits) == {"test"}
    by_split = evaluate_model(model, store.dataset(), store, split="test")
    assert by_split.joined.left_out["other_splits"] == N - N_TEST
    assert "trained_on" not in by_split.joined.left_out
    assert by_split.evaluation.score("model").folds == tested.evaluation.score("model").folds


def test_a_model_that_saw_all_is_refused(model: StackModel, store: FeatureStore) -> None:
    with pytest.raises(
        StackError, match=rf"none of the {N - N_TEST} labelled images .* {N - N_TEST} that it was fitted"
    ):
        evaluate_model(model, store.dataset(), store, split="train")


@pytest.mark.parametrize("split", ["tset", "nowhere", "trian"])
def test_an_unknown_split_is_answered_with_those_there_are(model: StackModel, store: FeatureStore, split: str) -> None:
    with pytest.raises(UsageError, match=rf"no split '{split}': it has test, train"):
        evaluate_model(model, store.dataset(), store, split=split)


def test_classes_that_the_model_does_not_know_are_counted_and_said(model: StackModel, store: FeatureStore) -> None:
    index = with_labels(store.dataset(), {0: "fox", 5: "gnu", 10: "gnu"})
    typed = evaluate_model(model, with_labels(store.dataset(), {0: "CAT"}), store)
    assert any("CAT (1) (CAT is nearly cat: correct labels" in note for note in typed.joined.notes)
    tested = evaluate_model(model, index, store)
    assert tested.unknown == {"fox": 1, "gnu": 2}
    assert tested.joined.left_out["unknown"] == 3
    assert tested.n_images == N_TEST - 3
    notes = "\n".join(tested.joined.notes)
    assert "3 images of 2 classes that the model does not know: fox (1), gnu (2)" in notes
    right = round(tested.evaluation.score("model").mean * tested.n_images)
    assert f"counted as wrong, its accuracy would be {right / N_TEST:.3f}" in notes


def test_classes_without_an_image_are_named(model: StackModel, store: FeatureStore) -> None:
    index = store.dataset()
    without = replace(index, label=["" if label == "emu" else label for label in index.label])
    tested = evaluate_model(model, without, store)
    assert any(
        "no tested image is of 1 class of the model's 3, so nothing is said of emu" in note
        for note in tested.joined.notes
    )
    only = evaluate_model(model, replace(index, label=["cat" if each == "cat" else "" for each in index.label]), store)
    assert set(only.joined.labels) == {"cat"}
    assert only.n_classes == 3
    assert only.truth.classes.tolist() == list(KINDS)
    collect_report(only, store, ReportOptions(projection="pca"))


def test_labels_of_another_kind_are_refused(model: StackModel, store: FeatureStore) -> None:
    index = store.dataset()
    with pytest.raises(
        StackError, match=r"they are of Cat, Dog, Emu, and it knows cat, dog, emu .*'Cat' is nearly 'cat'"
    ):
        evaluate_model(model, replace(index, label=[each.title() for each in index.label]), store)
    with pytest.raises(StackError, match="no image of 'photos' has a label"):
        evaluate_model(model, replace(index, label=[""] * N), store)
    with pytest.raises(UsageError, match="can have several labels, and the model predicts one class"):
        evaluate_model(model, replace(index, label_form="sets"), store)


def test_images_in_a_group_with_a_training_image_are_left_out(model: StackModel, store: FeatureStore) -> None:
    groups = [
        f"bird {i // 2}" if i < 20 else f"alone {i}" for i in range(N)
    ]  # 0, 5, 10 and 15 share with training images
    index = replace(store.dataset(), group=groups)
    tested = evaluate_model(model, index, store)
    assert tested.joined.left_out["same_group"] == 4
    assert tested.n_images == N_TEST - 4
    assert "bootstrap over groups of images" in str(verdict(tested))
    alone = evaluate_model(model, index, store, group_by="none")
    assert alone.n_images == N_TEST
    all_of_one = replace(index, group=["one"] * N)
    with pytest.raises(StackError, match="18 in a group with one of those"):
        evaluate_model(model, all_of_one, store)


def test_near_copies_of_training_images_are_found_in_the_cache(make_cache: Make, tmp_path: Path) -> None:
    store = make_cache(tmp_path / "f", LABELS, splits=SPLITS, near={0: 1, 5: 6, 10: 11}, noise=3.0)
    model = model_of(trained(store), tmp_path / "m")
    tested = evaluate_model(model, store.dataset(), store)
    assert tested.near_copies is not None
    assert (tested.near_copies.n_copies, tested.near_copies.n_tested) == (3, N_TEST)
    assert any(
        note.startswith("3 of 18 tested images are near copies") and "cat/0.jpg of dog/1.jpg" in note
        for note in tested.joined.notes
    )
    assert tested.to_dict()["near_copies"]["example"] == ("cat/0.jpg", "dog/1.jpg")
    assert any("; model has an accuracy of " in note for note in tested.joined.notes)
    without = evaluate_model(model, store.dataset(), store, near_duplicates=0.98)
    assert without.joined.left_out["training_copies"] == 3
    assert without.n_images == N_TEST - 3
    assert without.near_copies is not None
    assert without.near_copies.n_copies == 0
    dogs = [row for row in range(N) if row % 5 == 0 and LABELS[row] == "dog"]
    store = make_cache(tmp_path / "g", LABELS, splits=SPLITS, near={row: row + 1 for row in dogs}, noise=3.0)
    model = model_of(trained(store), tmp_path / "n")
    notes = evaluate_model(model, store.dataset(), store, near_duplicates=0.98).joined.notes
    assert "no tested image is of 1 class of the model's 3, so nothing is said of dog" in notes


def test_a_cache_without_training_images_tells_that_copies_were_not_looked_for(
    model: StackModel, store: FeatureStore, tmp_path: Path
) -> None:
    there = store.dataset()
    rows = np.flatnonzero([split == "test" for split in there.split])
    other = FeatureStore(tmp_path / "other")
    for each in store.feature_sets():
        digests = there.image_sha256[rows]
        other.feature_set(each.backbone, each.header().spec).append(each.header().spec, digests, each.load(digests), {})
    index = replace(
        there,
        path=[there.path[row] for row in rows],
        label=[there.label[row] for row in rows],
        split=["test"] * len(rows),
        group=[""] * len(rows),
        reason=[""] * len(rows),
        image_sha256=there.image_sha256[rows],
        status=there.status[rows],
    )
    tested = evaluate_model(model, index, other)
    assert tested.near_copies is None
    assert any("were not looked for: the cache has no features of them" in note for note in tested.joined.notes)
    with pytest.raises(StackError, match="Leave --near-duplicates out"):
        evaluate_model(model, index, other, near_duplicates=0.9)


def test_images_whose_labels_a_steering_saw_are_left_out(
    store: FeatureStore, model: StackModel, tmp_path: Path
) -> None:
    index, here = store.dataset(), FeatureStore(tmp_path / "steered")
    backbones = []
    for each in model.backbones:
        spec = replace(each.spec, steering="ab" * 32)
        name = each.name
        made = here.feature_set(name, spec)
        write_seen(made.folder, SeenRecord("ab" * 32, index.image_sha256[[0, 5]], _DESCRIBED))
        own = next(one for one in store.feature_sets() if one.backbone == name)
        made.append(spec, index.image_sha256, own.load(index.image_sha256), {})
        backbones.append(ModelBackbone(name, made.id, spec))
    tested = evaluate_model(replace(model, backbones=backbones), index, here)
    assert tested.joined.left_out["steered_on"] == 2
    assert tested.n_images == N_TEST - 2
    assert any("steered backbones cannot tell them" in note for note in tested.joined.notes)


_DESCRIBED: dict[str, object] = {
    "method": "toast",
    "stage": "tune",
    "backbone": "vit_base",
    "recipe": "ab" * 32,
    "division": None,
    "seed": 0,
    "parent_seen": None,
}


def test_a_model_that_does_not_know_its_training_images_says_so(model: StackModel, store: FeatureStore) -> None:
    forgetful = replace(model, seen=None)
    tested = evaluate_model(forgetful, store.dataset(), store)
    assert tested.n_images == N
    assert any(
        "whether the model was fitted on some of these images is unknown" in note for note in tested.joined.notes
    )
    assert "may have been fitted on some of them" in table.title(tested)
    index = store.dataset()
    train = np.array([split == "train" for split in index.split])
    assert forgetful.digests_sha256 == hash_digests(index.image_sha256[train])
    with pytest.raises(StackError, match="none of the 72 labelled images"):
        evaluate_model(forgetful, index, store, split="train")


def test_copies_conflicts_and_failures_are_counted_as_an_experiment_does(
    model: StackModel, store: FeatureStore
) -> None:
    index = store.dataset()
    digests, status = index.image_sha256.copy(), index.status.copy()
    digests[15] = digests[0]  # of one label
    digests[20] = digests[5]
    status[25] = 1
    odd = replace(with_labels(index, {20: "cat", 30: ""}), image_sha256=digests, status=status)
    left = evaluate_model(model, odd, store).joined.left_out
    assert {kind: left[kind] for kind in ("doubles", "conflicting", "failed", "unlabelled")} == {
        "doubles": 1,
        "conflicting": 2,
        "failed": 1,
        "unlabelled": 1,
    }


@pytest.mark.parametrize("metric", ["balanced-accuracy", "log-loss", "roc_auc"])
def test_another_metric_ranks_with_an_interval(model: StackModel, store: FeatureStore, metric: str) -> None:
    tested = evaluate_model(model, store.dataset(), store, metric=metric)
    score = tested.evaluation.score("model")
    assert score.primary_metric == metric.replace("-", "_")
    ends = tested.interval("model")
    assert ends is not None
    assert ends[0] <= score.mean <= ends[1]
    with pytest.raises(UsageError, match="unknown metric 'acuracy' of classification"):
        evaluate_model(model, store.dataset(), store, metric="acuracy")


def test_the_verdict_compares_with_what_was_promised(model: StackModel, store: FeatureStore) -> None:
    index = store.dataset()

    def said(score: dict[str, str | float]) -> str:
        return str(verdict(evaluate_model(replace(model, score=score), index, store, file="dir/my.stackbone")))

    mean = evaluate_model(model, index, store).evaluation.score("model").mean
    assert said({"accuracy": f"{mean:.3f} ± 0.010 (3 folds)"}).startswith(
        f"my.stackbone scores {mean:.3f} (accuracy) on 18 images that it never saw, about as it promised: {mean:.3f} ± "
    )
    assert ", better than it promised: 0.001 (one split) when it was saved." in said({"accuracy": "0.001 (one split)"})
    assert ", worse than it promised: 1.100 when it was saved. These images may be" in said({"accuracy": 1.1})
    assert "about as it promised" in said({"accuracy": f"{mean + 0.3:.3f} ± 0.300 (3 folds)"})
    assert "worse than it promised" in said({"accuracy": f"{mean + 0.5:.3f} ± 0.010 (3 folds)"})
    assert "promised" not in said({})
    assert "promised" not in said({"macro_f1": "0.5"})
    assert "95% interval: " in said({})


@pytest.mark.parametrize("promise", ["0.000 (one split)", "-0.000 ± 0.000 (3 folds)", "0.000"])
def test_a_promise_is_as_exact_as_its_decimals(tested: ModelTest, promise: str) -> None:
    kept = replace(tested, tested=replace(tested.tested, score={"accuracy": promise}))
    vars(kept)["interval"] = lambda _: (0.0001, 0.0004)
    assert "about as it promised" in str(verdict(kept))
    vars(kept)["interval"] = lambda _: (0.0006, 0.0009)
    assert "better than it promised" in str(verdict(kept))


def test_no_promise_is_judged_that_measured_something_else(store: FeatureStore, tmp_path: Path) -> None:
    mean = model_of(trained(store, "mean"), tmp_path / "m")
    promise: dict[str, str | float] = {"log_loss": "9.000 (one split)", "accuracy": "0.001 (one split)"}
    mean = replace(mean, score=promise)
    said = str(verdict(evaluate_model(mean, store.dataset(), store, metric="log-loss")))
    assert "; when it was saved it scored 9.000" in said
    assert "better than it promised" in str(verdict(evaluate_model(mean, store.dataset(), store)))
    weighted = replace(mean, weight_column="sure")
    assert "; when it was saved it scored 0.001" in str(verdict(evaluate_model(weighted, store.dataset(), store)))


def test_near_copies_of_near_copies_are_tested_and_only_pairs_are_counted(
    make_cache: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_cache(tmp_path / "f", LABELS, splits=SPLITS, near={0: 1, 5: 0}, noise=3.0)
    model = model_of(trained(store), tmp_path / "m")
    index = store.dataset()
    sets = {each.backbone: each for each in store.feature_sets()}
    blocks = {name: each.load(index.image_sha256) for name, each in sets.items()}
    test = np.flatnonzero([split == "test" for split in SPLITS])
    train = np.flatnonzero([split == "train" for split in SPLITS])
    cosine = np.min([_cosines(x)[np.ix_(test, train)] for x in blocks.values()], axis=0)
    for threshold in (0.5, 0.98):
        without = evaluate_model(model, index, store, near_duplicates=threshold)
        assert without.joined.left_out["training_copies"] == (cosine.max(axis=1) >= threshold).sum()
    monkeypatch.setattr("stackbone.stack.judging.evaluate_model.MOST_PAIRS", N_TEST * (N - N_TEST))
    assert evaluate_model(model, index, store).near_copies is not None
    monkeypatch.setattr("stackbone.stack.judging.evaluate_model.MOST_PAIRS", N_TEST * (N - N_TEST) - 1)
    notes = evaluate_model(model, index, store).joined.notes
    assert any(
        note.endswith("comparing 18 images with 72 takes long. Ask for it with --near-duplicates 0.98")
        for note in notes
    )


def _cosines(x: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines: NDArray[np.float32] = unit @ unit.T
    return cosines


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat"])
def test_several_numbers_are_tested_each_in_its_unit(tmp_path: Path, recipe: str) -> None:
    store = _of_numbers(tmp_path / "f")
    experiment = trained(store, recipe, stack_options("multitarget", inner_splits=3), "multitarget")
    model, index = model_of(experiment, tmp_path / "m"), store.dataset()
    tested = evaluate_model(model, index, store)
    found, promised = tested.evaluation.score("model"), experiment.evaluation.score(experiment.model_name)
    np.testing.assert_allclose(found.folds, promised.folds, rtol=1e-4)
    for name in numbers.NAMES:
        np.testing.assert_allclose(found.metrics[f"mae:{name}"], promised.metrics[f"mae:{name}"], rtol=1e-4)
    rows = [each.model for each in tested.evaluation.results]
    members = [] if recipe == "concat" else ["ridges:resnet50", "ridges:vgg19", "mean"]
    assert rows == [*members, "model"]
    assert tested.interval("model") is not None
    assert list(answer_rows(tested)) == ["path", "label", *(f"value:{name}" for name in numbers.NAMES)]
    assert json.loads(to_json(tested.to_dict()))["n_images"] == N_TEST
    collect_report(tested, store, ReportOptions(projection="pca"))
    more = evaluate_model(model, replace(index, label=[f"{each}|more=1" for each in index.label]), store)
    assert more.unknown == {"more": N_TEST}
    assert more.evaluation.score("model").folds == found.folds
    said = "does not know 1 number of these images, which are not scored: more (18)"
    assert any(said in note for note in more.joined.notes)


def test_labels_without_a_number_of_the_models_are_refused(tmp_path: Path) -> None:
    store = _of_numbers(tmp_path / "f")
    options = stack_options("multitarget", inner_splits=3)
    model, index = model_of(trained(store, options=options, task="multitarget"), tmp_path / "m"), store.dataset()
    one, other = numbers.NAMES[0], numbers.NAMES[-1]
    with pytest.raises(StackError, match=f"has no .*{other}. Name the columns of all of these numbers"):
        evaluate_model(model, replace(index, label=[f"{one}=1"] * N), store)
    wrong = "|".join(f"{name}={'tall' if name == other else 1}" for name in numbers.NAMES)
    with pytest.raises(StackError, match=f"the number '{other}' of the label .* is 'tall'; expected"):
        evaluate_model(model, with_labels(index, {0: wrong}), store)
    with pytest.raises(UsageError, match=r"one name each: add --label-columns with the columns of these numbers$"):
        evaluate_model(model, replace(index, label_form=""), store)
    same = replace(index, label=["|".join(f"{name}=1" for name in numbers.NAMES)] * N)
    with pytest.raises(StackError, match=f"--metric mean-r2 cannot be told.* number '{one}'.*mean-mae"):
        evaluate_model(model, same, store)
    assert evaluate_model(model, same, store, metric="mean-mae").evaluation.score("model").mean > 0


def test_numbers_are_tested_with_an_interval(make_cache: Make, tmp_path: Path) -> None:
    labels = [f"{value:.2f}" for value in np.random.default_rng(0).normal(40, 9, N)]
    store = make_cache(tmp_path / "f", labels, splits=SPLITS, paths=[f"{i}.jpg" for i in range(N)])
    for recipe in ("oof", "concat"):
        experiment = trained(store, recipe, stack_options("regression", inner_splits=3), "regression")
        tested = evaluate_model(model_of(experiment, tmp_path / recipe), store.dataset(), store)
        found, promised = tested.evaluation.score("model"), experiment.evaluation.score(experiment.model_name)
        np.testing.assert_allclose(found.folds, promised.folds, rtol=1e-4)
        assert tested.interval("model") is not None
        collect_report(tested, store, ReportOptions(projection="pca"))
    names = [each.model for each in tested.evaluation.results]
    assert names == ["model"]
    assert set(answer_rows(tested)) == {"path", "label", "value"}
    same = replace(store.dataset(), label=["41.5"] * N)
    with pytest.raises(StackError, match=r"--metric r2 cannot be told: its 18 tested images all have one number.*mae"):
        evaluate_model(tested.tested, same, store)
    assert evaluate_model(tested.tested, same, store, metric="mae").evaluation.score("model").mean > 0
    wrong = with_labels(store.dataset(), {0: "12 cm"})
    with pytest.raises(StackError, match=r"predicts numbers, and 1 of 18 labels is no number; the first is '12 cm'"):
        evaluate_model(tested.tested, wrong, store)


def test_several_labels_are_tested_as_sets(tmp_path: Path) -> None:
    presence = multilabel.make_presence(N)
    store, texts = _labelled(tmp_path / "f", presence)
    experiment = trained(store, options=stack_options("multilabel", inner_splits=3), task="multilabel")
    tested = evaluate_model(model_of(experiment, tmp_path / "m"), store.dataset(), store)
    promised, found = experiment.evaluation.score("stack:oof"), tested.evaluation.score("model")
    np.testing.assert_allclose(found.folds, promised.folds, rtol=1e-6)
    for name in ("micro_f1", "subset_accuracy"):
        assert found.metrics[name] == promised.metrics[name]
    collect_report(tested, store, ReportOptions(projection="pca"))
    rows = answer_rows(tested)
    assert any("from a probability of one half on" in note for note in tested.joined.notes)
    assert list(rows) == ["path", "label", "labels", *(f"probability:{name}" for name in multilabel.NAMES)]
    more = with_labels(store.dataset(), {0: f"{texts[0].strip('|')}|zebra".strip("|")})
    unknown = evaluate_model(tested.tested, more, store)
    assert unknown.unknown == {"zebra": 1}
    assert unknown.n_images == tested.n_images
    assert any(
        "does not know 1 label of these images, which are not scored: zebra (1)" in note
        for note in unknown.joined.notes
    )
    none = replace(store.dataset(), label=[text.upper() for text in store.dataset().label])
    for metric in (None, "hamming-loss", "subset-accuracy"):
        with pytest.raises(StackError, match=r"has a label that the model knows: they are of CAT, .* is nearly 'cat'"):
            evaluate_model(tested.tested, none, store, metric=metric)
    with pytest.raises(UsageError, match="predicts any number of labels of an image"):
        evaluate_model(tested.tested, replace(store.dataset(), label_form=""), store)


def _labelled(folder: Path, presence: NDArray[np.int8]) -> tuple[FeatureStore, list[str]]:
    texts = multilabel.texts_of(presence)
    index = multilabel.index_of(texts, splits=SPLITS)
    store = FeatureStore(folder)
    half = (0.5, 0.5, 0.5)
    for seed, name in enumerate(("resnet50", "vgg19")):
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        x = multilabel.features_of(presence, seed)
        store.feature_set(name, spec).append(spec, index.image_sha256, x, {})
    store.write_dataset(index)
    return store, texts


def _of_numbers(folder: Path) -> FeatureStore:
    values = numbers.make_numbers(N)
    return numbers.fill_numbers(folder, values, numbers.numbers_index(values, splits=SPLITS))


def test_each_answer_is_a_row_beside_its_label(tested: ModelTest) -> None:
    rows = answer_rows(tested, top=2)
    assert list(rows) == ["path", "label", "class_1", "probability_1", "class_2", "probability_2"]
    assert rows["path"] == tested.joined.paths
    right = [label == said for label, said in zip(rows["label"], rows["class_1"], strict=True)]
    assert np.mean(right) == tested.evaluation.score("model").mean


def test_it_is_reported_displayed_and_drawn_as_experiments_are(
    tested: ModelTest, store: FeatureStore, tmp_path: Path
) -> None:
    report = write_report(tested, store, tmp_path / "r.html", options=ReportOptions(projection="pca"))
    assert [part.section.name for part in report.parts if part.section.name != "errors"] == [
        *("scores", "classes", "check", "images", "backbones", "confidence", "map", "data", "provenance")
    ]
    page = (tmp_path / "r.html").read_text()
    assert "none of which it was fitted on" in page
    assert "72 training images" in page
    assert tested.plot.confusion().data
    assert "<table" in tested._repr_html_()
    assert repr(tested).startswith("<ModelTest of the saved model on photos: 18 images; accuracy ")
    assert list(tested.to_frame()["model"]) == ["lr:resnet50", "lr:vgg19", "mean", "model"]
    with pytest.raises(UsageError, match="nothing for the figure 'learning_curve'"):
        tested.plot.learning_curve()


def test_the_command_that_repeats_it_is_told_where_it_is_known(model: StackModel, store: FeatureStore) -> None:
    tested = evaluate_model(
        model, store.dataset(), store, split="test", metric="log-loss", file="my models/m.stackbone"
    )
    assert tested.commands == [
        "stackbone evaluate /photos --model 'my models/m.stackbone' --split test --metric log-loss "
        f"--cache {store.root}"
    ]
    assert evaluate_model(model, store.dataset(), store).commands == []


def test_all_of_it_is_json(tested: ModelTest) -> None:
    content = json.loads(to_json(tested.to_dict()))
    assert (content["format"], content["format_version"], content["n_images"]) == ("stackbone-test", 1, N_TEST)
    [own] = [each for each in content["results"] if each["model"] == "model"]
    low, high = own["interval"]
    assert low <= own["accuracy"]["mean"] <= high
    assert content["when_saved"] == dict(tested.tested.score)
    assert {each["name"] for each in content["findings"]["classes"]} == set(KINDS)


def test_outputs_of_one_network_are_one_member(store: FeatureStore, model: StackModel) -> None:
    first, second = model.backbones
    named = [replace(first, name="resnet50"), replace(second, name="resnet50@stages")]
    fused = replace(
        model, backbones=named, members=[2], combine="average", meta_linear=None, learner="mean", novelty=None
    )
    tested = evaluate_model(fused, store.dataset(), store)
    assert [each.model for each in tested.evaluation.results] == ["lr:resnet50@pooled+stages", "model"]
    assert tested.members[0].blocks == ("resnet50", "resnet50@stages")
    odd = [replace(first, name="a"), replace(second, name="b@no~such view")]
    renamed = evaluate_model(replace(fused, backbones=odd), store.dataset(), store)
    assert renamed.evaluation.results[0].model == "lr:a+b@no~such view"


def test_every_task_reads_labels_in_terms_of_a_saved_model() -> None:
    found = TASKS["classification"].read_known(np.array(["b", "x", "a", "b"]), ["a", "b"])
    assert (found.rows.tolist(), found.truth.values.tolist(), found.unknown) == ([0, 2, 3], [1, 0, 1], {"x": 1})
    sets = TASKS["multilabel"].read_known(np.array(["a|z", "|", "b|a"]), ["a", "b"])
    assert sets.truth.values.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert sets.unknown == {"z": 1}
    numbers = TASKS["regression"].read_known(np.array(["1.5", "-2"]), [])
    assert numbers.truth.values.tolist() == [1.5, -2.0]
