"""Images with any number of labels: evaluated honestly, refused in words, reported, saved, and predicted."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.labels.sets import join_names
from stackbone.stack import Experiment, load_model, run_experiment, run_self_check, save_model, stack_options
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.first_division import first_division
from stackbone.stack.divisions.outer_folds import drop_rare
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.features.join import join_features
from stackbone.stack.models.answers import columns, table_columns, table_rows
from stackbone.stack.models.predict import agreement, predict
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.report import collect_report
from stackbone.stack.report.sections.multilabel.labels import LabelsRecord
from stackbone.stack.report.sections.scores import ScoresRecord
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.prediction_file import write_predictions
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.label_findings import LabelFindings
from stackbone.stack.tasks.label_form import check_comparable
from tests.made.multilabel import NAMES, features_of, fill, index_of, make_presence, texts_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 120
PRESENCE = make_presence(N)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of scenes with three labels, groups of two and a split."""
    splits = ["test" if i % 4 == 3 else "train" for i in range(N)]
    groups = [f"place {i // 2}" for i in range(N)]
    folder = tmp_path_factory.mktemp("scenes") / "features"
    return fill(folder, PRESENCE, index_of(texts_of(PRESENCE), splits=splits, groups=groups))


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    """Return the usual experiment, with its model."""
    return run_experiment(store, task="multilabel", group_by="none", with_model=True, n_jobs=1)


def test_every_model_is_in_the_table_with_every_metric(experiment: Experiment) -> None:
    models = [each.model for each in experiment.evaluation.results]
    assert models == ["ovr:resnet50", "ovr:vgg19", "mean", "concat", "stack:oof"]
    for score in experiment.evaluation.results:
        assert score.primary_metric == "mean_ap"
        others = ["micro_f1", "label_macro_f1", "subset_accuracy", "hamming_loss", "label_log_loss"]
        assert list(score.metrics) == others
        assert 0.5 < score.mean <= 1
    header = table.header(experiment)
    assert header[:9] == [
        *("model", "mAP", "± std", "micro-F1", "macro-F1", "subset acc.", "Hamming loss", "log-loss", "fold 1")
    ]
    assert table.title(experiment).startswith("scenes: 120 images, 3 labels, 3 folds, seed 0")
    assert "one-versus-rest logistic regressions on resnet50" in table.rows(experiment)[0]
    assert "logistic regression of each label on its out-of-fold log-odds" in table.rows(experiment)[-1]


def test_scores_are_those_of_the_predictions(experiment: Experiment) -> None:
    for score in experiment.evaluation.results:
        for fold, prediction, ap in zip(
            experiment.folds, experiment.evaluation.predictions[score.model], score.folds, strict=True
        ):
            assert ap == pytest.approx(average_precision_score(PRESENCE[fold.test], np.exp(prediction.scores)))
            assert prediction.thresholds is not None
            assert ((prediction.thresholds > 0) & (prediction.thresholds < 1)).all()


def test_verdict_lessons_and_findings_speak_of_labels(experiment: Experiment) -> None:
    assert "points" in str(verdict(experiment))
    assert "corrected resampled t" in str(verdict(experiment))
    said = [str(each) for each in lessons(experiment)]
    assert any(each.startswith("weakest labels (average precision): ") for each in said)
    found = experiment.findings
    assert isinstance(found, LabelFindings)
    assert [each.name for each in found.labels] == list(NAMES)
    assert all(abs(each.has - each.probability) > 0.5 for each in found.wrong)
    assert set(found.ablation) == {"resnet50", "vgg19"}
    json.dumps(experiment.to_dict())


def test_perfect_labels_are_not_weak(experiment: Experiment) -> None:
    found = experiment.findings
    assert isinstance(found, LabelFindings)
    perfect = [replace(each, ap=ap) for each, ap in zip(found.labels, (1.0, 0.996, None), strict=True)]
    one_weak = [replace(perfect[0], ap=0.9), *perfect[1:]]
    for labels, said in ((perfect, []), (one_weak, ["weakest labels (average precision): cat 0.90"])):
        lessons = [str(each) for each in replace(found, labels=labels).error_lessons()]
        assert [each for each in lessons if each.startswith("weakest")] == said


def test_chance_is_all_that_shuffled_labels_give(tmp_path: Path) -> None:
    shuffled = PRESENCE[np.random.default_rng(0).permutation(N)]
    store = fill(tmp_path, PRESENCE, index_of(texts_of(shuffled)))
    found = run_experiment(store, task="multilabel", n_jobs=1)
    shares = shuffled.mean(axis=0).mean()
    for score in found.evaluation.results:
        assert score.mean < shares + 0.15


def test_groups_are_never_divided(store: FeatureStore) -> None:
    found = run_experiment(store, task="multilabel", backbones="resnet50", n_jobs=1)
    place = np.arange(N) // 2
    for fold in found.folds:
        assert not set(place[fold.train]) & set(place[fold.test])


def test_a_split_of_the_dataset_is_one_fold(store: FeatureStore) -> None:
    found = run_experiment(store, task="multilabel", split="test", group_by="none", n_jobs=1)
    assert len(found.folds) == 1
    assert len(found.folds[0].test) == 30
    assert verdict(found).certainty is None


def test_a_second_run_fits_nothing_on_features(store: FeatureStore, experiment: Experiment) -> None:
    again = run_experiment(store, task="multilabel", group_by="none", n_jobs=1)
    assert again.evaluation.n_from_cache == 3 * 3
    for model, predictions in experiment.evaluation.predictions.items():
        for one, other in zip(predictions, again.evaluation.predictions[model], strict=True):
            assert np.array_equal(one.scores, other.scores)
            assert np.array_equal(one.present, other.present)


def test_a_result_file_is_reproduced(store: FeatureStore, experiment: Experiment, tmp_path: Path) -> None:
    write_result(experiment, tmp_path / "result.json")
    assert reproduce_experiment(tmp_path / "result.json", store, n_jobs=1).task == "multilabel"


def test_predictions_are_written_with_their_labels(experiment: Experiment, tmp_path: Path) -> None:
    write_predictions(experiment, tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == 5 * N
    assert set(rows[0]) >= {"label", "predicted", "score:cat", "score:indoor", "score:night"}
    assert rows[0]["label"] in set(texts_of(PRESENCE))
    assert all(set(each["predicted"].split("|")) <= {*NAMES, ""} for each in rows)


def test_a_saved_model_predicts_what_the_stack_says(experiment: Experiment, tmp_path: Path) -> None:
    assert experiment.model is not None
    save_model(experiment.model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.describe().startswith("3 labels by label-lr on resnet50, vgg19; 120 training images")
    new = make_presence(60, seed=7)
    blocks = {name: _features_like(new, seed) for seed, name in enumerate(("resnet50", "vgg19"))}
    answers = predict(model, [f"{i}.jpg" for i in range(60)], blocks)
    probability = np.exp(model.log_probabilities(blocks))
    assert average_precision_score(new, probability) > 0.7
    assert model.thresholds is not None
    said = probability >= model.thresholds
    for answer, row, there in zip(answers, probability, said, strict=True):
        assert dict(answer.ranked) == pytest.approx(dict(zip(NAMES, row, strict=True)), abs=1e-6)
        assert answer.labels == [name for name, is_there in zip(NAMES, there, strict=True) if is_there]
    expected = ["path", "labels", "probability:cat", "probability:indoor", "probability:night"]
    expected += ["trained_on", "unlike", "further_than"]
    assert columns(answers) == expected
    assert answers[0].to_dict()["labels"] == join_names(answers[0].labels or [])
    assert table_columns(answers)[:3] == ["path", "labels", "next"]
    assert all(len(row) == len(table_columns(answers)) for row in table_rows(answers))
    found = agreement(answers, texts_of(new))
    assert found is not None
    assert found.metric == "micro-F1"
    assert found.value == pytest.approx(2 * (said & (new == 1)).sum() / (said.sum() + new.sum()))


def _features_like(presence: NDArray[np.int8], seed: int) -> NDArray[np.float32]:
    """Return features of new images in which labels have the directions that they have in the cache."""
    both = features_of(np.concatenate([PRESENCE, presence]), seed)
    return both[N:]


@pytest.mark.parametrize("change", ["missing", "wrong length", "above 1"])
def test_a_model_with_odd_thresholds_is_refused(experiment: Experiment, change: str) -> None:
    from dataclasses import replace

    from stackbone.cache import ModelError

    odd = {"missing": None, "wrong length": np.ones(2, np.float32), "above 1": np.full(3, 1.5, np.float32)}[change]
    assert experiment.model is not None
    with pytest.raises(ModelError, match="thresholds"):
        replace(experiment.model, thresholds=odd)


@pytest.mark.parametrize("inputs", [1, 2], ids=["of one backbone", "of both"])
def test_a_model_that_averages_backbones_is_refused(experiment: Experiment, inputs: int) -> None:
    from dataclasses import replace

    from stackbone.cache import ModelError
    from stackbone.stack.solvers.linear import LinearMap

    model = experiment.model
    assert model is not None
    assert model.meta_linear is not None
    meta = LinearMap(model.meta_linear.coef[: 3 * inputs], model.meta_linear.intercept)
    with pytest.raises(ModelError, match="its combination is 'average', expected one of concat"):
        replace(model, combine="average", meta_linear=meta)


@pytest.mark.parametrize("name", ["", "|", "cat|dog"])
def test_a_model_whose_labels_cannot_be_written_is_refused(experiment: Experiment, name: str) -> None:
    from dataclasses import replace

    from stackbone.cache import ModelError

    assert experiment.model is not None
    with pytest.raises(ModelError, match=r"a name of a label is empty or holds '\|'"):
        replace(experiment.model, classes=["cat", name, "night"])


@pytest.mark.parametrize(
    ("predicted", "given", "said"),
    [
        ("sets", "", "--label-separator"),
        ("", "sets", "can have several labels"),
        ("", "", None),
        ("sets", "sets", None),
    ],
)
def test_labels_of_another_form_are_not_compared(predicted: str, given: str, said: str | None) -> None:
    if said is None:
        check_comparable(predicted, "scenes", given)
        return
    with pytest.raises(UsageError, match=rf"'scenes'.*{said}.*without comparing"):
        check_comparable(predicted, "scenes", given)


def test_the_mean_can_be_the_meta_learner_and_is_saved(store: FeatureStore, tmp_path: Path) -> None:
    options = stack_options("multilabel", meta="mean", c=0.1)
    found = run_experiment(store, task="multilabel", options=options, group_by="none", with_model=True, n_jobs=1)
    assert found.model is not None
    save_model(found.model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    blocks = {name: _features_like(PRESENCE, seed) for seed, name in enumerate(("resnet50", "vgg19"))}
    assert np.array_equal(again.log_probabilities(blocks), found.model.log_probabilities(blocks))


def test_the_report_has_a_section_of_labels(store: FeatureStore, experiment: Experiment) -> None:
    report = collect_report(experiment, store, ReportOptions(projection="pca"))
    names = [part.section.name for part in report.parts]
    assert "labels" in names
    assert not {"classes", "confidence", "fit"} & set(names)
    record = report.record(LabelsRecord)
    assert record is not None
    kinds = {each.name: each.kind for each in report.record(ScoresRecord).models}  # type: ignore[union-attr]
    assert kinds == {
        "ovr:resnet50": "backbone",
        "ovr:vgg19": "backbone",
        "mean": "baseline",
        "concat": "baseline",
        "stack:oof": "stack",
    }
    assert [each.ap for each in record.labels] == sorted(each.ap or 0.0 for each in record.labels)
    assert {len(each) for each in record.thresholds.values()} == {3}
    assert "per_label" in report.figures()
    page = render_page(report, Pictures())
    assert "How well stack:oof finds each label" in page
    assert "<dt>labels</dt><dd>3</dd>" in page


def test_a_learning_curve_keeps_rare_labels(store: FeatureStore, experiment: Experiment) -> None:
    options = ReportOptions(projection="pca", learning_curve=True)
    names = [part.section.name for part in collect_report(experiment, store, options).parts]
    assert "learning" in names


# --- what is refused -----------------------------------------------------------------------------------------


def with_column(column: NDArray[np.int8], folder: Path) -> FeatureStore:
    presence = PRESENCE.copy()
    presence[:, 2] = column
    return fill(folder, PRESENCE, index_of(texts_of(presence)))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.eye(N, dtype=np.int8)[5], r"'night' \(in 1 image\)"),
        (np.ones(N, np.int8), r"'night' \(in all\)"),
        (1 - np.eye(N, dtype=np.int8)[5], r"'night' \(in all but 1\)"),
    ],
    ids=["one image", "all images", "all but one"],
)
def test_a_label_without_two_sides_is_refused_or_dropped(column: NDArray[np.int8], said: str, tmp_path: Path) -> None:
    store = with_column(column, tmp_path)
    with pytest.raises(StackError, match=rf"{said}.*leave these labels out \(--rare drop\)"):
        run_experiment(store, task="multilabel", n_jobs=1)
    found = run_experiment(store, task="multilabel", rare="drop", backbones="resnet50", n_jobs=1)
    assert found.truth.classes.tolist() == ["cat", "indoor"]
    assert any(
        note.startswith("labels left out, too rare or too common for 3 folds: 'night'") for note in found.joined.notes
    )
    assert first_division(store.dataset()) == "--task multilabel --cv 3 --rare drop"
    joined = join_features(store)
    left = drop_rare(joined, Division("multilabel", cv=3, rare="drop"))
    assert left.labels.tolist() != joined.labels.tolist()
    assert all(left.blocks[name] is block for name, block in joined.blocks.items()), "nothing is copied"


def test_a_split_whose_training_part_lacks_a_label_is_refused(tmp_path: Path) -> None:
    presence = PRESENCE.copy()
    test = np.arange(N) % 4 == 3
    presence[~test, 2] = 0
    splits = ["test" if is_test else "train" for is_test in test]
    store = fill(tmp_path, PRESENCE, index_of(texts_of(presence), splits=splits))
    with pytest.raises(StackError, match=r"the training part cannot teach 1 label: 'night' \(in 0 images\)"):
        run_experiment(store, task="multilabel", split="test", n_jobs=1)


def test_images_without_any_label_are_learnt_from_and_unlabelled_ones_are_not(tmp_path: Path) -> None:
    texts = texts_of(PRESENCE)
    texts[:6] = ["|"] * 6
    texts[6:9] = [""] * 3
    store = fill(tmp_path, PRESENCE, index_of(texts))
    found = run_experiment(store, task="multilabel", backbones="resnet50", n_jobs=1)
    assert found.n_images == N - 3
    assert found.joined.left_out["unlabelled"] == 3
    assert not found.truth.values[:6].any()


def test_classification_of_several_labels_is_refused_with_what_to_type(store: FeatureStore) -> None:
    for task in ("classification", "regression"):
        with pytest.raises(UsageError, match=r"can have several labels.*add --task multilabel"):
            run_experiment(store, task=task, n_jobs=1)
    for asked in ({}, {"cv": 3}, {"split": "test"}):
        with pytest.raises(UsageError, match="steering learns one class of each image"):
            training_parts(store, **asked)
    for split in (None, "test"):
        with pytest.raises(UsageError, match=r"can have several labels.*add --task multilabel"):
            run_self_check(store, split=split)


def test_labels_of_one_class_each_are_refused_with_what_to_type(tmp_path: Path) -> None:
    store = fill(tmp_path, PRESENCE, index_of(texts_of(PRESENCE), label_form=""))
    with pytest.raises(UsageError, match=r"have one each.*--label-separator") as refused:
        run_experiment(store, task="multilabel", n_jobs=1)
    # the command alone would embed with the default backbones
    assert "the options that it had" in str(refused.value)


@pytest.mark.parametrize("given", [{"scores": "decision"}, {"combine": "average"}, {"meta": "svm"}])
def test_options_of_classifiers_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        stack_options("multilabel", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("rare", ["keep"])
def test_labels_cannot_be_kept_untested(store: FeatureStore, rare: str) -> None:
    with pytest.raises(UsageError, match="--rare keep is not for multilabel: choose from refuse, drop"):
        run_experiment(store, task="multilabel", rare=rare, n_jobs=1)


def test_advice_after_an_extract_names_the_task(store: FeatureStore) -> None:
    assert first_division(store.dataset()) == "--task multilabel --cv 3"


@pytest.mark.parametrize(
    ("asked", "title"), [("hamming-loss", "Hamming loss"), ("f1_micro", "micro-F1"), ("map", "mAP")]
)
def test_another_metric_can_rank_models_with_an_interval_on_a_split(
    store: FeatureStore, asked: str, title: str
) -> None:
    options = stack_options("multilabel", c=0.1, metric=asked)
    found = run_experiment(store, task="multilabel", options=options, split="test", group_by="none", n_jobs=1)
    assert table.header(found)[1] == title
    assert "95% interval of the" in str(verdict(found))
    assert found.evaluation.score("stack:oof").primary_metric == found.options.metric


def test_images_count_for_their_weights(tmp_path: Path) -> None:
    from dataclasses import replace

    index = index_of(texts_of(PRESENCE))
    heavy = replace(index, columns={"sure": ["2" if i % 3 else "0.5" for i in range(N)]})
    usual: dict[str, Any] = {"task": "multilabel", "backbones": "resnet50", "n_jobs": 1}
    plain = run_experiment(fill(tmp_path / "a", PRESENCE, index), **usual)
    options = stack_options("multilabel", weight_column="sure")
    weighed = run_experiment(fill(tmp_path / "b", PRESENCE, heavy), **usual, options=options)
    ours, theirs = (each.evaluation.predictions["ovr:resnet50"][0].scores for each in (plain, weighed))
    assert np.abs(ours - theirs).max() > 1e-3
    weights = np.array([2 if i % 3 else 0.5 for i in range(N)])
    for fold, prediction, ap in zip(
        weighed.folds,
        weighed.evaluation.predictions["ovr:resnet50"],
        weighed.evaluation.score("ovr:resnet50").folds,
        strict=True,
    ):
        own = average_precision_score(PRESENCE[fold.test], np.exp(prediction.scores), sample_weight=weights[fold.test])
        assert ap == pytest.approx(own)
