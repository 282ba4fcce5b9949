"""A finished stack predicts what its parts say, and refuses parts or features that do not fit."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.cache import FeatureSpec, ModelError, UsageError, feature_set_id
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, hash_digests
from stackbone.stack.solvers.linear import LinearMap

DIMS = {"resnet50": 5, "timm:resnet18.a1_in1k": 4}
CLASSES = ["coat", "hat", "shoe"]


def made_spec(seed: int = 0) -> FeatureSpec:
    half = (0.5, 0.5, 0.5)
    return FeatureSpec("net.tag", f"sha256:{seed:064x}", (224, 224), 0.875, "center", "bicubic", half, half, "avg")


def made_map(seed: int, dim: int, n_outputs: int) -> LinearMap:
    rng = np.random.default_rng(seed)
    coef = rng.normal(size=(dim, n_outputs)).astype(np.float32)
    return LinearMap(coef, rng.normal(size=n_outputs).astype(np.float32))


def made_model(
    *, scores: str = "probability", combine: str = "concat", learner: str = "svm", classes: list[str] | None = None
) -> StackModel:
    """Return a stack of two backbones with random coefficients."""
    classes = CLASSES if classes is None else classes
    k = len(classes)
    n_inputs = k * (len(DIMS) if combine == "concat" else 1)
    backbones = [ModelBackbone(name, feature_set_id(name, made_spec(i)), made_spec(i)) for i, name in enumerate(DIMS)]
    return StackModel(
        task="classification",
        classes=classes,
        backbones=backbones,
        bases=[made_map(i, dim, k) for i, dim in enumerate(DIMS.values())],
        learner=learner,
        scores=scores,
        combine=combine,
        meta_linear=None if learner == "mean" else made_map(9, n_inputs, k),
        scale=1.7,
        n_images=40,
        digests_sha256="ab" * 32,
        score={"accuracy": "0.905 ± 0.004 (3 folds)"},
        versions={"numpy": "2.0"},
        created="2026-01-01T00:00:00+00:00",
    )


def made_regression() -> StackModel:
    return replace(
        made_model(),
        task="regression",
        classes=[],
        bases=[made_map(i, dim, 1) for i, dim in enumerate(DIMS.values())],
        learner="linear",
        scores="decision",
        meta_linear=made_map(9, len(DIMS), 1),
        scale=1.0,
        score={"R2": 0.91234},
    )


def made_blocks(n: int = 6) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=(n, dim)).astype(np.float32) for name, dim in DIMS.items()}


def plain_probabilities(model: StackModel, blocks: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return what the docstrings promise, written down plainly, image by image."""
    rows = []
    for i in range(len(next(iter(blocks.values())))):
        seen = []
        for backbone, base in zip(model.backbones, model.bases, strict=True):
            decision = blocks[backbone.name][i].astype(np.float64) @ base.coef + base.intercept
            probability = softmax(decision)
            seen.append(
                {"probability": probability, "log-probability": np.log(probability), "decision": decision}[model.scores]
            )
        if model.meta_linear is None:
            answer = np.log(np.mean(seen, axis=0))
        else:
            features = np.concatenate(seen) if model.combine == "concat" else np.mean(seen, axis=0)
            answer = features @ model.meta_linear.coef + model.meta_linear.intercept
        rows.append(softmax(model.scale * answer))
    return np.array(rows)


@pytest.mark.parametrize("combine", ["concat", "average"])
@pytest.mark.parametrize("scores", ["probability", "log-probability", "decision"])
def test_probabilities_are_those_of_the_parts_put_together(scores: str, combine: str) -> None:
    model, blocks = made_model(scores=scores, combine=combine), made_blocks()
    found = model.log_probabilities(blocks)
    assert found.dtype == np.float64
    np.testing.assert_allclose(np.exp(found), plain_probabilities(model, blocks), rtol=2e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0)


def test_the_mean_needs_no_coefficients() -> None:
    model, blocks = made_model(learner="mean"), made_blocks()
    np.testing.assert_allclose(np.exp(model.log_probabilities(blocks)), plain_probabilities(model, blocks), rtol=2e-5)


def test_two_classes_have_two_columns() -> None:
    model, blocks = made_model(classes=["no", "yes"]), made_blocks()
    np.testing.assert_allclose(np.exp(model.log_probabilities(blocks)), plain_probabilities(model, blocks), rtol=2e-5)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    model, blocks = made_model(), made_blocks()
    alone = model.log_probabilities({name: block[2:3] for name, block in blocks.items()})
    np.testing.assert_allclose(model.log_probabilities(blocks)[2:3], alone, rtol=1e-5)


def test_no_images_give_no_rows() -> None:
    assert made_model().log_probabilities(made_blocks(0)).shape == (0, 3)


def test_values_of_a_regression_are_those_of_the_parts_put_together() -> None:
    model, blocks = made_regression(), made_blocks()
    bases = zip(model.backbones, model.bases, strict=True)
    seen = np.hstack([blocks[backbone.name] @ base.coef + base.intercept for backbone, base in bases])
    assert model.meta_linear is not None
    expected = (seen @ model.meta_linear.coef + model.meta_linear.intercept)[:, 0]
    np.testing.assert_allclose(model.predict_values(blocks), expected, rtol=1e-5)


def test_the_other_task_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="predict_values"):
        made_regression().log_probabilities(made_blocks())
    with pytest.raises(UsageError, match="log_probabilities"):
        made_model().predict_values(made_blocks())


def test_features_that_do_not_fit_are_refused() -> None:
    model, blocks = made_model(), made_blocks()
    with pytest.raises(ModelError, match=r"'resnet50' are missing; there are timm:resnet18\.a1_in1k"):
        model.log_probabilities({"timm:resnet18.a1_in1k": blocks["timm:resnet18.a1_in1k"]})
    with pytest.raises(ModelError, match=r"'resnet50' have shape \(6, 3\), expected \(6, 5\)"):
        model.log_probabilities({**blocks, "resnet50": blocks["resnet50"][:, :3]})
    with pytest.raises(ModelError, match=r"'timm:resnet18\.a1_in1k' have shape \(6, 4\), expected \(2, 4\)"):
        model.log_probabilities({**blocks, "resnet50": blocks["resnet50"][:2]})
    blocks["resnet50"][4, 1] = np.nan
    with pytest.raises(ModelError, match="'resnet50' are not finite in row 4"):
        model.log_probabilities(blocks)


def not_finite(linear: LinearMap) -> LinearMap:
    coef = linear.coef.copy()
    coef[1, 1] = np.inf
    return LinearMap(coef, linear.intercept)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"task": "clustering"},
            "task is 'clustering', expected one of classification, multilabel, multitarget, ",
        ),
        ({"learner": "forest"}, "meta-learner is 'forest', expected one of svm, lr, convex, greedy, mean"),
        ({"scores": "ranks"}, "scores is 'ranks'"),
        ({"combine": "sum"}, "combination is 'sum'"),
        ({"classes": ["hat", "hat", "coat"]}, "3 class names, 2 of them distinct"),
        ({"classes": ["hat"]}, "1 class names"),
        ({"scale": 0.0}, "calibration factor is 0.0"),
        ({"scale": float("nan")}, "calibration factor is nan"),
        ({"n_images": 0}, "fitted on 0 images"),
        ({"digests_sha256": "ab"}, "64 hex digits"),
        ({"backbones": [], "bases": []}, "no backbone"),
        ({"backbones": [made_model().backbones[0]] * 2}, "two of its backbones have one name"),
        ({"bases": made_model().bases[:1]}, "1 base learners for 2 backbones"),
        (
            {"backbones": [replace(made_model().backbones[0], spec=made_spec(7)), made_model().backbones[1]]},
            "the spec of 'resnet50' is not that of the feature set",
        ),
        ({"meta_linear": None}, "coefficients lack"),
        ({"learner": "mean"}, "coefficients exist"),
        ({"meta_linear": made_map(0, 3, 3)}, r"the meta-learner has coefficients of shape \(3, 3\).*expected \(6, 3\)"),
        ({"combine": "average"}, r"the meta-learner has coefficients of shape \(6, 3\).*expected \(3, 3\)"),
        ({"bases": [made_map(0, 5, 2), made_map(0, 4, 3)]}, r"base learner of resnet50 .*expected \(dim, 3\)"),
        ({"bases": [made_map(0, 0, 3), made_map(0, 4, 3)]}, "base learner of resnet50 has coefficients of shape"),
        ({"bases": [not_finite(made_map(0, 5, 3)), made_map(0, 4, 3)]}, "resnet50 has numbers that are not finite"),
        (
            {"bases": [LinearMap(np.zeros((5, 3)), np.zeros(3)), made_map(0, 4, 3)]},  # type: ignore[arg-type]
            "numbers of type float64",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        replace(made_model(), **changes)  # type: ignore[arg-type]


def test_a_regression_has_no_classes() -> None:
    with pytest.raises(ModelError, match="regression and has class names"):
        replace(made_regression(), classes=["hat", "coat"])


def test_the_description_names_backbones_and_score() -> None:
    assert made_model().describe() == (
        "3 classes by svm on resnet50, timm:resnet18.a1_in1k; 40 training images; "
        "on unseen images: accuracy 0.905 ± 0.004 (3 folds)"
    )
    assert "on unseen images: R2 0.912" in made_regression().describe()
    assert replace(made_model(), score={}).describe().endswith("never scored")


def test_the_hash_of_the_training_images_forgets_order_and_doubles() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (5, 32), dtype=np.uint8)
    digests[:, 31] = 0  # a trailing zero byte belongs to a digest
    expected = hashlib.sha256(b"".join(sorted(row.tobytes() for row in digests))).hexdigest()
    assert hash_digests(digests) == expected
    assert hash_digests(digests[[4, 2, 0, 1, 3, 2]]) == expected
    assert hash_digests(digests[:4]) != expected
