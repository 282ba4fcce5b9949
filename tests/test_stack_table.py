"""The table says what was measured and does not flatter."""

from dataclasses import replace

from stack import Evaluation, Experiment, ModelScore, table

EXPERIMENT = Experiment(
    dataset="photos",
    n_images=3781,
    n_classes=10,
    cv=3,
    split=None,
    seed=0,
    backbones={"resnet50": "resnet50-0123456789ab"},
    left_out={"unlabelled": 0, "failed": 0, "doubles": 0, "conflicting": 0},
    caveats=[],
    evaluation=Evaluation(
        [
            ModelScore("lr:resnet50", [0.8, 0.81, 0.82]),
            ModelScore("svm:resnet50", [0.7, 0.7, 0.7]),
            ModelScore("mean", [0.8, 0.81, 0.82]),
            ModelScore("concat", [0.8, 0.81, 0.82]),
            ModelScore("stack:oof", [0.85, 0.8, 0.9]),
        ]
    ),
)


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
    assert table.best_row(EXPERIMENT) == 4
    assert table.title(EXPERIMENT) == "photos: 3,781 images, 10 classes, 3 folds, seed 0"


def test_single_split_has_no_spread() -> None:
    single = replace(
        EXPERIMENT,
        cv=None,
        split="test",
        evaluation=Evaluation(
            [ModelScore("lr:resnet50", [0.8]), ModelScore("mean", [0.9]), ModelScore("stack:published", [0.9])]
        ),
    )
    assert table.header(single) == ["model", "accuracy", "what it is"]
    assert table.rows(single)[2][:2] == ["stack:published", "0.900"]
    assert "tested on 'test'" in table.title(single)
    assert "folds" not in table.verdict(single)
    assert "no better than the plain mean" in table.verdict(single)


def test_verdict_gives_the_gain_and_the_folds_won() -> None:
    assert table.verdict(EXPERIMENT) == (
        "stack:oof (0.850) beats the best single backbone, lr:resnet50 (0.810), by 4.0 points, ahead in 2 of 3 folds; "
        "it is 4.0 points above the plain mean (0.810)."
    )


def test_verdict_says_when_stacking_does_not_help() -> None:
    worse = [*EXPERIMENT.evaluation.results[:4], ModelScore("stack:oof", [0.7, 0.7, 0.7])]
    assert "does not beat the best single backbone" in table.verdict(replace(EXPERIMENT, evaluation=Evaluation(worse)))
