"""The table says what was measured and does not flatter."""

from dataclasses import replace
from itertools import cycle
from typing import cast

import numpy as np
import pytest

from stackbone.cache.records.indexes.index import empty_index
from stackbone.stack import Evaluation, Experiment, ModelScore, stack_options
from stackbone.stack.divisions.division import Division
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import BOOTSTRAP, RESAMPLED_T, Difference, ErrorOverlap
from stackbone.stack.metrics.confusion import ClassReport, ConfusedPair
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.class_findings import ClassFindings, WrongImage
from stackbone.stack.tasks.target_findings import TargetError, TargetFindings

JOINED = Joined(
    index=empty_index("photos", "/photos"),
    rows=np.arange(3781),
    labels=np.array([f"class {i % 10}" for i in range(3781)]),
    feature_sets={},
    blocks={},
    groups=None,
    file_groups=np.arange(0),
    left_out={"unlabelled": 0, "failed": 0, "doubles": 0, "conflicting": 0},
    notes=[],
)


def told(experiment: Experiment) -> str:
    """Return the verdict as people read it."""
    return str(verdict(experiment))


def lines(experiment: Experiment) -> list[str]:
    """Return the lessons as people read them."""
    return [str(each) for each in lessons(experiment)]


def evaluation(*results: ModelScore) -> Evaluation:
    return Evaluation(results=list(results), predictions={}, without={}, chosen={})


NOTHING = ClassFindings(
    stack="stack:oof",
    single="lr:resnet50",
    difference=cast("Difference", None),  # for the verdict's first sentence alone
    ablation={},
    overlap=ErrorOverlap([], np.zeros((0, 0)), [], 1.0),
    classes=[],
    confused=[],
    wrong=[],
    calibration=[],
)
EXPERIMENT = Experiment(
    division=Division(cv=3),
    joined=JOINED,
    folds=[Fold.testing(np.arange(k, 3781, 3), 3781) for k in range(3)],
    options=stack_options(),
    evaluation=evaluation(
        ModelScore("lr:resnet50", [0.8, 0.81, 0.82]),
        ModelScore("svm:resnet50", [0.7, 0.7, 0.7]),
        ModelScore("mean", [0.8, 0.81, 0.82]),
        ModelScore("concat", [0.8, 0.81, 0.82]),
        ModelScore("stack:oof", [0.85, 0.8, 0.9]),
    ),
    findings=NOTHING,
)

FINDINGS = ClassFindings(
    stack="stack:oof",
    single="lr:resnet50",
    difference=Difference(0.04, -0.0123, 0.0923, 0.1, RESAMPLED_T),
    ablation={
        "resnet50": Difference(0.021, 0.01, 0.03, 0.01, RESAMPLED_T),
        "vgg19": Difference(-0.004, -0.01, 0.002, 0.2, RESAMPLED_T),
        "alexnet": Difference(0.0, None, None, 1.0, RESAMPLED_T),
    },
    overlap=ErrorOverlap(
        ["resnet50", "vgg19", "alexnet"],
        np.array([[1, 0.6, 0.25], [0.6, 1, 0.5], [0.25, 0.5, 1]]),
        [0.2, 0.3, 0.4],
        0.9234,
    ),
    classes=[
        ClassReport("coat", 40, 0.9, 0.9, 0.9),
        ClassReport("hat", 40, 0.5, 0.5, 0.5),
        ClassReport("shoe", 40, 0.7, 0.7, 0.7),
        ClassReport("skirt", 40, 0.6, 0.6, 0.6),
    ],
    confused=[ConfusedPair("hat", "coat", 9 - i, 0.2) for i in range(4)],
    wrong=[WrongImage(f"hat/{i}.jpg", "hat", "coat", 0.99) for i in range(4)],
    calibration=[],
)

SINGLE = replace(
    EXPERIMENT,
    folds=EXPERIMENT.folds[:1],
    division=Division(split="test"),
    recipe="published",
    evaluation=evaluation(
        ModelScore("lr:resnet50", [0.8]), ModelScore("mean", [0.9]), ModelScore("stack:published", [0.9])
    ),
)

REGRESSION = replace(
    EXPERIMENT,
    division=Division(task="regression", cv=3),
    joined=replace(JOINED, labels=np.arange(3781).astype(np.str_)),
    options=stack_options("regression", meta="svr"),
    findings=TargetFindings("stack:oof", "ridge:vgg16", None, {}, []),
    evaluation=Evaluation(
        results=[
            ModelScore("ridge:vgg16", [0.5, 0.6, 0.7], {"mae": [4, 5, 6], "rmse": [6.0, 6.0, 7.5]}, "r2"),
            ModelScore("mean", [0.4, 0.5, 0.6], {"mae": [5, 5, 6], "rmse": [6.0, 6.0, 7.5]}, "r2"),
            ModelScore("concat", [0.5, 0.6, 0.7], {"mae": [4, 5, 6], "rmse": [6.0, 6.0, 7.5]}, "r2"),
            ModelScore("stack:oof", [0.55, 0.61, 0.69], {"mae": [4, 4, 6], "rmse": [6.0, 6.0, 7.5]}, "r2"),
        ],
        predictions={},
        without={},
        chosen={},
    ),
)


def with_scores(stack: list[float]) -> Experiment:
    others = EXPERIMENT.evaluation.results[:4]
    return replace(EXPERIMENT, evaluation=evaluation(*others, ModelScore("stack:oof", stack)))


def test_rows_show_mean_spread_and_every_fold() -> None:
    assert table.header(EXPERIMENT) == ["model", "accuracy", "± std", "fold 1", "fold 2", "fold 3", "what it is"]
    assert table.rows(EXPERIMENT)[0] == [
        "lr:resnet50",
        "0.810",
        "0.008",
        "0.800",
        "0.810",
        "0.820",
        "logistic regression on resnet50",
    ]
    assert table.model_row(EXPERIMENT) == 4
    assert table.title(EXPERIMENT) == "photos: 3,781 images, 10 classes, 3 folds, seed 0; the model is stack:oof"


def test_other_metrics_have_columns_where_a_model_has_them() -> None:
    scores = evaluation(
        ModelScore("svm:vgg19", [0.7, 0.8], {"macro_f1": [0.6, 0.7], "top5": [0.9, 1.0]}),
        ModelScore(
            "stack:oof",
            [0.8, 0.9],
            {"macro_f1": [0.7, 0.9], "top5": [1.0, 1.0], "log_loss": [0.5, 0.25], "calibration_error": [0.02, 0.04]},
        ),
    )
    shown = replace(EXPERIMENT, evaluation=scores)
    assert table.header(shown)[:7] == ["model", "accuracy", "± std", "macro-F1", "top-5", "log-loss", "cal. error"]
    assert [row[3:7] for row in table.rows(shown)] == [
        ["0.650", "0.950", "-", "-"],
        ["0.800", "1.000", "0.375", "0.030"],
    ]
    assert all(len(row) == len(table.header(shown)) for row in table.rows(shown))


def test_many_folds_are_not_shown_one_by_one() -> None:
    six = [0.8, 0.81, 0.82] * 2
    shown = replace(
        EXPERIMENT,
        division=Division(cv=3, repeats=2),
        evaluation=evaluation(ModelScore("lr:a", six), ModelScore("mean", six), ModelScore("stack:oof", six)),
    )
    assert table.header(shown) == ["model", "accuracy", "± std", "what it is"]
    assert table.title(shown) == "photos: 3,781 images, 10 classes, 2 times 3 folds, seed 0; the model is stack:oof"
    assert all(len(row) == 4 for row in table.rows(shown))


def test_single_split_has_no_spread() -> None:
    assert table.header(SINGLE) == ["model", "accuracy", "what it is"]
    assert table.rows(SINGLE)[2][:2] == ["stack:published", "0.900"]
    assert "tested on 'test'" in table.title(SINGLE)
    assert "folds" not in told(SINGLE)
    assert "no better than the plain mean" in told(SINGLE)


def test_every_model_is_described_in_words() -> None:
    described = {model: EXPERIMENT.describe(model) for model in ("svm:timm:vit", "mean", "concat", "stack:oof")}
    assert described == {
        "svm:timm:vit": "linear SVM on timm:vit",
        "mean": "mean of the backbones' probabilities",
        "concat": "logistic regression on all features side by side",
        "stack:oof": "linear SVM on out-of-fold probabilities",
    }
    assert EXPERIMENT.describe("stack:published") == "linear SVM on averaged in-sample probabilities"


@pytest.mark.parametrize(
    ("meta", "scores", "combine", "words"),
    [
        ("lr", "probability", "concat", "logistic regression on out-of-fold probabilities"),
        ("svm", "log-probability", "average", "linear SVM on averaged out-of-fold log-probabilities"),
        ("lr", "decision", "concat", "logistic regression on out-of-fold decision values"),
        ("mean", "probability", "concat", "calibrated mean of the backbones' probabilities"),
    ],
)
def test_the_meta_learner_is_described_as_asked_for(meta: str, scores: str, combine: str, words: str) -> None:
    options = stack_options(meta=meta, scores=scores, combine=combine)
    assert replace(EXPERIMENT, options=options).describe("stack:oof") == words


def test_verdict_gives_the_gain_and_the_folds_won() -> None:
    assert told(EXPERIMENT) == (
        "stack:oof (0.850) beats the best single backbone, lr:resnet50 (0.810), by 4.0 points, ahead in 2 of 3 folds. "
        "stack:oof is 4.0 points above the plain mean (0.810)."
    )


def test_verdict_says_when_stacking_does_not_help() -> None:
    assert told(with_scores([0.7, 0.7, 0.7])) == (
        "stack:oof (0.700) is 11.0 points below the best single backbone, lr:resnet50 (0.810): "
        "stacking does not help here; --backbones resnet50 uses that one alone."
    )
    assert "does not beat the best single backbone" in told(with_scores([0.8, 0.81, 0.82]))


@pytest.mark.parametrize(
    ("mean", "concat", "advice"),
    [
        (0.85, 0.8, "the plain mean (0.850) does better, and --recipe mean uses and saves it."),
        (0.8, 0.9, "the plain concat (0.900) does better, and --recipe concat uses and saves it."),
        (0.8, 0.75, "stacking does not help here; --backbones 'a b' uses that one alone."),
    ],
)
def test_a_model_below_its_best_member_is_said_first_with_what_to_do(mean: float, concat: float, advice: str) -> None:
    names = ("lr:a b", "lr:vgg19", "mean", "concat", "stack:oof")
    means = (0.82, 0.7, mean, concat, 0.7)
    scores = [ModelScore(name, [score] * 3) for name, score in zip(names, means, strict=True)]
    sentence = told(replace(EXPERIMENT, evaluation=evaluation(*scores)))
    assert sentence.startswith("stack:oof (0.700) is 12.0 points below the best single backbone, lr:a b (0.820): ")
    assert sentence.endswith(advice)


@pytest.mark.parametrize("logistic", [0.6, 0.7, 0.8])
def test_where_a_linear_svm_is_best_the_advice_says_what_its_backbone_alone_scores(logistic: float) -> None:
    names = ("lr:a", "lr:b", "svm:a", "svm:b", "mean", "concat", "stack:oof")
    means = (logistic, 0.5, 0.82, 0.6, 0.6, 0.6, 0.6)
    scores = [ModelScore(name, [score] * 3) for name, score in zip(names, means, strict=True)]
    assert told(replace(EXPERIMENT, evaluation=evaluation(*scores))).endswith(
        f"--backbones a uses that one alone, by its logistic regression ({logistic:.3f})."
    )


@pytest.mark.parametrize(
    ("logistic", "mean", "concat", "advice"),
    [
        (0.55, 0.6, 0.6, "no recipe fits that SVM alone, and lr:a (0.550) is worse than stack:oof."),
        (0.55, 0.65, 0.6, "the plain mean (0.650) does better, and --recipe mean uses and saves it."),
        (0.7, 0.6, 0.82, "the plain concat (0.820) does better, and --recipe concat uses and saves it."),
        (0.7, 0.7, 0.7, "--backbones a uses that one alone, by its logistic regression (0.700)."),
    ],
)
def test_where_a_linear_svm_is_best_nothing_worse_than_what_can_be_had_is_advised(
    logistic: float, mean: float, concat: float, advice: str
) -> None:
    names = ("lr:a", "lr:b", "svm:a", "svm:b", "mean", "concat", "stack:oof")
    means = (logistic, 0.5, 0.82, 0.6, mean, concat, 0.6)
    scores = [ModelScore(name, [score] * 3) for name, score in zip(names, means, strict=True)]
    assert told(replace(EXPERIMENT, evaluation=evaluation(*scores))).endswith(advice)


@pytest.mark.parametrize(
    ("heads", "best", "advice"),
    [
        ("lda,knn", "lda:a b", "--backbones 'a b' --heads lda uses that one alone."),
        ("lda,knn", "lr:a b", "--backbones 'a b' --heads lr uses that one alone."),
        ("lr,lda", "knn:a b", "--backbones 'a b' --heads knn uses that one alone."),
        ("lda", "svm:a b", "--backbones 'a b' --heads lr uses that one alone, by its logistic regression (0.500)."),
    ],
)
def test_advice_beside_heads_names_the_head_of_the_one_backbone(heads: str, best: str, advice: str) -> None:
    means = {**dict.fromkeys(["lr:a b", "lr:c", "mean", "concat", "stack:oof"], 0.5), best: 0.82}
    scores = [ModelScore(name, [score] * 3) for name, score in means.items()]
    shown = replace(EXPERIMENT, options=stack_options(heads=heads), evaluation=evaluation(*scores))
    assert told(shown).endswith(advice)


@pytest.mark.parametrize(
    ("heads", "plain", "uses"),
    [
        ("lda,knn", "mean", "uses it"),
        ("prototype", "mean", "uses it"),
        ("lr,lda", "mean", "uses and saves it"),
        ("lda,knn", "concat", "uses and saves it"),
    ],
)
def test_no_model_is_said_to_be_saved_that_no_file_can_hold(heads: str, plain: str, uses: str) -> None:
    means = {**dict.fromkeys(["lr:a", "lr:b", "mean", "concat"], 0.7), "stack:oof": 0.6, plain: 0.9}
    scores = [ModelScore(name, [score] * 3) for name, score in means.items()]
    shown = replace(EXPERIMENT, options=stack_options(heads=heads), evaluation=evaluation(*scores))
    assert told(shown).endswith(f"the plain {plain} (0.900) does better, and --recipe {plain} {uses}.")


def test_the_verdict_speaks_of_the_recipe_asked_for_and_not_of_the_best_row() -> None:
    scores = [*EXPERIMENT.evaluation.results, ModelScore("stack:published", [0.95, 0.95, 0.95])]
    shown = replace(EXPERIMENT, evaluation=evaluation(*scores))
    assert told(shown).startswith("stack:oof (0.850) beats")
    assert table.model_row(shown) == 4
    published = replace(shown, recipe="published")
    assert told(published).startswith("stack:published (0.950) beats")
    assert table.title(published).endswith("; the model is stack:published")
    assert table.model_row(published) == 5


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            Difference(0.04, -0.0123, 0.0923, 0.1, RESAMPLED_T),
            "95% interval of the difference: -1.2 to +9.2 points (corrected resampled t), "
            "so this may be chance; more --repeats would narrow it.",
        ),
        (
            Difference(0.04, 0.0123, 0.0677, 0.02, RESAMPLED_T, 0.9),
            "90% interval of the difference: +1.2 to +6.8 points (corrected resampled t).",
        ),
        (
            Difference(-0.25, -5.752, 5.252, 0.6, RESAMPLED_T),
            "95% interval of the difference: -100.0 to +100.0 points (corrected resampled t), "
            "so this may be chance; more --repeats would narrow it.",
        ),
        (
            Difference(0.04, None, None, None, RESAMPLED_T),
            "Every fold gives the same difference, so no interval can be given; more --repeats would give one.",
        ),
    ],
)
def test_verdict_says_how_sure_the_difference_is(difference: Difference, words: str) -> None:
    found = replace(FINDINGS, difference=difference)
    said = verdict(EXPERIMENT)
    assert told(replace(EXPERIMENT, findings=found)) == f"{said.comparison} {words} {said.beside}"


def test_a_gain_is_clear_only_where_an_interval_leaves_out_zero() -> None:
    ends = {(0.01, 0.07): True, (-0.01, 0.09): False, (None, None): False}
    for (low, high), is_clear in ends.items():
        found = replace(FINDINGS, difference=Difference(0.04, low, high, None, RESAMPLED_T))
        assert verdict(replace(EXPERIMENT, findings=found)).is_clear is is_clear


def test_a_single_split_is_not_told_to_repeat() -> None:
    found = replace(FINDINGS, difference=Difference(0.1, -0.02, 0.2, 0.1, BOOTSTRAP))
    sentence = told(replace(SINGLE, findings=found))
    assert "-2.0 to +20.0 points (paired bootstrap over images), so this may be chance" in sentence
    assert "--repeats" not in sentence, "--split and --repeats exclude each other"


def test_a_single_split_without_spread_has_no_folds_to_speak_of() -> None:
    found = replace(FINDINGS, difference=Difference(0.0, None, None, 1.0, BOOTSTRAP))
    sentence = told(replace(SINGLE, findings=found))
    assert "no interval" in sentence
    assert "fold" not in sentence


def test_lessons_name_what_each_backbone_adds_and_where_the_stack_errs() -> None:
    found = lines(replace(EXPERIMENT, findings=FINDINGS))
    assert found[0].startswith("stack:oof without one backbone, in points: resnet50 -2.1, vgg19 +0.4, alexnet ")
    assert found[1:] == [
        "at least one backbone is right on 92.3% of the images; resnet50 and alexnet share the fewest errors "
        "(25% of those that either makes)",
        "weakest classes (F1): hat 0.50, skirt 0.60, shoe 0.70",
        "most often mistaken: hat for coat (9), hat for coat (8), hat for coat (7)",
        "confidently wrong, or mislabelled: hat/0.jpg is labelled hat, taken for coat",
        "confidently wrong, or mislabelled: hat/1.jpg is labelled hat, taken for coat",
        "confidently wrong, or mislabelled: hat/2.jpg is labelled hat, taken for coat",
    ]


def test_a_backbone_that_changes_nothing_has_no_sign() -> None:
    line = lines(replace(EXPERIMENT, findings=FINDINGS))[0]
    assert "-0.0" not in line


def test_lessons_leave_out_what_there_is_none_of() -> None:
    alone = replace(
        FINDINGS,
        ablation={},
        overlap=ErrorOverlap(["resnet50"], np.ones((1, 1)), [0.0], 1.0),
        confused=[],
        wrong=[],
    )
    faultless = replace(alone, overlap=ErrorOverlap(["resnet50", "vgg19"], np.eye(2), [0.0, 0.0], 1.0))
    for found in (alone, faultless):
        assert lines(replace(EXPERIMENT, findings=found)) == ["weakest classes (F1): hat 0.50, skirt 0.60, shoe 0.70"]
    assert lines(EXPERIMENT) == []


def test_perfect_classes_are_not_weak() -> None:
    perfect = [replace(each, f1=f1) for each, f1 in zip(FINDINGS.classes, cycle([1.0, 0.997]), strict=False)]
    for classes, said in (
        (perfect, []),
        ([*perfect, replace(FINDINGS.classes[0], name="sock", f1=0.99)], ["weakest classes (F1): sock 0.99"]),
    ):
        found = lines(replace(EXPERIMENT, findings=replace(FINDINGS, classes=classes)))
        assert [line for line in found if line.startswith("weakest")] == said


def test_a_class_that_was_not_tested_is_not_weak() -> None:
    kept = replace(FINDINGS, classes=[*FINDINGS.classes, ClassReport("rare", 0, 0.0, 0.0, 0.0)])
    assert not any("rare" in line for line in lines(replace(EXPERIMENT, findings=kept)))


def test_a_regression_is_shown_in_its_own_unit() -> None:
    assert table.title(REGRESSION) == "photos: 3,781 images, a number each, 3 folds, seed 0; the model is stack:oof"
    assert table.header(REGRESSION)[:5] == ["model", "R²", "± std", "MAE", "RMSE"]
    assert table.rows(REGRESSION)[0][:5] == ["ridge:vgg16", "0.600", "0.082", "5.000", "6.500"]
    assert [row[-1] for row in table.rows(REGRESSION)] == [
        "ridge regression on vgg16",
        "mean of the backbones' predictions",
        "ridge regression on all features side by side",
        "linear SVR on out-of-fold predictions",
    ]
    assert table.model_row(REGRESSION) == 3
    assert told(REGRESSION) == (
        "stack:oof (0.617) beats the best single backbone, ridge:vgg16 (0.600), by 0.017, ahead in 2 of 3 folds. "
        "stack:oof is 0.017 above the plain concat (0.600)."
    )
    assert lines(REGRESSION) == []


def test_a_regression_that_stacking_does_not_help_says_so() -> None:
    worse = [*REGRESSION.evaluation.results[:3], ModelScore("stack:oof", [0.5, 0.5, 0.5], {}, "r2")]
    shown = replace(REGRESSION, evaluation=Evaluation(results=worse, predictions={}, without={}, chosen={}))
    assert told(shown) == (
        "stack:oof (0.500) is 0.100 below the best single backbone, ridge:vgg16 (0.600): "
        "stacking does not help here; --backbones vgg16 uses that one alone."
    )


@pytest.mark.parametrize("score", [0.9, 0.81, 0.7])
@pytest.mark.parametrize("single", ["lr:resnet50", "ridge:resnet50"])
def test_one_backbone_is_no_stack_whatever_it_scores(score: float, single: str) -> None:
    scores = evaluation(ModelScore(single, [0.8, 0.81, 0.82]), ModelScore("stack:oof", [score] * 3))
    base = EXPERIMENT if single.startswith("lr") else REGRESSION
    alone = replace(base, joined=replace(base.joined, names=["resnet50"]), evaluation=scores)
    assert told(alone) == (
        f"With one backbone there is nothing to stack: {single} scores 0.810. "
        "Embed the images with another one too, to compare and to stack."
    )


def test_a_score_whose_title_does_not_say_it_is_explained() -> None:
    assert table.footnotes(EXPERIMENT) == []
    scores = evaluation(
        ModelScore("lr:resnet50", [0.8, 0.9], {"log_loss": [0.5, 0.5], "calibration_error": [0.0, 0.1]})
    )
    [note] = table.footnotes(replace(EXPERIMENT, evaluation=scores))
    assert note.startswith("cal. error: how far the probability of the predicted class is from the share that is right")
    assert "mean over folds" in note


def test_a_regression_has_an_interval_and_its_largest_errors() -> None:
    worst = [TargetError(f"cats/{i}.jpg", 45.5, 61.23456) for i in range(5)]
    difference = Difference(0.017, -0.005, 0.039, 0.1, RESAMPLED_T)
    found = TargetFindings("stack:oof", "ridge:vgg16", difference, {"vgg16": 0.02, "resnet50": 0.0}, worst)
    shown = replace(REGRESSION, findings=found)
    assert told(shown).endswith(
        "95% interval of the difference: -0.005 to +0.039 (corrected resampled t), so this may be chance; "
        "more --repeats would narrow it. stack:oof is 0.017 above the plain concat (0.600)."
    )
    assert lines(shown) == [
        "stack:oof without one backbone, in R²: vgg16 -0.020, resnet50 0.000",
        *[f"furthest off, or mislabelled: cats/{i}.jpg is labelled 45.5, taken for 61.23" for i in range(3)],
    ]


STEERED = replace(EXPERIMENT, steered={"vit_toast": ["vit_toast-a", "vit_toast-b", "vit_toast-a"]}, findings=FINDINGS)


def test_lessons_say_which_features_of_a_steered_backbone_the_folds_took() -> None:
    line = (
        "vit_toast is steered: each fold uses features whose steering never saw the fold's test part "
        "(vit_toast-a, vit_toast-b); the steering did see labels of the training part, so the stack may trust this "
        "backbone too much"
    )
    assert lines(STEERED)[0] == line
    assert lines(STEERED)[1:] == lines(replace(EXPERIMENT, findings=FINDINGS))
    assert lines(replace(STEERED, findings=NOTHING)) == [line]


def test_repeats_are_not_advised_where_steerings_are_of_one_division() -> None:
    assert "so this may be chance; more --repeats" in told(replace(STEERED, steered={}))
    assert told(STEERED).endswith("so this may be chance. stack:oof is 4.0 points above the plain mean (0.810).")
