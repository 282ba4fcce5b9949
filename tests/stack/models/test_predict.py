"""What a model says about images, ranked, and written for people, spreadsheets and programs."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, ModelError, feature_set_id
from stackbone.stack.models.answers import Answer, about_training, columns, table_columns, table_rows, to_columns
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, shorten_digests
from stackbone.stack.models.predict import agreement, predict, predict_from
from stackbone.stack.solvers.linear import LinearMap

PATHS = ["a.jpg", 'odd, "name"\n.jpg', "h\udce4t.jpg"]
BLOCKS = {"resnet50": np.array([[2, 0, 0], [0, 3, 0], [1, 1, 0]], np.float32)}


def made_model(classes: list[str]) -> StackModel:
    """Return the mean of one backbone, whose features are the decision values themselves."""
    half = (0.5, 0.5, 0.5)
    spec = FeatureSpec("net.tag", "sha256:00", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
    return StackModel(
        task="classification",
        classes=classes,
        backbones=[ModelBackbone("resnet50", feature_set_id("resnet50", spec), spec)],
        bases=[LinearMap(np.eye(3, len(classes), dtype=np.float32), np.zeros(len(classes), np.float32))],
        learner="mean",
        scores="probability",
        combine="concat",
        meta_linear=None,
        scale=1.0,
        n_images=40,
        digests_sha256="ab" * 32,
        score={},
        versions={},
        created="2026-01-01",
    )


def made_regression() -> StackModel:
    identity = LinearMap(np.ones((1, 1), np.float32), np.full(1, 0.1, np.float32))
    sum_of_features = LinearMap(np.ones((3, 1), np.float32), np.zeros(1, np.float32))
    return replace(
        made_model(["a", "b", "c"]),
        task="regression",
        classes=[],
        bases=[sum_of_features],
        learner="linear",
        scores="decision",
        meta_linear=identity,
    )


def test_classes_are_ranked_by_probability() -> None:
    found = predict(made_model(["coat", "hat", "shoe"]), PATHS, BLOCKS, top=2)
    assert [[name for name, _ in each.ranked] for each in found] == [["coat", "hat"], ["hat", "coat"], ["coat", "hat"]]
    e = np.exp(1.0)
    assert found[0].ranked[0][1] == pytest.approx(e**2 / (e**2 + 2), abs=1e-6)
    assert found[2].ranked[0][1] == found[2].ranked[1][1] == pytest.approx(e / (2 * e + 1), abs=1e-6)


@pytest.mark.parametrize("kind", ["classes", "two classes", "numbers"])
def test_answers_from_decisions_are_those_from_features(kind: str) -> None:
    model = made_regression() if kind == "numbers" else made_model(["coat", "hat", "shoe"][: 3 - (kind[0] == "t")])
    rows = BLOCKS["resnet50"]
    decisions = np.concatenate([model.decide("resnet50", rows[:1]), model.decide("resnet50", rows[1:])])
    assert predict_from(model, PATHS, [decisions]) == predict(model, PATHS, BLOCKS)
    with pytest.raises(ModelError, match=r"shape \(2, 2\), expected \(2, 3\)"):
        model.decide("resnet50", np.zeros((2, 2), np.float32))
    with pytest.raises(ModelError, match="not finite in row 1"):
        model.decide("resnet50", np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))


def test_there_are_no_more_answers_than_classes() -> None:
    found = predict(made_model(["coat", "hat"]), PATHS, BLOCKS, top=9)
    assert {len(each.ranked) for each in found} == {2}
    assert columns(found) == ["path", "class_1", "probability_1", "class_2", "probability_2", "trained_on"]
    assert sum(probability for _, probability in found[0].ranked) == pytest.approx(1.0, abs=1e-6)


def test_columns_survive_odd_names() -> None:
    found = predict(made_model(["coat", 'hat, "big"', "shoe"]), PATHS, BLOCKS, top=1)
    table = to_columns(found)
    assert list(table) == ["path", "class_1", "probability_1", "trained_on"]
    assert table["path"] == PATHS
    assert table["class_1"] == ["coat", 'hat, "big"', "coat"]
    assert table["probability_1"] == [each.ranked[0][1] for each in found]


def test_json_rows_have_the_columns_of_the_table() -> None:
    found = predict(made_model(["coat", "hat", "shoe"]), PATHS, BLOCKS, top=2)
    table = to_columns(found)
    rows = zip(*table.values(), strict=True)
    assert [each.to_dict() for each in found] == [dict(zip(table, row, strict=True)) for row in rows]
    assert found[1].to_dict()["class_1"] == "hat"


def test_the_table_is_short() -> None:
    found = predict(made_model(["coat", "hat", "shoe"]), PATHS, BLOCKS, top=1)
    assert table_rows(found)[0] == ["a.jpg", "coat", "0.787"]


def test_a_regression_gives_a_value_an_image() -> None:
    found = predict(made_regression(), PATHS, BLOCKS)
    assert [each.value for each in found] == [2.1, 3.1, 2.1]
    assert to_columns(found) == {"path": PATHS, "value": [2.1, 3.1, 2.1], "trained_on": [None] * 3}
    assert found[0].to_dict() == {"path": "a.jpg", "value": 2.1, "trained_on": None}
    assert table_rows(found)[0] == ["a.jpg", "2.1"]


@pytest.mark.parametrize("model", [made_model(["coat", "hat", "shoe"]), made_regression()], ids=["classes", "number"])
def test_images_that_the_model_was_fitted_on_are_said_to_be(model: StackModel) -> None:
    digests = np.random.default_rng(0).integers(256, size=(43, 32), dtype=np.uint8)
    knowing = replace(model, seen=shorten_digests(digests[3:]))
    for asked, known, words in (
        (digests[[0, 3, 42]], [False, True, True], r"2 of 3 images are among those that the model was fitted on"),
        (
            digests[[0, 1, 3]],
            [False, False, True],
            r"1 of 3 images is among .* of this one tells nothing of new images",
        ),
        (digests[:3], [False, False, False], None),
    ):
        found = predict(knowing, PATHS, BLOCKS, digests=asked)
        assert to_columns(found)["trained_on"] == known
        assert [each.to_dict()["trained_on"] for each in found] == known
        shown = [row[-1] for row in table_rows(found)]
        is_shown = shown == ["yes" if each else "no" for each in known]
        assert (is_shown, table_columns(found)[-1] == "trained_on") == (any(known), any(known))
        said = about_training(found)
        assert said is None if words is None else re.search(words, said or "")
    older = predict(model, PATHS, BLOCKS, digests=digests[:3])
    assert [each.trained_on for each in older] == [None] * 3
    assert "is unknown: its file is from before models recorded that" in str(about_training(older))


def test_a_value_of_zero_is_a_value() -> None:
    assert Answer("a.jpg", [], 0.0).to_dict() == {"path": "a.jpg", "value": 0.0, "trained_on": None}
    assert columns([Answer("a.jpg", [], 0.0)]) == ["path", "value", "trained_on"]


@pytest.mark.parametrize(
    ("rank", "title"), [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st")]
)
def test_less_probable_classes_are_counted_in_english(rank: int, title: str) -> None:
    answer = Answer("a.jpg", [(f"class {i}", 0.01) for i in range(rank)])
    assert table_columns([answer])[:3] == ["path", "class", "probability"]
    assert table_columns([answer])[-1] == title
    assert table_rows([answer])[0][-1] == f"class {rank - 1} 0.010"


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (["coat", "hat", "shoe"], "accuracy 0.667 on 3 labelled images"),
        (["", "hat", ""], "accuracy 1.000 on 1 labelled image"),
        (["", "", ""], None),
    ],
)
def test_answers_are_compared_with_the_labels_that_there_are(labels: list[str], line: str | None) -> None:
    found = agreement(predict(made_model(["coat", "hat", "shoe"]), PATHS, BLOCKS), labels)
    assert (found and found.line()) == line


def test_numbers_are_compared_with_the_labels_that_are_numbers() -> None:
    found = agreement(predict(made_regression(), PATHS, BLOCKS), ["2", "x", "3.1"])
    assert found is not None
    assert (found.n, found.metric) == (2, "MAE")
    assert found.value == pytest.approx((0.1 + 1.0) / 2)
