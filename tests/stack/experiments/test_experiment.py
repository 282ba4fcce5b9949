"""An experiment divides honestly, scores what was asked for, and says all it found in one object."""

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import (
    CacheError,
    DatasetIndex,
    Digests,
    FeatureSet,
    FeatureSpec,
    FeatureStore,
    FileStamps,
    StackError,
    UsageError,
)
from stackbone.stack import (
    Evaluation,
    Experiment,
    StackOptions,
    evaluate,
    run_experiment,
    split_folds,
    stack_options,
    stratified_folds,
)
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.experiments.self_check import run_self_check
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.metrics.compare import paired_difference
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.prediction_file import write_predictions
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.class_findings import ClassFindings
from stackbone.stack.tasks.target_findings import TargetFindings
from tests.made.learners import evaluate_numbers

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 90, 8
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3)  # nothing to choose: the fastest fits


def spec(architecture: str) -> FeatureSpec:
    half = (0.5, 0.5, 0.5)
    return FeatureSpec(architecture, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")


def digest_rows(n: int) -> NDArray[np.uint8]:
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32).copy()


def index(labels: list[str], splits: list[str] | None = None, groups: list[str] | None = None) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i}.jpg" for i in range(n)],
        label=labels,
        split=splits or [""] * n,
        group=groups or [""] * n,
        image_sha256=digest_rows(n),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


def features(labels: list[str], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = {label: rng.normal(size=DIM) * 2 for label in sorted(set(labels))}
    return np.array([centres[label] + rng.normal(size=DIM) for label in labels], np.float32)


def blocks(rows: NDArray[np.int64] | None = None) -> dict[str, NDArray[np.float32]]:
    chosen = np.arange(N) if rows is None else rows
    return {name: features(LABELS, seed)[chosen] for seed, name in enumerate(("resnet50", "vgg19"))}


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache with one dataset and two backbones, committed in shuffled order."""
    store = FeatureStore(tmp_path / "features")
    for seed, (name, x) in enumerate(blocks().items()):
        order = np.random.default_rng(seed).permutation(N)
        made = spec(name)
        store.feature_set(name, made).append(made, digest_rows(N)[order], x[order], {})
    store.write_dataset(index(LABELS))
    return store


def lengths() -> NDArray[np.float64]:
    """Return a number per image that both backbones know something of."""
    known = {name: x.astype(np.float64) for name, x in blocks().items()}
    y: NDArray[np.float64] = np.round(40 + 5 * known["resnet50"][:, 0] + 3 * known["vgg19"][:, 1], 3)
    return y


@pytest.fixture
def measured(store: FeatureStore) -> FeatureStore:
    """Return the cache with lengths in centimetres for labels."""
    store.write_dataset(index([str(y) for y in lengths()]))
    return store


def _with(store: FeatureStore, listed: DatasetIndex) -> FeatureStore:
    store.write_dataset(listed)
    return store


def shares_no_group(folds: list[Fold], groups: list[str]) -> bool:
    return all({groups[i] for i in f.train}.isdisjoint({groups[i] for i in f.test}) for f in folds)


def test_features_are_joined_by_digest_not_by_position(store: FeatureStore) -> None:
    found = run_experiment(store, cv=3, seed=1)
    y, digests = np.array(LABELS), found.joined.digests
    expected = evaluate(blocks(), y, stratified_folds(y, 3, 1, digests=digests), digests=digests, seed=1)
    assert found.evaluation.results == expected.results
    assert found.evaluation.without == expected.without
    assert found.n_images == N
    assert found.n_classes == 3


def test_json_has_the_promised_fields(store: FeatureStore) -> None:
    content = run_experiment(store, cv=3).to_dict()
    assert (content["format"], content["format_version"]) == ("stackbone-result", 1)
    assert content["dataset"] == "photos"
    assert [result["model"] for result in content["results"]] == [
        "lr:resnet50",
        "lr:vgg19",
        "svm:resnet50",
        "svm:vgg19",
        "mean",
        "concat",
        "stack:oof",
        "stack:published",
    ]
    for result in content["results"]:
        accuracy = result["accuracy"]
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["folds"]))
        assert accuracy["std"] == pytest.approx(np.std(accuracy["folds"]))
        assert len(accuracy["folds"]) == 3
    assert {"macro_f1", "log_loss", "calibration_error"} <= set(content["results"][-2])
    assert list(content["without"]) == ["resnet50", "vgg19"]
    assert set(content["chosen"]) == {"lr:resnet50", "lr:vgg19", "concat", "stack:oof"}
    assert set(content["findings"]["ablation"]) == {"resnet50", "vgg19"}
    assert content["findings"]["overlap"]["names"] == ["resnet50", "vgg19"]
    assert sum(each["n"] for each in content["findings"]["classes"]) == N


def test_everything_that_decides_the_scores_is_in_the_result(store: FeatureStore) -> None:
    options = stack_options(meta="lr", scores="decision", combine="average", c=0.1, inner_splits=3)
    content = run_experiment(store, cv=2, seed=5, recipes=("oof",), options=options).to_dict()
    asked = {"learner": "lr", "scores": "decision", "combine": "average"}
    assert asked.items() <= content["meta"].items()
    assert (content["cv"], content["repeats"], content["split"], content["seed"]) == (2, 1, None, 5)
    assert set(content["chosen"]["lr:vgg19"]) == {0.1}
    named = {*content, *content["meta"], *content.get("options", {})}
    assert {"inner_splits", "rare", "group_by", "near_duplicates"} <= named, "nobody could repeat the run without them"


def test_the_result_file_is_the_same_object_without_nan(store: FeatureStore, tmp_path: Path) -> None:
    found = run_experiment(store, cv=2, options=FIXED)
    file = tmp_path / "new" / "result.json"
    write_result(found, file)

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    content = json.loads(file.read_text(), parse_constant=refuse)
    assert len(content.pop("images")["image_sha256"]) == found.n_images
    assert sum(content.pop("n_tested")) == found.n_images
    assert content == found.to_dict()


def test_own_split_trains_on_the_others(store: FeatureStore) -> None:
    splits = ["test" if i < 30 else "validation" if i < 45 else "train" for i in range(N)]
    store.write_dataset(index(LABELS, splits))
    found = run_experiment(store, split="test", recipes=("published",))
    assert found.cv is None
    assert found.to_dict()["split"] == "test"
    assert all(len(score.folds) == 1 for score in found.evaluation.results)
    [fold] = found.folds
    assert fold.test.tolist() == list(range(30))
    assert fold.train.tolist() == list(range(30, N))
    assert found.findings.difference is not None
    assert "bootstrap" in found.findings.difference.method


def test_a_split_and_repeats_contradict_each_other(store: FeatureStore) -> None:
    store.write_dataset(index(LABELS, ["train" if i < 60 else "test" for i in range(N)]))
    with pytest.raises(UsageError, match=r"--repeats.*--split"):
        run_experiment(store, split="test", repeats=2)


def test_unknown_split_names_those_that_exist(store: FeatureStore) -> None:
    store.write_dataset(index(LABELS, ["train" if i < 60 else "test" for i in range(N)]))
    with pytest.raises(StackError, match=r"no split 'tset'; it has test, train"):
        run_experiment(store, split="tset")


def test_a_class_of_the_test_split_alone_is_named(store: FeatureStore) -> None:
    labels = [*LABELS[:-1], "new"]
    store.write_dataset(index(labels, ["train"] * 60 + ["test"] * 30))
    with pytest.raises(StackError, match="class 'new'"):
        run_experiment(store, split="test")


def test_groups_are_never_on_both_sides(store: FeatureStore) -> None:
    groups = [f"bird {i // 3}" for i in range(N)]
    store.write_dataset(index(LABELS, groups=groups))
    found = run_experiment(store, cv=3, repeats=2, seed=4, recipes=("oof",), options=FIXED)
    assert len(found.folds) == 6
    assert shares_no_group(found.folds, groups)
    assert found.to_dict()["n_groups"] == 30
    expected = evaluate(
        blocks(),
        np.array(LABELS),
        stratified_folds(np.array(LABELS), 3, 4, groups=np.arange(N) // 3, digests=found.joined.digests, repeats=2),
        recipes=("oof",),
        options=FIXED,
        groups=np.arange(N) // 3,
        digests=found.joined.digests,
        seed=4,
    )
    assert found.evaluation.results == expected.results
    apart = run_experiment(store, cv=3, group_by="none", recipes=("oof",), options=FIXED)
    assert not shares_no_group(apart.folds, groups)
    assert apart.to_dict()["n_groups"] is None


def test_near_duplicates_are_never_on_both_sides(store: FeatureStore) -> None:
    x = features(LABELS, 3)
    x[45:] = 1.5 * x[:45]
    made = spec("xception")
    store.feature_set("xception", made).append(made, digest_rows(N), x, {})
    asked = {"backbones": ["xception"], "cv": 3, "recipes": ("oof",), "options": FIXED}
    found = run_experiment(store, near_duplicates=0.9999, **asked)  # type: ignore[arg-type]
    assert shares_no_group(found.folds, [str(i % 45) for i in range(N)])
    assert found.to_dict()["n_groups"] <= 45


def test_near_copies_of_tested_images_leave_the_training_part_of_a_split(store: FeatureStore) -> None:
    x = features(LABELS, 3)
    x[60:66] = 1.5 * x[:6]
    made = spec("xception")
    store.feature_set("xception", made).append(made, digest_rows(N), x, {})
    asked = {"split": "test", "near_duplicates": 0.9999, "backbones": ["xception"], "options": FIXED}
    store.write_dataset(index(LABELS, ["train"] * 60 + ["test"] * 30))
    found = run_experiment(store, **asked)  # type: ignore[arg-type]
    assert found.joined.rows.tolist() == list(range(6, N))
    assert found.to_dict()["left_out"]["near_copies"] == 6
    assert [len(part) for part in (found.folds[0].train, found.folds[0].test)] == [54, 30]
    store.write_dataset(index(LABELS, ["train"] * 60 + ["test"] * 30, ["ann" if i in (0, 9) else "" for i in range(N)]))
    with pytest.raises(StackError, match=r"tested on 'test', has 1 group"):
        run_experiment(store, **asked)  # type: ignore[arg-type]  # 9 belongs to what is tested, through 0


def test_a_training_part_of_near_copies_alone_is_named(store: FeatureStore) -> None:
    x = features(LABELS, 3)
    x[45:] = 1.5 * x[:45]
    made = spec("xception")
    store.feature_set("xception", made).append(made, digest_rows(N), x, {})
    store.write_dataset(index(LABELS, ["train"] * 45 + ["test"] * 45))
    with pytest.raises(StackError, match=r"every image is in split 'test'.*45 files of the other splits .*near copies"):
        run_experiment(store, split="test", near_duplicates=0.9999, backbones=["xception"], options=FIXED)


def test_a_split_that_parts_a_group_is_refused(store: FeatureStore) -> None:
    splits = ["train" if i < 60 else "test" for i in range(N)]
    store.write_dataset(index(LABELS, splits, ["patient 7" if i in (59, 60) else "" for i in range(N)]))
    with pytest.raises(StackError, match=r"tested on 'test', has 1 group.*row 59 \(training\).*row 60 \(test\)"):
        run_experiment(store, split="test")
    found = run_experiment(store, split="test", group_by="none", recipes=("oof",), options=FIXED)
    assert len(found.folds) == 1


def test_copies_in_two_groups_bind_both_sides_of_a_split(store: FeatureStore) -> None:
    listed = index(
        LABELS,
        ["train" if i < 60 else "test" for i in range(N)],
        [{0: "ann", 1: "ann", 60: "bob"}.get(i, "") for i in range(N)],
    )
    assert len(run_experiment(_with(store, listed), split="test", recipes=("oof",), options=FIXED).folds) == 1
    listed.image_sha256[0] = listed.image_sha256[60]  # of the copies the one under test is kept, in ann's group too
    with pytest.raises(StackError, match="1 group"):
        run_experiment(_with(store, listed), split="test")


def test_repeats_divide_anew(store: FeatureStore) -> None:
    found = run_experiment(store, cv=2, repeats=3, recipes=("oof",), options=FIXED)
    assert len(found.folds) == 6
    assert len({tuple(fold.test) for fold in found.folds}) == 6
    for start in (0, 2, 4):
        tested = np.concatenate([fold.test for fold in found.folds[start : start + 2]])
        assert sorted(tested) == list(range(N))
    assert len(found.evaluation.score("stack:oof").folds) == 6
    assert table.title(found) == "photos: 90 images, 3 classes, 3 times 2 folds, seed 0; the model is stack:oof"
    with pytest.raises(UsageError, match="0 repeats"):
        run_experiment(store, repeats=0)


def test_class_with_fewer_images_than_folds_is_named_with_its_count(store: FeatureStore) -> None:
    store.write_dataset(index(["rare", "rare", *LABELS[2:]]))
    with pytest.raises(StackError, match=r"'rare' \(2\).*ask for 2 folds, .*--rare drop.*--rare keep"):
        run_experiment(store, cv=3)


def test_rare_classes_are_dropped_on_request(store: FeatureStore) -> None:
    store.write_dataset(index(["rare", "rare", *LABELS[2:]]))
    found = run_experiment(store, cv=3, rare="drop", recipes=("oof",), options=FIXED)
    assert (found.n_images, found.n_classes) == (N - 2, 3)
    [note] = found.joined.notes
    assert all(words in note for words in ("2 images", "left out", "3 folds", "rare"))
    y = np.array(LABELS[2:])
    folds = stratified_folds(y, 3, 0, digests=found.joined.digests)
    known = blocks(np.arange(2, N))
    expected = evaluate(known, y, folds, recipes=("oof",), options=FIXED, digests=found.joined.digests)
    assert found.evaluation.results == expected.results


def test_rare_classes_are_kept_for_training_alone_on_request(store: FeatureStore) -> None:
    store.write_dataset(index(["rare", "rare", *LABELS[2:]]))
    found = run_experiment(store, cv=3, rare="keep", recipes=("oof",), options=FIXED)
    assert (found.n_images, found.n_classes) == (N, 4)
    assert all({0, 1} <= set(fold.train.tolist()) for fold in found.folds)
    assert not any({0, 1} & set(fold.test.tolist()) for fold in found.folds)
    [rare, uneven] = found.joined.notes
    assert rare == "in every training part and never scored, too few for 3 folds (2 images): rare"
    assert uneven.startswith("30 images of class 2 and 2 of rare: of classes so uneven, accuracy tells little")
    assert isinstance(found.findings, ClassFindings)
    assert {each.name: each.n for each in found.findings.classes}["rare"] == 0
    weakest = [each.text for each in lessons(found) if (each.topic or "").startswith("weakest")]
    assert not [text for text in weakest if "rare" in text], "a class that no image was tested of is not weak"


def test_dropped_groups_are_not_counted(store: FeatureStore) -> None:
    groups = [f"bird {i // 3}" for i in range(N)]
    store.write_dataset(index(["rare"] * 6 + LABELS[6:], groups=groups))
    with pytest.raises(StackError, match=r"fewer groups of images than the 3 folds asked for: 'rare' \(2\)"):
        run_experiment(store, cv=3)
    found = run_experiment(store, cv=3, rare="drop", recipes=("oof",), options=FIXED)
    assert found.to_dict()["n_groups"] == 28
    assert not any("30 groups among 90 images" in note for note in found.joined.notes)


def test_nothing_left_after_dropping_is_refused(store: FeatureStore) -> None:
    store.write_dataset(index([str(i) for i in range(N)]))
    with pytest.raises(StackError, match="at least 2 classes"):
        run_experiment(store, cv=3, rare="drop")


@pytest.mark.parametrize(("option", "value"), [("rare", "kep"), ("task", "clasification")])
def test_unknown_names_are_refused_with_the_likely_one(store: FeatureStore, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"{value!r}.*did you mean '(keep|classification)'"):
        run_experiment(store, **{option: value})  # type: ignore[arg-type]


def test_unknown_recipe_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"'publised'.*'published'"):
        run_experiment(store, recipes=("publised",))


def test_an_experiment_without_a_stack_is_refused_in_words(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="recipe"):
        run_experiment(store, recipes=())


def test_dataset_without_labels_is_refused(store: FeatureStore) -> None:
    store.write_dataset(index([""] * N))
    with pytest.raises(StackError, match="no labelled image"):
        run_experiment(store)


def test_one_class_is_refused(store: FeatureStore) -> None:
    store.write_dataset(index(["cat"] * N))
    with pytest.raises(StackError, match="the one class 'cat'"):
        run_experiment(store)


@pytest.mark.parametrize(
    ("task", "cv", "words"),
    [
        ("classification", 3, r"fewer images than the 3 folds asked for: '1' \(1\), '2' \(1\)"),
        ("classification", 2, r"fewer images than the 2 folds"),
        ("regression", 3, r"2 images for 3 folds"),
        ("regression", 2, r"at least 2"),
    ],
)
def test_two_images_are_too_few(store: FeatureStore, task: str, cv: int, words: str) -> None:
    store.write_dataset(index(["1", "2"]))
    with pytest.raises(StackError, match=words):
        run_experiment(store, cv=cv, task=task)


def test_two_images_are_too_few_to_divide_a_training_part(store: FeatureStore) -> None:
    store.write_dataset(index(["1", "1", "2", "2"]))
    with pytest.raises(StackError, match="need 2 such classes"):
        run_experiment(store, cv=2)


def test_one_fold_is_refused(store: FeatureStore) -> None:
    with pytest.raises(StackError, match="at least 2 are needed: ask for 2, 3 or 4 folds"):
        run_experiment(store, cv=1)


def test_unknown_dataset_names_those_that_are_there(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="photos"):
        run_experiment(store, dataset="fotos")


def test_chosen_backbones_alone_are_stacked(store: FeatureStore) -> None:
    found = run_experiment(store, backbones=["vgg19"], cv=3, recipes=("oof",), options=FIXED)
    models = [score.model for score in found.evaluation.results]
    assert models == ["lr:vgg19", "svm:vgg19", "stack:oof"]
    assert list(found.backbones) == ["vgg19"]
    assert found.evaluation.without == {}


def test_two_feature_sets_of_one_backbone_are_scored_apart(store: FeatureStore) -> None:
    made = replace(spec("vgg19"), precision="bf16")
    half = store.feature_set("vgg19", made)
    half.append(made, digest_rows(N), features(LABELS, 7), {})
    found = run_experiment(store, backbones=["vgg19"], cv=3, recipes=("oof",), options=FIXED)
    assert found.backbones == {name: name for name in found.backbones}
    assert half.id in found.backbones
    assert len(found.backbones) == 2
    single = run_experiment(store, backbones=[half.id], cv=3, recipes=("oof",), options=FIXED)
    assert found.evaluation.score(f"lr:{half.id}").folds == single.evaluation.score("lr:vgg19").folds


def test_a_copy_of_a_test_image_is_not_trained_on(store: FeatureStore) -> None:
    listed = index(LABELS, ["train" if i < 30 else "test" for i in range(N)])
    listed.image_sha256[3] = listed.image_sha256[30]  # a training file, the same image as one under test
    store.write_dataset(listed)
    found = run_experiment(store, split="test", recipes=("oof",))
    rows = np.array([i for i in range(N) if i != 3])
    y = np.array(LABELS)[rows]
    folds = split_folds(np.array(listed.split)[rows], "test")
    expected = evaluate(blocks(rows), y, folds, recipes=("oof",), digests=found.joined.digests)
    assert found.evaluation.results == expected.results


def test_a_second_run_fits_nothing_and_finds_the_same(store: FeatureStore) -> None:
    first = run_experiment(store, cv=2, options=FIXED)
    again = run_experiment(store, cv=2, options=FIXED)
    assert isinstance(first.evaluation, Evaluation)
    assert isinstance(again.evaluation, Evaluation)
    assert (first.evaluation.n_from_cache, again.evaluation.n_from_cache) == (
        0,
        2 * 6,
    )  # two folds of two lr, two svm, concat, published
    assert again.to_dict() == first.to_dict()


def test_progress_counts_every_fit(store: FeatureStore) -> None:
    seen: list[tuple[str, int, int]] = []
    run_experiment(store, cv=2, recipes=("oof",), options=FIXED, progress=lambda *each: seen.append(each))
    total = 2 * (5 + 3)  # two folds of the base fits, and of the stack and the two that lack a backbone
    fitting, comparing = seen[: total + 1], seen[total + 1 :]
    assert fitting == [("fitting", done, total) for done in range(total + 1)]
    assert comparing == [("comparing", 0, 1), ("comparing", 1, 1)]  # for near copies, in one tile


@pytest.mark.parametrize("divide", [run_experiment, run_self_check, training_parts])
def test_folds_and_a_split_at_once_are_refused(store: FeatureStore, divide: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match=r"--cv 4 draws folds, and --split test uses .* own division: use one of the"):
        divide(store, cv=4, split="test")


def test_of_repeats_every_image_counts_once(store: FeatureStore) -> None:
    once, thrice = (run_experiment(store, options=FIXED, recipes=("oof",), repeats=n) for n in (1, 3))
    for found in (once, thrice):
        assert isinstance(found.findings, ClassFindings)
        assert [each.n for each in found.findings.classes] == [30, 30, 30]
        assert all(1 <= each.n <= 30 and each.n == max(1, round(30 * each.share)) for each in found.findings.confused)


def test_a_model_of_a_split_may_leave_out_what_is_tested(store: FeatureStore) -> None:
    store.write_dataset(index(LABELS, ["train" if i < 60 else "test" for i in range(N)]))
    asked: dict[str, Any] = {"split": "test", "recipes": ("oof",), "options": FIXED, "with_model": True}
    digests = store.dataset("photos").image_sha256
    for train_only, known in ((False, [True] * N), (True, [True] * 60 + [False] * 30)):
        found = run_experiment(store, train_only=train_only, **asked)
        assert found.model is not None
        assert (found.model.n_images, found.n_images) == (sum(known), N)
        np.testing.assert_array_equal(found.model.knows(digests), known)
    wrong: dict[str, Any]
    for wrong in ({"with_model": True}, {"split": "test"}, {}):
        with pytest.raises(UsageError, match="--save-train-only is for --split with --save"):
            run_experiment(store, train_only=True, **wrong)


def test_the_model_is_that_of_the_oof_recipe(store: FeatureStore) -> None:
    found = run_experiment(store, cv=2, recipes=("oof",), options=FIXED, with_model=True)
    assert found.model is not None
    assert found.model.n_images == N
    assert [each.name for each in found.model.backbones] == ["resnet50", "vgg19"]
    assert f"{found.evaluation.score('stack:oof').mean:.3f}" in str(found.model.score["accuracy"])
    assert run_experiment(store, cv=2, recipes=("oof",), options=FIXED).model is None


@pytest.mark.parametrize(("recipe", "row"), [("published", "stack:published"), ("mean", "mean"), ("concat", "concat")])
def test_the_recipe_asked_for_is_judged_and_saved(store: FeatureStore, recipe: str, row: str) -> None:
    found = run_experiment(store, cv=2, recipes=(recipe,), options=FIXED, with_model=True)
    assert (found.model_name, found.findings.stack, found.to_dict()["recipe"]) == (row, row, recipe)
    assert found.model is not None
    assert str(found.model.score["accuracy"]).startswith(f"{found.evaluation.score(row).mean:.3f}")


def test_a_length_is_predicted_and_told_in_words(measured: FeatureStore) -> None:
    found = run_experiment(measured, task="regression", cv=3, seed=2)
    y, digests = lengths(), found.joined.digests
    expected = evaluate_numbers(blocks(), y, regression_folds(y, 3, 2, digests=digests), digests=digests, seed=2)
    assert found.evaluation.results == expected.results
    assert [score.model for score in found.evaluation.results] == [
        "ridge:resnet50",
        "ridge:vgg19",
        "mean",
        "concat",
        "stack:oof",
    ]
    assert table.title(found) == "photos: 90 images, a number each, 3 folds, seed 2; the model is stack:oof"
    assert table.header(found) == ["model", "R²", "± std", "MAE", "RMSE", "fold 1", "fold 2", "fold 3", "what it is"]
    rows = table.rows(found)
    assert [row[-1] for row in rows] == [
        "ridge regression on resnet50",
        "ridge regression on vgg19",
        "mean of the backbones' predictions",
        "ridge regression on all features side by side",
        "ridge on out-of-fold predictions",
    ]
    stack, single = found.evaluation.score("stack:oof"), found.evaluation.score("ridge:resnet50")
    assert rows[-1][1:5] == [
        f"{stack.mean:.3f}",
        f"{stack.std:.3f}",
        f"{np.mean(stack.metrics['mae']):.3f}",
        f"{np.mean(stack.metrics['rmse']):.3f}",
    ]
    assert verdict(found).comparison.startswith(
        f"stack:oof ({stack.mean:.3f}) beats the best single backbone, ridge:resnet50 ({single.mean:.3f}), "
        f"by {stack.mean - single.mean:.3f}, ahead in 3 of 3 folds"
    )
    assert found.n_classes == 0
    assert isinstance(found.findings, TargetFindings)
    assert found.findings.difference == paired_difference(stack.folds, single.folds, 60, 30)
    without = found.evaluation.without
    assert found.findings.ablation == {name: stack.mean - without[name].mean for name in ("resnet50", "vgg19")}
    ends = [str(each).split(" is ")[0] for each in lessons(found)]
    assert ends[0].startswith("stack:oof without one backbone, in R²: resnet50 -")
    assert ends[1] == f"furthest off, or mislabelled: {found.findings.worst[0].path}"


def test_a_regression_is_written_whole(measured: FeatureStore, tmp_path: Path) -> None:
    found = run_experiment(measured, task="regression", cv=3)
    write_predictions(found, tmp_path / "predictions.csv")
    rows = list(csv.DictReader(StringIO((tmp_path / "predictions.csv").read_text())))
    assert list(rows[0]) == ["path", "image_sha256", "label", "fold", "model", "predicted"]
    assert len(rows) == 5 * N
    of_stack = {row["path"]: float(row["predicted"]) for row in rows if row["model"] == "stack:oof"}
    errors = np.array([of_stack[f"{i}.jpg"] for i in range(N)]) - lengths()
    assert np.abs(errors).mean() == pytest.approx(np.mean(found.evaluation.score("stack:oof").metrics["mae"]))
    write_result(found, tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert (content["task"], content["n_classes"], len(content["findings"]["worst"])) == ("regression", 0, 20)
    largest = content["findings"]["worst"][0]
    assert abs(largest["label"] - largest["predicted"]) == pytest.approx(np.abs(errors).max())
    assert set(content["results"][-1]) == {"model", "r2", "mae", "rmse"}
    assert list(content["without"]) == ["resnet50", "vgg19"]


def test_a_regression_uses_the_inner_folds_asked_for(measured: FeatureStore) -> None:
    options = stack_options("regression", inner_splits=2)
    found = run_experiment(measured, task="regression", cv=3, options=options)
    y, digests = lengths(), found.joined.digests
    expected = evaluate_numbers(
        blocks(), y, regression_folds(y, 3, 0, digests=digests), digests=digests, inner_splits=2
    )
    assert found.evaluation.results == expected.results


def test_a_regression_keeps_groups_together_and_tests_on_a_split(measured: FeatureStore) -> None:
    groups = [f"cat {i // 3}" for i in range(N)]
    splits = ["train" if i < 60 else "test" for i in range(N)]
    measured.write_dataset(index([str(y) for y in lengths()], splits, groups))
    found = run_experiment(measured, task="regression", cv=3)
    assert shares_no_group(found.folds, groups)
    single = run_experiment(measured, task="regression", split="test")
    assert [fold.test.tolist() for fold in single.folds] == [list(range(60, N))]
    assert table.header(single)[:3] == ["model", "R²", "MAE"]


def test_labels_that_are_no_numbers_are_named(store: FeatureStore) -> None:
    labels = [str(y) for y in lengths()]
    labels[1], labels[4], labels[7] = "41,5", "12 cm", "nan"
    store.write_dataset(index(labels))
    with pytest.raises(StackError, match=r"3 of 90 labels.*'41,5' \(row 1\), '12 cm' \(row 4\), 'nan' \(row 7\)"):
        run_experiment(store, task="regression")


def test_equal_lengths_are_refused(store: FeatureStore) -> None:
    store.write_dataset(index(["41.5"] * N))
    with pytest.raises(StackError, match=r"target 41\.5"):
        run_experiment(store, task="regression")


def test_a_regression_of_few_images_can_be_saved(measured: FeatureStore) -> None:
    measured.write_dataset(index([str(y) for y in lengths()[:9]], groups=[str(i % 4) for i in range(9)]))
    found = run_experiment(measured, task="regression", cv=2, with_model=True)
    assert found.model is not None


@pytest.mark.parametrize(("task", "other"), [("regression", "classification"), ("classification", "regression")])
def test_options_of_the_other_task_are_refused(measured: FeatureStore, task: str, other: str) -> None:
    if task == "classification":
        measured.write_dataset(index(LABELS))
    with pytest.raises(UsageError, match="meta-learner"):
        run_experiment(measured, task=task, options=stack_options(other), recipes=("oof",))


def test_class_probabilities_reach_the_evaluation_whole(store: FeatureStore) -> None:
    found: Experiment = run_experiment(store, cv=2, recipes=("oof",), options=FIXED)
    for prediction in found.evaluation.predictions["stack:oof"]:
        assert isinstance(prediction, Prediction)
        np.testing.assert_allclose(np.exp(prediction.scores).sum(axis=1), 1.0, atol=1e-9)


def test_a_cache_that_changes_during_the_run_is_an_error_that_names_it(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = FeatureSet.load

    def vanish(feature_set: FeatureSet, digests: Digests) -> NDArray[np.float32]:
        for path in feature_set.shards():
            path.unlink()
        return load(feature_set, digests)

    monkeypatch.setattr(FeatureSet, "load", vanish)
    with pytest.raises(CacheError, match=r"resnet50-[0-9a-f]{12}"):
        run_experiment(store, cv=2)


@pytest.mark.parametrize("asked", [{"split": "test"}, {"task": "regression"}])
def test_rare_is_for_cross_validated_classes(store: FeatureStore, asked: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--rare"):
        run_experiment(store, rare="drop", **asked)  # type: ignore[arg-type]
