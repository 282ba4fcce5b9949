"""Several numbers of each image: evaluated honestly, refused in words, reported, saved, and predicted."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from stackbone.cache import FeatureStore, ModelError, StackError, UsageError
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS
from stackbone.stack import Experiment, evaluate, load_model, run_experiment, run_self_check, save_model, stack_options
from stackbone.stack.divisions.first_division import first_division
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.models.answers import Answer, columns, table_columns, table_rows
from stackbone.stack.models.predict import agreement, predict
from stackbone.stack.models.summary import model_dict, model_lines
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.page import render_page
from stackbone.stack.report.pictures import Pictures
from stackbone.stack.report.report import collect_report
from stackbone.stack.report.sections.numbers.numbers import NumbersRecord
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.prediction_file import write_predictions
from stackbone.stack.tables.score_rows import score_rows
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.label_form import check_comparable, check_label_form, check_same_numbers
from stackbone.stack.tasks.registry import TASKS
from stackbone.stack.tasks.target_findings import NumberFindings
from stackbone.stack.tasks.targets import parse_several
from tests.made.multilabel import index_of
from tests.made.numbers import NAMES, features_of, fill_numbers, make_numbers, numbers_index, texts_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 96
VALUES = make_numbers(N)
USUAL: dict[str, Any] = {"task": "multitarget", "n_jobs": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of animals with three numbers, groups of two and a split."""
    splits = ["test" if i % 4 == 3 else "train" for i in range(N)]
    groups = [f"herd {i // 2}" for i in range(N)]
    index = numbers_index(VALUES, splits=splits, groups=groups)
    return fill_numbers(tmp_path_factory.mktemp("animals") / "features", VALUES, index)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    """Return the usual experiment, with its model."""
    return run_experiment(store, **USUAL, group_by="none", with_model=True)


def test_every_model_is_in_the_table_with_every_metric(experiment: Experiment) -> None:
    models = [each.model for each in experiment.evaluation.results]
    assert models == ["ridges:resnet50", "ridges:vgg19", "mean", "concat", "stack:oof"]
    of_each = [f"{metric}:{name}" for name in NAMES for metric in ("r2", "mae", "rmse")]
    for score in experiment.evaluation.results:
        assert score.primary_metric == "mean_r2"
        assert list(score.metrics) == ["mean_mae", "mean_rmse", *of_each]
        assert 0.2 < score.mean < 1
    assert table.header(experiment)[:5] == ["model", "mean R²", "± std", "mean MAE", "mean RMSE"]
    assert table.title(experiment).startswith("scenes: 96 images, 3 numbers, 3 folds, seed 0")
    assert "ridge regressions on resnet50" in table.rows(experiment)[0]
    assert any("those of large numbers outweigh" in note for note in table.footnotes(experiment))


def test_scores_are_scikit_learns_of_each_number_and_their_mean(experiment: Experiment) -> None:
    measures = {"r2": r2_score, "mae": mean_absolute_error, "rmse": root_mean_squared_error}
    for score in experiment.evaluation.results:
        numbers = score.numbers
        for i, (fold, prediction) in enumerate(
            zip(experiment.folds, experiment.evaluation.predictions[score.model], strict=True)
        ):
            for name, measure in measures.items():
                each = [
                    measure(true, said) for true, said in zip(VALUES[fold.test].T, prediction.scores.T, strict=True)
                ]
                assert [numbers[f"{name}:{number}"][i] for number in NAMES] == pytest.approx(each)
                assert numbers[f"mean_{name}"][i] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("options", [{"with_model": True}, {"repeats": 2}, {"split": "test"}, {"time_column": "when"}])
def test_labels_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    when = {"when": [str(i) for i in range(len(VALUES))]}
    splits = ["test" if i % 3 == 0 else "train" for i in range(len(VALUES))]
    store = fill_numbers(tmp_path, VALUES, replace(numbers_index(VALUES, splits=splits), columns=when))
    n_parsed = []

    def counted(labels: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        n_parsed.append(len(labels))
        return parse_several(labels)

    monkeypatch.setattr("stackbone.stack.tasks.kinds.multitarget.parse_several", counted)
    found = run_experiment(store, task="multitarget", n_jobs=1, recipes=["mean"], **options)
    assert found.truth.values.shape == VALUES[found.joined.rows].shape
    assert len(n_parsed) == 1


def test_a_number_scores_what_it_would_alone(store: FeatureStore, experiment: Experiment) -> None:
    index = store.dataset()
    try:
        for column, name in enumerate(NAMES):
            alone = index_of([repr(value) for value in VALUES[:, column].tolist()], label_form="")
            store.write_dataset(alone)
            found = run_experiment(store, task="regression", group_by="none", n_jobs=1)
            for model, own in (("ridge", "ridges"), ("stack", "stack")):
                rows = [each for each in found.evaluation.results if each.model.startswith(model)]
                assert rows
                for each in rows:
                    several = experiment.evaluation.score(each.model.replace(f"{model}:", f"{own}:"))
                    assert several.metrics[f"r2:{name}"] == pytest.approx(each.folds, abs=1e-5)
    finally:
        store.write_dataset(index)


def test_rows_for_programs_have_each_number(experiment: Experiment, tmp_path: Path) -> None:
    rows = score_rows(experiment)
    assert {"mean_r2", "mean_mae", "r2:length", "rmse:age"} <= set(rows[0])
    json.dumps(experiment.to_dict())
    write_predictions(experiment, tmp_path / "all.csv")
    found = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert list(found[0])[6:] == [*(f"label:{name}" for name in NAMES), *(f"predicted:{name}" for name in NAMES)]
    fold, prediction = experiment.folds[0], experiment.evaluation.predictions["ridges:resnet50"][0]
    assert [float(found[0][f"predicted:{name}"]) for name in NAMES] == pytest.approx(prediction.scores[0].tolist())
    assert [float(found[0][f"label:{name}"]) for name in NAMES] == pytest.approx(VALUES[fold.test[0]].tolist())
    assert found[0]["predicted"].startswith("length=")


def test_verdict_lessons_and_findings_speak_of_numbers(experiment: Experiment) -> None:
    assert "corrected resampled t" in str(verdict(experiment))
    said = [str(each) for each in lessons(experiment)]
    assert any(each.startswith("weakest numbers (R²): ") for each in said)
    assert any(" is labelled " in each and "furthest off" in each for each in said)
    found = experiment.findings
    assert isinstance(found, NumberFindings)
    assert [each.model for each in found.numbers] == list(NAMES)
    off = [abs(each.predicted - each.label) / VALUES.std(axis=0)[NAMES.index(each.number)] for each in found.worst]
    assert off == sorted(off, reverse=True)
    assert found.to_dict()["numbers"][0]["number"] == "length"
    assert set(found.ablation) == {"resnet50", "vgg19"}
    assert set(experiment.evaluation.shares) == {"resnet50", "vgg19"}
    assert sum(experiment.evaluation.shares.values()) == pytest.approx(1)


def test_perfect_numbers_are_not_weak(experiment: Experiment) -> None:
    found = experiment.findings
    assert isinstance(found, NumberFindings)
    perfect = [replace(each, folds=[r2] * 3) for each, r2 in zip(found.numbers, (1.0, 0.996, 0.999), strict=True)]
    one_weak = [replace(perfect[0], folds=[0.9] * 3), *perfect[1:]]
    for numbers, said in ((perfect, []), (one_weak, ["weakest numbers (R²): length 0.90"])):
        told = [str(each) for each in replace(found, numbers=numbers).error_lessons()]
        assert [each for each in told if each.startswith("weakest")] == said
        assert any("furthest off" in each for each in told)


def test_a_saved_model_is_shown_with_its_numbers(experiment: Experiment) -> None:
    assert experiment.model is not None
    assert model_lines(experiment.model)[1] == "  numbers: length, weight, age"
    assert model_dict(experiment.model)["targets"] == list(NAMES)


def test_shuffled_numbers_are_not_predicted(tmp_path: Path) -> None:
    shuffled = VALUES[np.random.default_rng(0).permutation(N)]
    found = run_experiment(fill_numbers(tmp_path, VALUES, numbers_index(shuffled)), **USUAL)
    for score in found.evaluation.results:
        assert score.mean < 0.1


def test_groups_are_never_divided(store: FeatureStore) -> None:
    found = run_experiment(store, **USUAL, backbones="resnet50")
    herd = np.arange(N) // 2
    for fold in found.folds:
        assert not set(herd[fold.train]) & set(herd[fold.test])


@pytest.mark.parametrize(("metric", "interval"), [(None, False), ("mean-r2", True), ("mae", True)])
def test_a_split_of_the_dataset_is_one_fold(store: FeatureStore, metric: str | None, *, interval: bool) -> None:
    options = stack_options("multitarget", metric=metric)
    found = run_experiment(store, **USUAL, split="test", group_by="none", options=options)
    assert [len(fold.test) for fold in found.folds] == [24]
    assert (verdict(found).certainty is not None) is interval
    primary = {None: "mean_r2", "mean-r2": "mean_r2", "mae": "mean_mae"}[metric]
    assert found.evaluation.results[0].primary_metric == primary


def test_a_second_run_fits_nothing_on_features(store: FeatureStore, experiment: Experiment) -> None:
    again = run_experiment(store, **USUAL, group_by="none")
    assert again.evaluation.n_from_cache == 3 * 3
    for model, predictions in experiment.evaluation.predictions.items():
        for one, other in zip(predictions, again.evaluation.predictions[model], strict=True):
            assert np.array_equal(one.scores, other.scores)


def test_a_result_file_is_reproduced(store: FeatureStore, experiment: Experiment, tmp_path: Path) -> None:
    write_result(experiment, tmp_path / "result.json")
    assert reproduce_experiment(tmp_path / "result.json", store, n_jobs=1).task == "multitarget"


@pytest.mark.parametrize(
    ("recipe", "meta"),
    [("oof", "ridge"), ("oof", "svr"), ("oof", "greedy"), ("oof", "mean"), ("concat", "ridge"), ("mean", "ridge")],
)
def test_every_model_is_saved_and_predicts_the_same(
    store: FeatureStore, tmp_path: Path, meta: str, recipe: str
) -> None:
    options = stack_options("multitarget", meta=meta)
    found = run_experiment(store, **USUAL, group_by="none", options=options, recipes=[recipe], with_model=True)
    assert found.model is not None
    save_model(found.model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.targets == NAMES
    assert again.describe().startswith("3 numbers by ")
    blocks = {name: features_of(VALUES, seed) for seed, name in enumerate(("resnet50", "vgg19"))}
    values = again.predict_values(blocks)
    assert np.array_equal(values, found.model.predict_values(blocks))
    for true, said in zip(VALUES.T, values.T, strict=True):
        assert r2_score(true, said) > 0.5
    with pytest.raises(UsageError, match="a multitarget model has no probabilities"):
        again.log_probabilities(blocks)


def test_answers_have_a_column_for_each_number(experiment: Experiment) -> None:
    model = experiment.model
    assert model is not None
    blocks = {name: features_of(VALUES, seed) for seed, name in enumerate(("resnet50", "vgg19"))}
    answers = predict(model, [f"{i}.jpg" for i in range(N)], blocks)
    of_numbers = [f"value:{name}" for name in NAMES]
    assert columns(answers) == ["path", *of_numbers, "trained_on", "unlike", "further_than"]
    assert answers[0].to_dict()["value:weight"] == pytest.approx(model.predict_values(blocks)[0, 1], rel=1e-6)
    assert table_columns(answers) == ["path", *NAMES]
    assert table_rows(answers)[0][1] == f"{answers[0].cells()[1]:g}"
    found = agreement(answers, texts_of(VALUES))
    assert found is not None
    assert list(found.each) == list(NAMES)
    off = np.abs(model.predict_values(blocks) - VALUES).mean(axis=0)
    assert list(found.each.values()) == pytest.approx(off.tolist(), rel=1e-4)
    assert found.line().startswith("MAE length ")
    assert found.line().endswith("on 96 labelled images")
    assert found.to_dict()["each"] == found.each


def test_numbers_that_a_table_and_a_model_share_are_compared() -> None:
    answers = [Answer("a.jpg", [], values={"length": 2.0, "age": 5.0})]
    found = agreement(answers, ["age=3.5|width=9"])
    assert found is not None
    assert found.to_dict() == {"n": 1, "metric": "MAE", "value": 1.5, "each": {"age": 1.5}}
    assert agreement(answers, [""]) is None
    check_same_numbers(("length", "age"), ["", "age=3.5|width=9"])
    with pytest.raises(
        UsageError, match=r"predicts the numbers length, age, and --label-columns names lenght.*'length'"
    ):
        check_same_numbers(("length", "age"), ["lenght=1"])
    check_same_numbers((), ["cat", "dog"])


def test_weights_count_in_fits_and_scores(store: FeatureStore) -> None:
    index = store.dataset()
    weights = np.random.default_rng(0).uniform(0.5, 3, N)
    try:
        store.write_dataset(replace(index, columns={"sure": [f"{weight:.3f}" for weight in weights]}))
        options = stack_options("multitarget", weight_column="sure")
        found = run_experiment(store, **USUAL, backbones="resnet50", group_by="none", options=options)
    finally:
        store.write_dataset(index)
    score, fold = found.evaluation.score("ridges:resnet50"), found.folds[0]
    said = found.evaluation.predictions["ridges:resnet50"][0].scores
    own = np.round(weights, 3)[fold.test]
    expected = r2_score(VALUES[fold.test], said, sample_weight=own, multioutput="raw_values")
    assert [score.metrics[f"r2:{name}"][0] for name in NAMES] == pytest.approx(expected.tolist())


def test_arrays_are_evaluated_without_a_cache() -> None:
    blocks = {"a": features_of(VALUES, 0), "b": features_of(VALUES, 1)}
    folds = regression_folds(VALUES[:, 0], 3, 0)
    found = evaluate(blocks, VALUES, folds, task="multitarget", options=stack_options("multitarget"), n_jobs=1)
    assert "r2:1" in found.results[0].metrics
    assert evaluate(blocks, VALUES[:, :1], folds, task="multitarget", n_jobs=1).results[-1].mean > 0.5


# --- the report ----------------------------------------------------------------------------------------------


def test_the_report_has_a_section_of_numbers(store: FeatureStore, experiment: Experiment) -> None:
    report = collect_report(experiment, store, ReportOptions(projection="pca", learning_curve=True))
    names = [part.section.name for part in report.parts]
    assert {"numbers", "learning", "map"} <= set(names)
    assert not {"classes", "confidence", "fit", "labels"} & set(names)
    record = report.record(NumbersRecord)
    assert record is not None
    assert [each.mean for each in record.scores] == sorted(each.mean for each in record.scores)
    assert {"per_number", "fit_1", "fit_2", "fit_3"} <= set(report.figures())
    low, high = record.spans["length"]
    assert (low, high) == (VALUES[:, 0].min(), VALUES[:, 0].max())
    page = render_page(report, Pictures())
    assert "How well stack:oof knows each number" in page
    assert "Predicted against true values: weight" in page
    assert "<dt>numbers</dt><dd>3</dd>" in page


def test_figures_of_single_numbers_can_be_asked_for(experiment: Experiment) -> None:
    assert {"numbers", "fits"} <= set(dir(experiment.plot))
    title = experiment.plot.fits("2").layout.xaxis.title.text
    assert title == "true value"


# --- what is refused -----------------------------------------------------------------------------------------


def with_column(column: NDArray[np.float64], folder: Path) -> FeatureStore:
    values = VALUES.copy()
    values[:, 1] = column
    return fill_numbers(folder, VALUES, numbers_index(values))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.full(N, 7.0), r"'weight': every image has the target 7; there is nothing to predict"),
        (1e9 + np.arange(N) / N, r"'weight': targets lie between 1000000000 and 10000000"),
        (np.zeros(N), r"'weight': every image has the target 0"),
        (np.where(np.arange(N) == 5, 1e39, np.arange(N)), r"'weight': a target is 1e\+39 \(row 5\), too large"),
    ],
    ids=["constant", "too close together", "zero", "too large"],
)
def test_a_number_without_anything_to_predict_is_refused_by_name(
    column: NDArray[np.float64], said: str, tmp_path: Path
) -> None:
    with pytest.raises(StackError, match=rf"the number {said}.*leave this number out of --label-columns"):
        run_experiment(with_column(column, tmp_path), **USUAL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("length=1|weight=2", r"\(row 3\) does not spell the same numbers as the first"),
        ("length=1|weight=2|age=old", r"the number 'age' is 'old' in row 3"),
        ("length=1|weight=inf|age=2", r"the number 'weight' is 'inf' in row 3"),
        ("length=1|weight=|age=2", r"the number 'weight' is '' in row 3"),
        ("weight=1|length=2|age=3", r"\(row 3\) does not spell the same numbers"),
    ],
    ids=["one lacks", "a word", "infinite", "empty", "another order"],
)
def test_labels_of_a_made_up_index_are_refused_with_their_place(text: str, said: str) -> None:
    texts = texts_of(VALUES)
    texts[3] = text
    with pytest.raises(StackError, match=said):
        TASKS["multitarget"].read(np.array(texts))


@pytest.mark.parametrize("shape", [(N,), (2, 3, 4)])
def test_arrays_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(StackError, match=r"expected a column for each number, \(n_images, n_targets\)"):
        TASKS["multitarget"].read(np.zeros(shape))


def test_too_few_images_are_refused_with_a_way_out(tmp_path: Path) -> None:
    store = fill_numbers(tmp_path, VALUES[:4], numbers_index(VALUES[:4]))
    with pytest.raises(StackError, match="ask for 2 folds, or add images until there are 6"):
        run_experiment(store, **USUAL)
    with pytest.raises(StackError, match="tests 1 image"):
        run_experiment(store, **USUAL, cv="loo")


@pytest.mark.parametrize(
    ("task", "form", "said"),
    [
        ("classification", NUMBERS, "has several numbers, and classification predicts one class.*--task multitarget"),
        ("regression", NUMBERS, "has several numbers, and regression predicts.*add --task multitarget"),
        ("multilabel", NUMBERS, r"add --task multitarget\. If the columns mark labels.*'length' is 2 of '0\.jpg'"),
        (
            "multitarget",
            SETS,
            "can have several labels, and multitarget predicts several numbers: add --task multilabel",
        ),
        (
            "multitarget",
            "",
            "multitarget is for images with several numbers.*--task regression.*--label-columns length",
        ),
    ],
)
def test_labels_of_another_form_are_refused_with_what_to_type(task: str, form: str, said: str) -> None:
    label = {NUMBERS: "length=2", SETS: "cat", "": "cat"}[form]
    index = index_of([label] * 2, label_form=form)
    with pytest.raises(UsageError, match=said):
        check_label_form(task, TASKS[task].label_form, index)


@pytest.mark.parametrize(
    ("predicted", "given", "said"),
    [
        (NUMBERS, "", "predicts several numbers of an image.*add --label-columns"),
        (NUMBERS, SETS, "can have several labels, and the model predicts several numbers:"),
        (SETS, NUMBERS, "has several numbers, and the model predicts which labels are there:"),
        ("", NUMBERS, "has several numbers, and the model predicts one class, or a number, of each:"),
        (NUMBERS, NUMBERS, None),
    ],
)
def test_labels_of_another_form_are_not_compared(predicted: str, given: str, said: str | None) -> None:
    if said is None:
        check_comparable(predicted, "animals", given)
        return
    with pytest.raises(UsageError, match=rf"{said}.*without comparing|without comparing.*{said}"):
        check_comparable(predicted, "animals", given)


def test_what_means_nothing_for_numbers_is_refused(store: FeatureStore) -> None:
    for_classes = "--c, --meta-scores and --meta-combine are for classification"
    refused: list[tuple[dict[str, Any], str]] = [
        ({"c": 1.0}, for_classes),
        ({"scores": "decision"}, for_classes),
        ({"class_weight": "balanced"}, "--class-weight is for classes, and the task is multitarget"),
        ({"heads": "lr"}, "unknown head 'lr': choose from ridges"),
        ({"meta": "svm"}, "unknown meta-learner 'svm': choose from ridge, svr, greedy, mean"),
    ]
    for given, said in refused:
        with pytest.raises(UsageError, match=said):
            stack_options("multitarget", **given)
    with pytest.raises(UsageError, match="has several numbers, and --self-check knows"):
        run_self_check(store)
    with pytest.raises(UsageError, match=r"has several numbers, and steering.*stackbone stack --task multitarget"):
        training_parts(store, cv=3)
    with pytest.raises(UsageError, match=r"unknown metric 'mean-r3' of multitarget.*did you mean 'mean-r2'"):
        stack_options("multitarget", metric="mean-r3")
    assert first_division(store.dataset()) == "--task multitarget --cv 3"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ((), "it has 0 names of numbers"),
        (("a", "a", "b"), "3 names of numbers, 2 of them distinct"),
        (("a", "", "b"), "a name of a number is empty"),
        (("a", "b=c", "d"), "holds what stands between"),
        (("a", "b"), "shape"),
    ],
)
def test_a_forged_model_is_refused(experiment: Experiment, targets: tuple[str, ...], said: str) -> None:
    assert experiment.model is not None
    with pytest.raises(ModelError, match=said):
        replace(experiment.model, targets=targets)
    with pytest.raises(ModelError, match="it names numbers, length, weight, age, and its task is regression"):
        replace(experiment.model, task="regression")
