"""What the scores mean, checked against predictions made by hand."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.evaluation.evaluate import WITHOUT
from stackbone.stack.evaluation.findings import find
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import BOOTSTRAP, RESAMPLED_T, paired_difference
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
from stackbone.stack.tasks.class_findings import ClassFindings
from stackbone.stack.tasks.registry import TASKS

Y = np.array(["ape", "bee", "cow", "ape", "bee", "cow", "ape", "bee", "cow"])
CODES = np.arange(9) % 3
PATHS = [f"{name}/{i}.jpg" for i, name in enumerate(Y)]
FOLDS = [Fold.testing(np.arange(start, start + 3), 9) for start in (0, 3, 6)]


def sure(answers: list[int], confidence: list[float]) -> NDArray[np.float64]:
    """Return log-probabilities that name these classes, the other two sharing the rest."""
    p = np.repeat((1 - np.array(confidence))[:, None] / 2, 3, axis=1)
    p[np.arange(len(answers)), answers] = confidence
    return np.log(p)


def in_folds(scores: NDArray[np.float64], folds: list[Fold], *, probability: bool = True) -> list[Prediction]:
    return [Prediction(scores[fold.test], probability=probability) for fold in folds]


def accuracies(model: str, predictions: list[Prediction], folds: list[Fold]) -> ModelScore:
    pairs = zip(predictions, folds, strict=True)
    return ModelScore(model, [float((p.scores.argmax(axis=1) == CODES[f.test]).mean()) for p, f in pairs])


def answers_but(wrong: dict[int, int]) -> list[int]:
    return [wrong.get(i, int(code)) for i, code in enumerate(CODES)]


# The stack errs on rows 1 and 8; resnet50 on 1, 2, 4 and 8; vgg19 on 1, 3, 5, 6 and 7.
STACK = sure(answers_but({1: 2, 8: 0}), [0.9, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8])
RESNET = sure(answers_but({1: 0, 2: 0, 4: 0, 8: 0}), [0.9] * 9)
VGG = sure(answers_but({1: 2, 3: 1, 5: 1, 6: 1, 7: 0}), [0.9] * 9)


def made(folds: list[Fold], models: dict[str, list[Prediction]]) -> Evaluation:
    scores = {model: accuracies(model, each, folds) for model, each in models.items()}
    return Evaluation(
        results=[score for model, score in scores.items() if not model.startswith(WITHOUT)],
        predictions=models,
        without={m.removeprefix(WITHOUT): score for m, score in scores.items() if m.startswith(WITHOUT)},
        chosen={},
    )


def complete(folds: list[Fold]) -> Evaluation:
    return made(
        folds,
        {
            "lr:resnet50": in_folds(RESNET, folds),
            "lr:vgg19": in_folds(VGG, folds),
            "svm:resnet50": in_folds(VGG, folds, probability=False),
            "mean": in_folds(RESNET, folds),
            "concat": in_folds(RESNET, folds),
            "stack:oof": in_folds(STACK, folds),
            "stack:published": in_folds(VGG, folds, probability=False),
            "without:resnet50": in_folds(VGG, folds),
            "without:vgg19": in_folds(sure(answers_but({8: 0}), [0.9] * 9), folds),
        },
    )


def find_classes(
    evaluation: Evaluation,
    y: NDArray[np.str_],
    folds: list[Fold],
    paths: list[str],
    **asked: Any,  # noqa: ANN401 - passed on
) -> ClassFindings:
    task = TASKS["classification"]
    found = find(task, evaluation, task.read(y), folds, paths, **asked)
    assert isinstance(found, ClassFindings)
    return found


@pytest.fixture(scope="module")
def found() -> ClassFindings:
    return find_classes(complete(FOLDS), Y, FOLDS, PATHS, seed=0)


def test_the_best_stack_meets_the_best_single_backbone(found: ClassFindings) -> None:
    assert (found.stack, found.single) == ("stack:oof", "lr:resnet50")
    stack, single = [2 / 3, 1, 2 / 3], [1 / 3, 2 / 3, 2 / 3]
    assert found.difference == paired_difference(stack, single, n_train=6, n_test=3)
    assert found.difference.mean == pytest.approx(2 / 9)
    assert found.difference.method == RESAMPLED_T


def test_a_backbone_that_helps_is_missed_and_one_that_harms_is_not(found: ClassFindings) -> None:
    assert found.ablation["resnet50"].mean == pytest.approx(7 / 9 - 4 / 9)
    assert found.ablation["vgg19"].mean == pytest.approx(7 / 9 - 8 / 9)


def test_the_overlap_is_of_the_backbones_alone(found: ClassFindings) -> None:
    assert found.overlap.names == ["resnet50", "vgg19"]
    assert found.overlap.wrong == pytest.approx([4 / 9, 5 / 9])
    assert found.overlap.jaccard[0, 1] == pytest.approx(1 / 8)  # row 1 of rows 1 to 8
    assert found.overlap.oracle == pytest.approx(8 / 9)


def test_wrong_images_come_by_confidence_with_path_label_and_answer(found: ClassFindings) -> None:
    assert found.stack == "stack:oof"
    assert [(each.path, each.label, each.predicted) for each in found.wrong] == [
        ("cow/8.jpg", "cow", "ape"),
        ("bee/1.jpg", "bee", "cow"),
    ]
    assert [each.score for each in found.wrong] == pytest.approx([0.8, 0.6])


def test_classes_and_confusions_are_of_the_examined_stack(found: ClassFindings) -> None:
    assert [(each.name, each.n) for each in found.classes] == [("ape", 3), ("bee", 3), ("cow", 3)]
    assert [each.recall for each in found.classes] == pytest.approx([1, 2 / 3, 2 / 3])
    assert {(each.true, each.predicted, each.n) for each in found.confused} == {("bee", "cow", 1), ("cow", "ape", 1)}
    assert sum(each.n for each in found.calibration) == 9


def test_the_findings_are_json(found: ClassFindings) -> None:
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["ablation"]["vgg19"]["mean"] == pytest.approx(-1 / 9)
    assert content["wrong"][0] == {
        "path": "cow/8.jpg",
        "label": "cow",
        "predicted": "ape",
        "score": pytest.approx(0.8),
    }
    assert content["overlap"]["jaccard"][0][1] == pytest.approx(1 / 8)


def test_a_single_split_is_compared_by_bootstrap_over_its_images() -> None:
    folds = [Fold.testing(np.arange(9), 12)]
    found = find_classes(complete(folds), np.concatenate([Y, Y[:3]]), folds, [*PATHS, "x", "y", "z"], seed=3)
    assert found.difference.method == BOOTSTRAP
    assert found.difference.mean == pytest.approx(2 / 9)  # the single errs on 1, 2, 4, 8 and the stack on 1, 8
    assert found.ablation["vgg19"].mean == pytest.approx(-1 / 9)
    assert found.ablation["vgg19"].method == BOOTSTRAP
    again = find_classes(complete(folds), np.concatenate([Y, Y[:3]]), folds, [*PATHS, "x", "y", "z"], seed=3)
    assert again.to_dict() == found.to_dict()


def test_repeats_count_and_list_an_image_once() -> None:
    folds = [*FOLDS, *FOLDS]
    hesitant = sure(answers_but({1: 2, 8: 0}), [0.5] * 9)
    hesitant[8] = np.log([0.05, 0.05, 0.9])  # right the second time, and surer than it was wrong
    stack = in_folds(STACK, FOLDS) + in_folds(hesitant, FOLDS)
    single = in_folds(RESNET, FOLDS) * 2
    found = find_classes(made(folds, {"lr:resnet50": single, "stack:oof": stack}), Y, folds, PATHS, seed=0)
    assert [each.path for each in found.wrong] == ["bee/1.jpg"]
    assert found.wrong[0].score == pytest.approx((0.6 + 0.5) / 2)
    assert sum(each.n for each in found.classes) == 9
    assert sum(each.n for each in found.calibration) == 18
    assert found.difference.mean == pytest.approx((2 / 9 + 3 / 9) / 2)


def test_images_that_no_fold_tests_are_not_counted() -> None:
    folds = FOLDS[:2]
    found = find_classes(complete(folds), Y, folds, PATHS, seed=0)
    assert [each.path for each in found.wrong] == ["bee/1.jpg"]
    assert [each.n for each in found.classes] == [2, 2, 2]


def test_published_alone_has_no_probabilities_and_no_ablation() -> None:
    models = {
        "lr:resnet50": in_folds(RESNET, FOLDS),
        "stack:published": in_folds(STACK, FOLDS, probability=False),
    }
    found = find_classes(made(FOLDS, models), Y, FOLDS, PATHS, seed=0, model="stack:published")
    assert found.stack == "stack:published"
    assert found.ablation == {}
    assert found.calibration == []
    assert [each.path for each in found.wrong] == ["cow/8.jpg", "bee/1.jpg"]  # by margin
    assert found.wrong[0].score == pytest.approx(np.log(0.8))
    json.dumps(found.to_dict(), allow_nan=False)


def test_at_most_twenty_images_and_pairs_are_listed() -> None:
    y = np.array([f"{i % 30:02}" for i in range(60)])
    folds = [Fold.testing(np.arange(30), 60), Fold.testing(np.arange(30, 60), 60)]
    wrong = np.log(np.full((60, 30), 0.5 / 29))
    wrong[np.arange(60), (np.arange(60) + 1) % 30] = np.log(0.5)
    right = np.roll(wrong, -1, axis=1)
    predictions = {"lr:a": in_folds(right, folds), "stack:oof": in_folds(wrong, folds)}
    scores = [ModelScore("lr:a", [1.0, 1.0]), ModelScore("stack:oof", [0.0, 0.0])]
    found = find_classes(
        Evaluation(results=scores, predictions=predictions, without={}, chosen={}),
        y,
        folds,
        [str(i) for i in range(60)],
        seed=0,
    )
    assert len(found.wrong) == 20
    assert len(found.confused) == 20
    assert found.difference.mean == -1
    assert found.difference.low is None


def test_an_evaluation_without_the_model_is_refused() -> None:
    evaluation = made(FOLDS, {"lr:resnet50": in_folds(RESNET, FOLDS)})
    with pytest.raises(ValueError, match="stack:oof"):
        find_classes(evaluation, Y, FOLDS, PATHS, seed=0)
