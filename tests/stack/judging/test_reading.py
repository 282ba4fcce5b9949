"""What the test of a saved model reads: each feature once, of every kind of backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureSet, FeatureStore, SeenRecord, write_seen
from stackbone.stack import MetaOptions, StackModel, StackOptions, evaluate_model, run_experiment
from stackbone.stack.judging.asked import files_to_test
from stackbone.stack.models.backbone import ModelBackbone
from tests.stack.features.test_views import add_view

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Make = Callable[..., FeatureStore]

N = 60
LABELS = [("cat", "dog", "emu")[i % 3] for i in range(N)]
SPLITS = ["test" if i % 4 == 0 else "train" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))


def fitted(store: FeatureStore, **options: Any) -> StackModel:  # noqa: ANN401 - of `run_experiment`
    found = run_experiment(store, split="test", options=FIXED, with_model=True, train_only=True, n_jobs=1, **options)
    assert found.model is not None
    return found.model


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, bytes]]:
    """Return how often each row of each feature set was read."""
    counts: Counter[tuple[str, bytes]] = Counter()
    load = FeatureSet.load

    def counted(self: FeatureSet, digests: Any, convert: Any = None) -> Any:  # noqa: ANN401 - as of `FeatureSet.load`
        counts.update((self.id, each.tobytes()) for each in digests)
        return load(self, digests, convert)

    monkeypatch.setattr(FeatureSet, "load", counted)
    return counts


@pytest.mark.parametrize("near_duplicates", [None, 0.98])
@pytest.mark.parametrize("views", [None, "mean"])
def test_each_feature_is_read_once(
    make_cache: Make,
    tmp_path: Path,
    read: Counter[tuple[str, bytes]],
    views: str | None,
    near_duplicates: float | None,
) -> None:
    store = make_cache(tmp_path, LABELS, splits=SPLITS, near={0: 1})
    for backbone in ("resnet50", "vgg19") if views else ():
        add_view(store, backbone, "hflip")
    model = fitted(store, test_views=views)
    read.clear()
    tested = evaluate_model(model, store.dataset(), store, near_duplicates=near_duplicates)
    assert set(read.values()) == {1}
    sets = [each.id for each in store.feature_sets()]
    test = {each.tobytes() for each in store.dataset().image_sha256[[split == "test" for split in SPLITS]]}
    assert {(name, digest) for name in sets for digest in test} <= set(read)
    assert tested.near_copies is not None
    assert tested.joined.left_out.get("training_copies", 0) + tested.near_copies.n_copies == 1


def test_a_model_of_views_answers_by_their_mean(make_cache: Make, tmp_path: Path) -> None:
    store = make_cache(tmp_path, LABELS, splits=SPLITS, noise=3.0)
    for backbone in ("resnet50", "vgg19"):
        add_view(store, backbone, "hflip")
    model = fitted(store, test_views="mean")
    tested = evaluate_model(model, store.dataset(), store)
    digests = tested.joined.digests
    blocks = model.blocks({each.id: each.load(digests) for each in store.feature_sets()})
    expected = model.log_probabilities(blocks)
    np.testing.assert_allclose(tested.evaluation.predictions["model"][0].scores, expected, atol=1e-5)
    assert "the model answers by the mean of several views of each image: plain, hflip" in tested.joined.notes


def test_a_steered_backbone_beside_a_plain_one(make_cache: Make, tmp_path: Path) -> None:
    store = make_cache(tmp_path, LABELS, splits=SPLITS, noise=3.0, near={0: 1, 4: 5})
    model, index = fitted(store), store.dataset()
    plain, other = model.backbones
    spec = replace(other.spec, steering="ab" * 32)
    made = store.feature_set(other.name, spec)
    described: dict[str, object] = {"method": "toast", "stage": "tune", "backbone": "vit_base", "recipe": "ab" * 32}
    described |= {"division": None, "seed": 0, "parent_seen": None}
    write_seen(made.folder, SeenRecord("ab" * 32, index.image_sha256[[8, 9]], described))
    own = next(each for each in store.feature_sets() if each.id == other.feature_set)
    x = own.load(index.image_sha256)
    x[0] = -x[0]  # steering moved a near copy away: the plain backbone tells it all the same
    made.append(spec, index.image_sha256, x, {})
    mixed = replace(model, backbones=[plain, ModelBackbone(other.name, made.id, spec)], novelty=None)
    tested = evaluate_model(mixed, index, store)
    assert tested.joined.left_out["steered_on"] == 1  # image 9 is of the training part
    assert tested.n_images == SPLITS.count("test") - 1
    assert tested.near_copies is not None
    assert tested.near_copies.n_copies == 2
    assert not any("cannot tell" in note for note in tested.joined.notes)
    without = evaluate_model(mixed, index, store, near_duplicates=0.98)
    assert without.n_images == tested.n_images - 2
    paths = dict(zip(tested.joined.paths, tested.evaluation.predictions["model"][0].scores, strict=True))
    for path, row in zip(without.joined.paths, without.evaluation.predictions["model"][0].scores, strict=True):
        np.testing.assert_allclose(row, paths[path], atol=1e-5)


@pytest.mark.parametrize(("split", "n"), [(None, N - 1), ("test", 14), ("train", 45)])
def test_only_what_can_be_tested_is_embedded(make_cache: Make, tmp_path: Path, split: str | None, n: int) -> None:
    index = make_cache(tmp_path, ["", *LABELS[1:]], splits=SPLITS, paths=[f"{i}.jpg" for i in range(N)]).dataset()
    assert files_to_test(index, split).sum() == n
