"""The images of a report: each once, the surest errors with every vote, examples that fit their pair, conflicts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.upkeep.summary import Conflict, summarise_dataset
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.experiments.used_features import UsedFeatures
from stackbone.stack.folds.folds import Fold
from stackbone.stack.metrics.confusion import ConfusedPair
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.report.gallery import Answers, ImageList, WrongPicture, picture_attention, picture_conflicts

CODES = np.arange(12, dtype=np.int64) % 3
ROWS = np.arange(12, dtype=np.int64) + 100  # the index has other rows before these


class Numbers(ImageList):
    """A list that needs no index: what is added is what is numbered."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}


def log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    return logs


def answers(*, repeats: int = 1) -> Answers:
    """Return the answers of a stack that takes image 4 (class 1) for 2, surely, and 6 (class 0) for 1, less so."""
    sure = np.full((12, 3), 0.01)
    sure[np.arange(12), CODES] = 1
    sure[4] = [0.02, 0.03, 0.95]
    sure[6] = [0.2, 0.7, 0.1]
    unsure = np.full((12, 3), 0.2)
    unsure[:, 0] = 0.6
    folds = [Fold.testing(np.arange(k, 12, 2), 12) for k in (0, 1)] * repeats

    def parts(p: NDArray[np.float64]) -> list[Prediction]:
        return [Prediction(log(p)[fold.test], probability=True) for fold in folds]

    svm = [Prediction(sure[fold.test], probability=False) for fold in folds]
    found = {"lr:a": parts(sure), "lr:b": parts(unsure), "svm:a": svm, "mean": parts(unsure), "stack:oof": parts(sure)}
    return Answers(found, folds, CODES, "stack:oof")


@pytest.mark.parametrize("repeats", [1, 2])
def test_the_surest_errors_come_first_with_the_vote_of_every_logistic_regression(repeats: int) -> None:
    images = Numbers()
    first, second = answers(repeats=repeats).wrong(images, ROWS)
    assert (first.image, first.true, first.predicted) == (0, 1, 2)
    assert (second.image, second.true, second.predicted) == (1, 0, 1)
    assert first.probability == pytest.approx(0.95)
    assert second.probability == pytest.approx(0.7)
    assert [(v.backbone, v.predicted) for v in first.votes] == [("a", 2), ("b", 0)]
    assert [v.probability for v in first.votes] == pytest.approx([0.95, 0.6])
    assert images.numbers(np.array([104, 106, 100])).tolist() == [0, 1, -1]


def test_decision_values_order_the_errors_and_are_no_probabilities() -> None:
    decisions = np.eye(3)[CODES]
    decisions[5] = [9, 0, 1]
    fold = Fold.testing(np.arange(12), 12)
    found = Answers(
        {"stack:published": [Prediction(decisions, probability=False)]}, [fold], CODES, "stack:published"
    ).wrong(Numbers(), ROWS)
    assert [(each.predicted, each.probability, each.votes) for each in found] == [(0, None, [])]


def test_examples_are_of_their_pair_the_surest_first() -> None:
    images, names = Numbers(), ["hat", "cap", "wig"]
    pairs = [ConfusedPair("cap", "wig", 1, 0.25), ConfusedPair("hat", "cap", 1, 0.25)]
    found = answers().pairs(pairs, names, images, ROWS)
    assert [(each.true, each.predicted, each.n, each.share) for each in found] == [(1, 2, 1, 0.25), (0, 1, 1, 0.25)]
    assert [each.examples for each in found] == [[0], [1]]
    assert images.numbers(np.array([104, 106])).tolist() == [0, 1]


def test_each_image_is_listed_once_with_its_copies(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> None:
    labels = ["a", "b", "a", "a"]
    index = make_cache(tmp_path, labels, content=[1, 2, 1, 1], root=tmp_path / "photos").dataset()
    images = ImageList(index)
    assert [images.add(row) for row in (2, 1, 2)] == [0, 1, 0]
    assert [(each.path, each.label, each.copies) for each in images.records()] == [
        ("a/2.jpg", "a", 3),
        ("b/1.jpg", "b", 1),
    ]
    assert [file.place for file in images.files()] == [
        str(tmp_path / "photos/a/2.jpg"),
        str(tmp_path / "photos/b/1.jpg"),
    ]


def test_conflicts_name_every_file_and_its_label(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> None:
    labels = ["hat", "cap", "hat", "hat", "wig"]
    index = make_cache(tmp_path, labels, content=[1, 1, 2, 2, 1]).dataset()
    images = ImageList(index)
    images.add(2)
    [found] = picture_conflicts(summarise_dataset(index).conflicts, images, index.path)
    assert (found.images, found.labels) == ([1, 2, 3], ["hat", "cap", "wig"])
    assert [each.path for each in images.records()[1:]] == ["hat/0.jpg", "cap/1.jpg", "wig/4.jpg"]


def test_of_many_conflicts_and_copies_the_first_are_shown() -> None:
    paths = [f"{i}.jpg" for i in range(900)]
    conflicts = [Conflict(paths[9 * i : 9 * i + 9], list("abababaab")) for i in range(100)]
    images = Numbers()
    found = picture_conflicts(conflicts, images, paths)
    assert len(found) == 40
    assert [len(each.images) for each in found] == [len(each.labels) for each in found] == [6] * 40


@pytest.fixture
def experiment(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> Experiment:
    store = make_cache(tmp_path, [f"class {i % 3}" for i in range(60)])
    return run_experiment(store, recipes=["oof"], options=StackOptions(c=0.1, inner_splits=2))


def test_attention_is_pictured_of_images_that_the_steering_never_saw(experiment: Experiment) -> None:
    plain = UsedFeatures("resnet50", [experiment.joined.feature_sets["resnet50"]], per_fold=False)
    steered = UsedFeatures("vit_toast", [experiment.joined.feature_sets["vgg19"]] * 3, per_fold=True)
    codes = np.unique(experiment.joined.labels, return_inverse=True)[1].astype(np.int64)
    test = experiment.folds[0].test
    images = ImageList(experiment.joined.index)
    seen, unseen = np.setdiff1d(np.arange(60), test)[0], test[5]
    wrong = [WrongPicture(images.add(row), 0, 1, 0.9, []) for row in (seen, unseen)]

    assert picture_attention(experiment, [plain], codes, wrong, images) == []
    found = picture_attention(experiment, [plain, steered], codes, wrong, images)
    assert {each.backbone for each in found} == {"vit_toast"}
    assert found[0].image == wrong[1].image
    assert len(found) == len({each.image for each in found}) == 12
    shown = images.numbers(test)
    assert {each.image for each in found} <= set(shown.tolist())
    other = replace(experiment, folds=[Fold.testing(np.arange(3), 60)])
    assert len(picture_attention(other, [steered], codes, [], ImageList(experiment.joined.index))) == 3
