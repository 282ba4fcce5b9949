"""Outputs of one network that are also seen in several views: members, parts and the order of a saved model hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureSpec, FeatureStore
from stackbone.cache.records.parts import Part, RowForm
from stackbone.stack import Experiment, StackOptions, evaluate, load_model, run_experiment, save_model
from stackbone.stack.folds.per_fold import Viewed
from stackbone.stack.learners.member import Member
from tests.made.caches import make_digests, make_index

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, N_CLASSES = 90, 3
CODES = np.arange(N) % N_CLASSES
FIXED = StackOptions(c=0.1, inner_splits=3)
VIEWS = ("plain", "hflip")
ALL_VIEWS: dict[str, Any] = {"train_views": "all", "test_views": "mean"}
PAIR = "net@pooled+stages"
STAGES = (Part("stage1", 4), Part("stage2", 6))
WIDTHS = {"net": 8, "net@stages": 10, "other": 5}
HALF = (0.5, 0.5, 0.5)


def features(name: str, view: str) -> NDArray[np.float32]:
    """Return rows that know the classes, and whose views differ."""
    image, seen = np.random.default_rng([*name.encode()]), np.random.default_rng([*name.encode(), *view.encode()])
    known = image.standard_normal((N_CLASSES, WIDTHS[name]))[CODES] + image.standard_normal((N, WIDTHS[name]))
    return (known + 0.5 * seen.standard_normal((N, WIDTHS[name]))).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of two networks in two views, of which one is read at two places."""
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    for name in WIDTHS:
        backbone, _, output = name.partition("@")
        for view in VIEWS:
            spec = FeatureSpec(
                *(backbone, "random(0)", (224, 224), 0.875, "center", "bicubic", HALF, HALF, "avg"),
                view=view,
                output=output or "pooled",
            )
            form = RowForm(STAGES) if output else None
            store.feature_set(backbone, spec).append(spec, make_digests(N), features(name, view), {}, form)
    store.write_dataset(make_index("photos", make_digests(N), [f"class {code}" for code in CODES]))
    return store


def run(store: FeatureStore, backbones: str, **asked: Any) -> Experiment:  # noqa: ANN401
    return run_experiment(store, backbones=backbones, options=FIXED, n_jobs=1, recipes=["oof"], **asked)


def answers(found: Experiment, file: Path, blocks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return what the model of an experiment says once it was saved and opened again."""
    assert found.model is not None
    save_model(found.model, file)
    return load_model(file).log_probabilities(blocks)


def test_members_of_views_score_as_their_columns_side_by_side(store: FeatureStore) -> None:
    found = run(store, "net,net@stages,other", **ALL_VIEWS)
    assert [each.model for each in found.evaluation.results][:2] == [f"lr:{PAIR}", "lr:other"]
    assert [part.name for part in found.evaluation.parts[PAIR]] == ["pooled", "stage1", "stage2"]
    values = {
        name: np.stack([*each, np.mean(each, axis=0)])
        for name in WIDTHS
        for each in [[features(name, view) for view in VIEWS]]
    }
    side_by_side = np.concatenate([values["net"], values["net@stages"]], axis=2)
    expected = evaluate(
        {"pair": Viewed(side_by_side, ("a",)), "other": Viewed(values["other"], ("b",))},
        found.joined.labels,
        found.folds,
        members=[
            Member("pair", ("pair",), (("pooled", 8), ("stage1", 4), ("stage2", 6))),
            Member("other", ("other",), (("pooled", 5),)),
        ],
        recipes=("oof",),
        options=FIXED,
        digests=found.joined.digests,
        n_jobs=1,
    )
    for model, other in ((f"lr:{PAIR}", "lr:pair"), ("lr:other", "lr:other"), ("stack:oof", "stack:oof")):
        for one, two in zip(found.evaluation.predictions[model], expected.predictions[other], strict=True):
            np.testing.assert_allclose(one.scores, two.scores, atol=2e-3)
    for part, of_columns in zip(found.evaluation.parts[PAIR], expected.parts["pair"], strict=True):
        np.testing.assert_allclose(part.factors, of_columns.factors, rtol=0.02)


@pytest.mark.parametrize(
    ("asked", "members", "order"),
    [
        ("net,other,net@stages", [2, 1], ["net", "net@stages", "other"]),
        ("other,net,net@stages", [1, 2], ["other", "net", "net@stages"]),
        ("net@stages,other,net", [2, 1], ["net@stages", "net", "other"]),
    ],
)
@pytest.mark.parametrize("views", [{}, ALL_VIEWS], ids=["plain", "views"])
def test_a_saved_model_holds_the_outputs_of_a_network_in_a_row_however_they_were_named(
    store: FeatureStore, tmp_path: Path, asked: str, members: list[int], order: list[str], views: dict[str, Any]
) -> None:
    found = run(store, asked, with_model=True, **views)
    assert list(found.joined.blocks) == asked.split(",")
    assert found.model is not None
    assert (found.model.members, [each.name for each in found.model.backbones]) == (members, order)
    usual = run(store, "net,net@stages,other", with_model=True, **views)
    blocks = dict(found.joined.blocks)
    said = answers(found, tmp_path / "model", blocks)
    np.testing.assert_allclose(said, answers(usual, tmp_path / "usual", blocks), atol=5e-3)
    assert (said.argmax(axis=1) == CODES).mean() > 0.8


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat"])
def test_a_saved_model_of_members_and_views_takes_the_mean_of_the_views(
    store: FeatureStore, tmp_path: Path, recipe: str
) -> None:
    found = run_experiment(
        store, backbones="net,other,net@stages", options=FIXED, n_jobs=1, recipes=[recipe], with_model=True, **ALL_VIEWS
    )
    assert found.model is not None
    assert found.model.train_views == VIEWS
    assert len(found.model.specs) == 6
    digests = found.joined.digests
    sets = {each.id: each for each in store.feature_sets()}
    blocks = found.model.blocks({identity: sets[identity].load(digests) for identity in found.model.specs})
    for name, block in found.joined.blocks.items():
        np.testing.assert_allclose(blocks[name], block, rtol=1e-6)
    said = answers(found, tmp_path / "model", blocks)
    np.testing.assert_array_equal(said, found.model.log_probabilities(blocks))
    assert (said.argmax(axis=1) == CODES).mean() > 0.8
