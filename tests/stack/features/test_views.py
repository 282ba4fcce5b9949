"""Views of one backbone belong together: they are chosen by name, found again, and never left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.records.views import CORNERS
from stackbone.stack import Experiment, StackOptions, load_model, run_experiment, run_self_check, save_model
from stackbone.stack.experiments.provenance import provenance, repeat_commands
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.features.join import join_features
from stackbone.stack.features.views import Views
from tests.made.caches import on_disk

pytestmark = pytest.mark.usefixtures("one_blas_thread")

LABELS = [f"class {i % 3}" for i in range(60)]
FIXED = StackOptions(c=0.1, inner_splits=3)
FOUR = [f"resnet50~{corner}" for corner in CORNERS]
MakeCache = Callable[..., FeatureStore]


def add_view(store: FeatureStore, backbone: str, view: str, *, rows: slice = slice(None), **changes: Any) -> None:  # noqa: ANN401
    """Write features of a view: those of the plain one with noise of its own."""
    plain = next(each for each in store.feature_sets() if each.backbone == backbone)
    digests = store.dataset("photos").image_sha256
    rng = np.random.default_rng([*view.encode()])
    x = plain.load(digests) + rng.normal(size=(len(digests), 8)).astype(np.float32)
    spec = replace(plain.header().spec, view=view, **changes)
    store.feature_set(backbone, spec).append(spec, digests[rows], x[rows], {"engine": "torch"})


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache of two backbones: one with two more views, the other with one of them."""
    store = make_cache(tmp_path / "features", LABELS)
    for backbone, view in (("resnet50", "hflip"), ("resnet50", "augment0"), ("vgg19", "hflip")):
        add_view(store, backbone, view)
    return store


def features(store: FeatureStore, name: str) -> NDArray[np.float32]:
    (found,) = [each for each in store.feature_sets() if each.backbone == name]
    return found.load(store.dataset("photos").image_sha256)


def run(store: FeatureStore, **asked: Any) -> Experiment:  # noqa: ANN401
    return run_experiment(store, recipes=["mean"], options=FIXED, n_jobs=1, **asked)


# Which


def test_by_default_the_plain_view_alone_takes_part_and_the_others_are_named(store: FeatureStore) -> None:
    joined = join_features(store)
    assert joined.names == ["resnet50", "vgg19"]
    assert (joined.views, joined.viewed) == (Views(), {})
    (note,) = [note for note in joined.notes if "no part" in note]
    assert "2 views beside the plain one (hflip, augment0) take no part" in note
    assert "--train-views all --test-views mean" in note
    np.testing.assert_array_equal(joined.blocks["resnet50"], features(store, "resnet50"))


def test_all_and_mean_take_the_views_that_every_backbone_has(store: FeatureStore) -> None:
    joined = join_features(store, train_views="all", test_views="mean")
    assert joined.views == Views(("plain", "hflip"), ("plain", "hflip"))
    for name in ("resnet50", "vgg19"):
        plain, mirrored = features(store, name), features(store, f"{name}~hflip")
        np.testing.assert_array_equal(joined.viewed[name].values[0], plain)
        np.testing.assert_array_equal(joined.viewed[name].values[1], mirrored)
        np.testing.assert_allclose(joined.blocks[name], (plain + mirrored) / 2, rtol=1e-6)
    assert any("2 rows that weigh 1/2 each (plain, hflip)" in note for note in joined.notes)
    alone = join_features(store, backbones="resnet50", train_views="all", test_views="mean")
    assert alone.views.train == ("plain", "hflip", "augment0")


@pytest.mark.parametrize(
    ("train", "test", "views"),
    [
        ("plain", None, Views()),
        (None, "plain,hflip", Views(("plain",), ("plain", "hflip"))),
        ("hflip", "hflip", Views(("hflip",), ("hflip",))),
        (["augment:1", "plain"], ["hflip"], Views(("augment0", "plain"), ("hflip",))),
    ],
)
def test_views_are_chosen_by_name(
    store: FeatureStore, train: str | Sequence[str] | None, test: str | Sequence[str] | None, views: Views
) -> None:
    joined = join_features(store, backbones="resnet50", train_views=train, test_views=test)
    assert joined.views == views
    if views != Views():
        of = {view: features(store, "resnet50" if view == "plain" else f"resnet50~{view}") for view in views.used}
        for found, view in zip(joined.viewed["resnet50"].values, views.train, strict=False):
            np.testing.assert_array_equal(found, of[view])
        tested = np.mean([of[view] for view in views.test], axis=0)
        np.testing.assert_allclose(joined.blocks["resnet50"], tested, rtol=1e-5)


def test_a_view_typed_as_a_backbone_is_a_block_of_its_own(store: FeatureStore) -> None:
    joined = join_features(store, backbones="resnet50,resnet50~hflip")
    assert joined.names == ["resnet50", "resnet50~hflip"]
    np.testing.assert_array_equal(joined.blocks["resnet50~hflip"], features(store, "resnet50~hflip"))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("resnet50~five-crop", ["resnet50", *FOUR]),
        ("resnet50~augment:1,vgg19", ["resnet50~augment0", "vgg19"]),
        (["vgg19~hflip", "resnet50", "resnet50~five-crop"], ["vgg19~hflip", "resnet50", *FOUR]),
        ("resnet50@pooled~augment:1", ["resnet50~augment0"]),
        ("all~five-crop", ["resnet50", *sorted(FOUR), "vgg19"]),
        ("all~plain", ["resnet50", "vgg19"]),
    ],
)
def test_a_group_of_views_typed_as_a_backbone_is_a_block_for_each(
    store: FeatureStore, asked: str | list[str], names: list[str]
) -> None:
    for corner in CORNERS:
        add_view(store, "resnet50", corner)
    assert join_features(store, backbones=asked).names == names


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("resnet50~five-crop", r"no features of 'resnet50~top_left' or .* --backbones .?resnet50~"),
        ("resnet50~augment:2", r"no features of 'resnet50~augment1'; it has .* --backbones .?resnet50~augment1"),
        ("vgg19~augment:0", "asks for '0' random views"),
        ("vgg19~five_crop", "did you mean 'five-crop'"),
        ("all~rotate90", "unknown view 'rotate90': choose from plain"),
        ("offline~ten-crop", r"no features of 'efficientnet_lite0' or 'efficientnet_lite0~top_left'"),
    ],
)
def test_a_group_of_views_that_is_not_there_is_refused_with_what_makes_it(
    store: FeatureStore, asked: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        join_features(store, backbones=asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"train_views": "hflop"}, "did you mean 'hflip'?"),
        ({"train_views": "augment0"}, "by vgg19: there are plain, hflip. Run `stackbone extract"),
        (
            {"test_views": "five-crop"},
            "--test-views names top_left, top_right, bottom_left, bottom_right, of which the",
        ),
        ({"train_views": "mean"}, "write --train-views all"),
        ({"test_views": "all"}, "write --test-views mean"),
        ({"train_views": ""}, "no view was named"),
        ({"train_views": "all", "backbones": "resnet50~hflip"}, "names the view hflip of resnet50"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_what_there_is(
    store: FeatureStore, asked: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        join_features(store, **asked)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_views_that_lack_images_or_are_of_another_network_are_not_there(store: FeatureStore) -> None:
    add_view(store, "resnet50", "augment1", rows=slice(59))
    add_view(store, "resnet50", "augment2", weights="random(7)")
    joined = join_features(store, backbones="resnet50", train_views="all")
    assert joined.views.train == ("plain", "hflip", "augment0")
    for view in ("augment1", "augment2"):
        with pytest.raises(UsageError, match=rf"names {view}, of which the cache has no features of every image"):
            join_features(store, backbones="resnet50", train_views=view)


def test_a_cache_of_views_alone_says_what_is_missing(store: FeatureStore, tmp_path: Path) -> None:
    for each in store.feature_sets():
        if each.name.view == "plain":
            on_disk(each.folder).rename(tmp_path / each.id)
    with pytest.raises(
        StackError, match=r"has views of the images alone .*resnet50~hflip.* --backbones resnet50,vgg19"
    ):
        join_features(store)
    assert join_features(store, backbones="resnet50~hflip").names == ["resnet50~hflip"]


# To the end


def test_an_experiment_with_views_is_found_again_and_reproduced(store: FeatureStore, tmp_path: Path) -> None:
    asked = {"train_views": "all", "test_views": "mean"}
    first = run(store, **asked)
    again = run(store, **asked)
    assert again.evaluation.n_from_cache > first.evaluation.n_from_cache == 0
    assert again.evaluation.results == first.evaluation.results
    assert run(store).evaluation.results != first.evaluation.results
    write_result(first, tmp_path / "result.json")
    assert first.to_dict()["train_views"] == first.to_dict()["test_views"] == ["plain", "hflip"]
    reproduced = reproduce_experiment(tmp_path / "result.json", store, n_jobs=1)
    assert reproduced.evaluation.results == first.evaluation.results
    assert "--train-views plain,hflip --test-views plain,hflip" in repeat_commands(first, store)[-1]
    ids = {each["id"] for each in provenance(first, store)["feature_sets"].values()}  # type: ignore[attr-defined]
    assert ids == {each.id for each in store.feature_sets() if each.name.view in ("plain", "hflip")}


def test_groups_hold_for_every_view(tmp_path: Path, make_cache: MakeCache) -> None:
    groups = [f"group {i // 6}" for i in range(60)]
    store = make_cache(tmp_path / "features", LABELS, groups=groups)
    for backbone in ("resnet50", "vgg19"):
        add_view(store, backbone, "hflip")
    experiment = run(store, train_views="all", test_views="mean")
    for fold in experiment.folds:
        assert not {groups[row] for row in fold.train} & {groups[row] for row in fold.test}
    assert run_self_check(store, train_views="all", test_views="mean", n_jobs=1).startswith("self-check passed")


def test_a_saved_model_names_its_views_and_takes_their_mean(store: FeatureStore, tmp_path: Path) -> None:
    experiment = run(store, train_views="all", test_views="mean", with_model=True)
    assert experiment.model is not None
    save_model(experiment.model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.train_views == ("plain", "hflip")
    views = {each.id: each for each in store.feature_sets() if each.name.view in ("plain", "hflip")}
    assert set(model.specs) == set(views)
    digests = store.dataset("photos").image_sha256
    blocks = model.blocks({identity: each.load(digests) for identity, each in views.items()})
    for name, block in experiment.joined.blocks.items():
        np.testing.assert_array_equal(blocks[name], block)
    assert (np.exp(model.log_probabilities(blocks)).argmax(axis=1) == experiment.truth.codes).mean() > 0.8


def test_a_model_of_the_published_recipe_learns_from_views_too(store: FeatureStore) -> None:
    experiment = run_experiment(
        store,
        recipes=["published"],
        options=FIXED,
        n_jobs=1,
        with_model=True,
        train_views="hflip,plain",
        test_views="plain",
    )
    assert experiment.model is not None
    assert experiment.model.train_views == ("hflip", "plain")
    assert all(not backbone.others for backbone in experiment.model.backbones)


def test_an_image_with_views_is_still_one_row_of_everything_else(store: FeatureStore) -> None:
    plain, several = run(store), run(store, train_views="all", test_views="mean")
    assert several.n_images == plain.n_images == 60
    for one, other in zip(plain.folds, several.folds, strict=True):
        np.testing.assert_array_equal(one.test, other.test)
    for model, predictions in several.evaluation.predictions.items():
        for prediction, fold in zip(predictions, several.folds, strict=True):
            assert prediction.scores.shape == (len(fold.test), 3), model
