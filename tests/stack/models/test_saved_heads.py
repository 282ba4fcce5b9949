"""Stacks of heads and weighted means are saved as what was scored, and a forged file of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, ModelError, UsageError
from stackbone.stack import load_model, run_experiment, save_model, stack_options
from stackbone.stack.models.model import StackModel
from tests.conftest import MakeCache
from tests.stack.models.test_model_file import _set, made_model, metadata_of, rewrite

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 90
LABELS = [f"class {i % 3}" for i in range(N)]
NUMBERS = [str(i % 7) for i in range(N)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> FeatureStore:
    splits = ["test" if i % 4 == 0 else "train" for i in range(N)]
    return make_cache(tmp_path_factory.mktemp("cache"), LABELS, splits=splits)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> FeatureStore:
    splits = ["test" if i % 4 == 0 else "train" for i in range(N)]
    return make_cache(tmp_path_factory.mktemp("numbers"), NUMBERS, splits=splits)


def blocks_of_tested(store: FeatureStore, model: StackModel) -> dict[str, NDArray[np.float32]]:
    index = store.dataset()
    digests = index.image_sha256[np.array(index.split) == "test"]
    return model.blocks({each.id: each.load(digests) for each in store.feature_sets()})


def saved(
    store: FeatureStore,
    file: Path,
    recipe: str = "oof",
    task: str = "classification",
    **options: Any,  # noqa: ANN401
) -> tuple[StackModel, Any]:
    """Return the model of a recipe, fitted on the training part and read back, and what its row said of the others."""
    chosen = stack_options(task, inner_splits=3, **options)
    found = run_experiment(
        store, task=task, split="test", recipes=[recipe], options=chosen, with_model=True, train_only=True, n_jobs=1
    )
    assert found.model is not None
    save_model(replace(found.model, novelty=None), file)  # with features of training images it is version 6
    return load_model(file), found.evaluation.predictions[found.model_name][0].scores


@pytest.mark.parametrize("recipe", ["oof", "mean"])
@pytest.mark.parametrize("heads", ["lda", "ridge_classifier,lr", "lr,lda,ridge_classifier"])
@pytest.mark.parametrize("meta", ["svm", "convex"])
def test_a_stack_of_heads_predicts_as_its_row(
    store: FeatureStore, tmp_path: Path, recipe: str, heads: str, meta: str
) -> None:
    model, row = saved(store, tmp_path / "m", recipe, heads=heads, meta=meta)
    assert model.heads == tuple(heads.split(","))
    found = model.log_probabilities(blocks_of_tested(store, model))
    if recipe == "oof":  # the mean's file is calibrated, its row not
        np.testing.assert_allclose(np.exp(found), np.exp(row), atol=1e-4)
    np.testing.assert_array_equal(found.argmax(axis=1), row.argmax(axis=1))
    assert f"on {', '.join(model.heads)} of resnet50, vgg19" in model.describe()


@pytest.mark.parametrize("meta", ["greedy", "convex"])
def test_weighted_means_predict_as_their_row(store: FeatureStore, tmp_path: Path, meta: str) -> None:
    model, row = saved(store, tmp_path / "m", meta=meta, c=0.1)
    assert model.weights is not None
    assert sum(model.weights) == pytest.approx(1)
    assert (model.learner, model.meta_linear, model.heads) == (meta, None, ())
    found = model.log_probabilities(blocks_of_tested(store, model))
    np.testing.assert_allclose(np.exp(found), np.exp(row), atol=1e-4)
    assert metadata_of(tmp_path / "m")["format_version"] == "5"


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat"])
@pytest.mark.parametrize("meta", ["ridge", "greedy"])
def test_every_recipe_of_numbers_is_saved_as_its_row(
    measured: FeatureStore, tmp_path: Path, recipe: str, meta: str
) -> None:
    model, row = saved(measured, tmp_path / "m", recipe, "regression", meta=meta)
    assert model.learner == "linear"
    np.testing.assert_allclose(model.predict_values(blocks_of_tested(measured, model)), row, atol=1e-4)
    assert metadata_of(tmp_path / "m")["format_version"] == "3"


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat", "published"])
def test_without_heads_earlier_versions_can_read_the_file(store: FeatureStore, tmp_path: Path, recipe: str) -> None:
    model, _ = saved(store, tmp_path / "m", recipe, c=0.1)
    assert metadata_of(tmp_path / "m")["format_version"] == "3"
    assert '"heads"' not in metadata_of(tmp_path / "m")["model"]
    assert (model.heads, model.weights) == ((), None)


@pytest.mark.parametrize("heads", ["knn", "prototype", "lr,knn"])
@pytest.mark.parametrize("recipe", ["oof", "mean"])
def test_what_no_file_can_hold_is_refused_before_the_work(
    store: FeatureStore, heads: str, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbone.stack.experiments.run.evaluate", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(UsageError, match=r"cannot be saved: .*Leave --save out, or choose --heads of lr, lda, ridge_c"):
        run_experiment(store, recipes=[recipe], options=stack_options(heads=heads), with_model=True)


def test_a_recipe_without_heads_is_saved_beside_any(store: FeatureStore, tmp_path: Path) -> None:
    model, _ = saved(store, tmp_path / "m", "concat", heads="knn", c=0.1)
    assert model.heads == ()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_set("meta", "weights", value=[0.5]), "its weights are .*expected 4 numbers"),
        (_set("meta", "weights", value=[0.5, -0.5, 0.5, 0.5]), "expected 4 numbers of 0 or more"),
        (_set("meta", "weights", value=[0.0, 0.0, 0.0, 0.0]), "numbers of 0 or more that add up to 1"),
        (_set("meta", "weights", value=[0.3, 0.3, 0.3, 0.3]), "add up to 1"),
        (_set("meta", "weights", value=[1e308, 1e308, 1e308, 1e308]), "add up to 1"),
        (_set("meta", "learner", value="svm"), "its meta-learner is 'svm', and weights of a mean exist"),
        (_set("meta", "learner", value="lr"), "its meta-learner is 'lr', and weights of a mean exist"),
        (_set("meta", "learner", value="mean"), "its meta-learner is 'mean', and weights of a mean exist"),
        (_set("task", value="regression"), "meta-learner is 'convex', expected one of linear"),
        (_set("task", value="multilabel"), "meta-learner is 'convex', expected one of label-lr, mean"),
        (_set("meta", "weights", value=[1, 1, 1, 1]), "weights is a JSON int"),
        (_set("meta", "weights", value="all"), "weights is a JSON str"),
        (_set("heads", value=["lr", "lr"]), "expected distinct names"),
        (_set("heads", value=["lr", ""]), "expected distinct names"),
        (_set("heads", value=["lr"]), "its weights are"),
        (_set("heads", value=[1, 2]), "heads is a JSON int"),
        (_set("heads", value=["lr", "lda", "knn"]), "weights|shape"),
    ],
)
def test_a_forged_file_is_refused(
    store: FeatureStore, tmp_path: Path, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    saved(store, tmp_path / "m", heads="lr,lda", meta="convex", c=0.1)
    assert load_model(tmp_path / "m").n_heads == 2
    rewrite(tmp_path / "m", edit)
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("version", ["3", "4"])
def test_what_is_new_is_no_part_of_older_versions(store: FeatureStore, tmp_path: Path, version: str) -> None:
    saved(store, tmp_path / "m", heads="lr,lda", c=0.1)
    rewrite(tmp_path / "m", format_version=version)
    with pytest.raises(ModelError, match="heads"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("learner", ["greedy", "convex", "mean"])
def test_a_linear_map_cannot_be_said_to_be_a_mean(tmp_path: Path, learner: str) -> None:
    save_model(made_model(), tmp_path / "m")
    rewrite(tmp_path / "m", _set("meta", "learner", value=learner), format_version="5")
    with pytest.raises(ModelError, match=r"weights of a mean lack|tensors differ"):
        load_model(tmp_path / "m")


def test_version_5_asks_for_none_of_what_it_may_hold(tmp_path: Path) -> None:
    save_model(made_model(), tmp_path / "m")
    rewrite(tmp_path / "m", format_version="5")
    model = load_model(tmp_path / "m")
    assert (model.heads, model.weights, model.thresholds) == ((), None, None)


def test_thresholds_are_of_labels_alone(store: FeatureStore, tmp_path: Path) -> None:
    saved(store, tmp_path / "m", heads="lr,lda", meta="convex", c=0.1)
    rewrite(tmp_path / "m", tensors={"thresholds": np.full(3, 0.5, np.float32)})
    with pytest.raises(ModelError, match="it has thresholds of labels, and its task is classification"):
        load_model(tmp_path / "m")
