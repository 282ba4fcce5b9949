"""How far an image is from a model's training images: values against the plain formula, and forged files refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, ModelError
from stackbone.stack import ModelScore, load_model, run_experiment, save_model, stack_options
from stackbone.stack.features.join import Joined, choose_final_features, join_features
from stackbone.stack.models import summary
from stackbone.stack.models.answers import Answer, columns, table_columns, table_rows
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.predict import predict, predict_from
from stackbone.stack.models.refit import refit
from stackbone.stack.models.unlike import find_novelty as module
from stackbone.stack.models.unlike.find_novelty import find_novelty
from stackbone.stack.models.unlike.novelty import UNLIKE, Novelty
from stackbone.stack.models.unlike.reading import read_out, readers
from stackbone.stack.models.unlike.words import about_kept, about_unlike
from stackbone.stack.tasks.registry import TASKS
from tests.conftest import MakeCache
from tests.made.multilabel import fill, index_of, make_presence, texts_of
from tests.made.numbers import fill_numbers, make_numbers, numbers_index
from tests.stack.features.test_views import add_view
from tests.stack.models.test_model_file import DIMS, _set, made_model, metadata_of, rewrite
from tests.stack.test_leak import LABELS, add_plain, add_steered, digests_of, made_index, noise

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 60
CLASSES = [f"class {i % 3}" for i in range(N)]
SCORE = ModelScore("stack:oof", [0.9])
FIXED = stack_options(c=0.1, inner_splits=3)
Doubles = NDArray[np.float64]


def unit(x: NDArray[Any]) -> Doubles:
    x = x.astype(np.float64)
    divided: Doubles = x / np.linalg.norm(x, axis=1, keepdims=True)
    return divided


def kept_of(block: NDArray[np.float32]) -> Doubles:
    """Return features as a model keeps them: of length 1, with half the digits."""
    return unit(unit(block).astype(np.float16))


def plain_distance(image: Doubles, others: Doubles, k: int) -> float:
    """Return the distance to the k-th nearest, one pair after the other."""
    lengths = sorted(float(np.sqrt(((image / np.linalg.norm(image) - each) ** 2).sum())) for each in others)
    return lengths[k - 1]


def plain_novelty(
    blocks: dict[str, NDArray[np.float32]], groups: NDArray[np.int64] | None, k: int
) -> tuple[dict[str, float], Doubles]:
    """Return scales and distances of all images, each compared with those that are neither copies nor of its group."""
    cosines = np.stack([unit(block) @ unit(block).T for block in blocks.values()])
    n = cosines.shape[1]
    found = np.empty((len(blocks), n))
    for i in range(n):
        others = [
            j
            for j in range(n)
            if j != i and not (cosines[:, i, j] >= 0.98).all() and (groups is None or groups[i] != groups[j])
        ]
        for place, block in enumerate(blocks.values()):
            found[place, i] = plain_distance(block[i].astype(np.float64), kept_of(block)[others], k)
    scales = np.median(found, axis=1)
    return dict(zip(blocks, scales.tolist(), strict=True)), np.sort((found / scales[:, None]).mean(axis=0))


@pytest.mark.parametrize("group_size", [1, 4], ids=["alone", "in groups"])
def test_training_images_are_measured_as_the_formula_says(
    tmp_path: Path, make_cache: MakeCache, group_size: int
) -> None:
    groups = [f"g{i // group_size}" for i in range(N)] if group_size > 1 else None
    store = make_cache(tmp_path, CLASSES, groups=groups, near={5: 0, 41: 0, 17: 3})
    joined = join_features(store)
    novelty = find_novelty(joined, 0)
    assert novelty is not None
    scales, expected = plain_novelty(joined.blocks, joined.groups, 5)
    assert novelty.scales == pytest.approx(scales, rel=1e-5)
    np.testing.assert_allclose(novelty.calibration, expected, rtol=1e-5)
    assert (novelty.k, novelty.n_kept) == (5, N)
    assert {name: (each.shape, each.dtype) for name, each in novelty.features.items()} == {
        name: ((N, 8), np.dtype(np.float16)) for name in joined.blocks
    }
    assert novelty.n_bytes == 2 * N * 8 * 2 + 4 * N


def test_new_images_are_compared_with_all_that_are_kept(tmp_path: Path, make_cache: MakeCache) -> None:
    joined = join_features(make_cache(tmp_path, CLASSES))
    novelty = find_novelty(joined, 0, k=3)
    assert novelty is not None
    rng = np.random.default_rng(8)
    new = {name: np.concatenate([rng.normal(size=(9, 8)), -block[:2]]) for name, block in joined.blocks.items()}
    scales, measured = plain_novelty(joined.blocks, None, 3)
    for row in range(11):
        far = np.mean([plain_distance(new[name][row], kept_of(joined.blocks[name]), 3) / scales[name] for name in new])
        own = [novelty.distances(name, block[row : row + 1].astype(np.float32)) for name, block in new.items()]
        assert np.mean(own) == pytest.approx(far, rel=1e-5)
        assert novelty.further_than(own)[0] == pytest.approx((measured < far).mean())
    opposite = [novelty.distances(name, -10 * block) for name, block in joined.blocks.items()]
    assert novelty.further_than(opposite).min() > 0.9
    itself = [novelty.distances(name, block) for name, block in joined.blocks.items()]
    assert novelty.further_than(itself).max() < 1


def test_images_that_are_all_close_are_no_copies_of_each_other(tmp_path: Path, make_cache: MakeCache) -> None:
    """Such as photographs of one kind of cell: new ones lie as close, and so the training images are measured."""
    rng = np.random.default_rng(1)
    common, n = rng.normal(size=8), 120
    joined = join_features(make_cache(tmp_path, [f"class {i % 3}" for i in range(n)]), backbones=["resnet50"])
    block = (common + 0.05 * rng.normal(size=(n, 8))).astype(np.float32)
    novelty = find_novelty(replace(joined, blocks={"resnet50": block}), 0)
    assert novelty is not None
    assert novelty.scales["resnet50"] < 0.2
    assert len(novelty.calibration) == n
    new = (common + 0.05 * rng.normal(size=(200, 8))).astype(np.float32)
    further = novelty.further_than([novelty.distances("resnet50", new)])
    assert 0.35 < further.mean() < 0.65, "new images of the kind lie like the training images"
    other = (common + 0.3 * rng.normal(size=(50, 8))).astype(np.float32)
    assert (novelty.further_than([novelty.distances("resnet50", other)]) >= UNLIKE).mean() > 0.8


@pytest.mark.parametrize(("n", "in_how_many"), [(25, 26), (99, 100), (100, 50), (200, 67), (5000, 98)])
def test_how_often_a_like_image_is_marked_is_what_its_rank_among_them_says(n: int, in_how_many: int) -> None:
    model = model_with_features()
    assert model.novelty is not None
    calibration = np.linspace(0, 1, n, dtype=np.float32)
    more = replace(model, n_images=5000, seen=None, novelty=replace(model.novelty, calibration=calibration))
    assert (about_unlike([answer(1.0)], more) or "").endswith(f"about one in {in_how_many} is taken for unlike too")


def test_rows_of_zeros_and_huge_features_are_measured(tmp_path: Path, make_cache: MakeCache) -> None:
    joined = join_features(make_cache(tmp_path, CLASSES))
    novelty = find_novelty(joined, 0)
    assert novelty is not None
    for name, block in joined.blocks.items():
        odd = np.stack([np.zeros(8), block[0], block[0] * 1e30, block[0] * 1e-30]).astype(np.float32)
        nothing, *same = novelty.distances(name, odd).tolist()
        assert nothing == pytest.approx(np.sqrt(2) / novelty.scales[name])
        assert same == pytest.approx([same[0]] * 3)


@pytest.mark.parametrize(
    ("n", "groups", "backbones"),
    [(19, None, ("resnet50",)), (60, ["one"] * 60, ("resnet50",)), (60, ["a", "b"] * 30, ()), (5, None, ("vgg19",))],
)
def test_too_few_images_tell_nothing(
    tmp_path: Path, make_cache: MakeCache, n: int, groups: list[str] | None, backbones: tuple[str, ...]
) -> None:
    near = {} if backbones else {i: i % 2 for i in range(2, n)}  # all of a group are copies of one image
    joined = join_features(make_cache(tmp_path, CLASSES[:n], groups=groups, near=near))
    novelty = find_novelty(joined, 0)
    if backbones:
        assert novelty is None
        assert "20 training images whose labels no steering saw, with 5 others each" in about_kept(novelty)
    else:
        assert novelty is not None, "each group is compared with the other"


def test_of_many_images_some_are_kept_and_rare_labels_are_among_them(
    tmp_path: Path, make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 24)
    monkeypatch.setattr(module, "MOST_CALIBRATED", 50)
    labels = ["common"] * 70 + ["rare"] * 4 + ["other"] * 26
    joined = join_features(make_cache(tmp_path, labels))
    first, again, other = (find_novelty(joined, seed) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.calibration, again.calibration)
    assert (first.n_kept, len(first.calibration)) == (24, 50)
    known = unit(joined.blocks["vgg19"]).astype(np.float16)
    rows = [int(np.flatnonzero((known == each).all(axis=1))[0]) for each in first.features["vgg19"]]
    assert [[labels[row] for row in rows].count(name) for name in ("common", "rare", "other")] == [10, 4, 10]
    assert first.features["vgg19"].tolist() != other.features["vgg19"].tolist()


# What steerings saw, and views


def steered_images(tmp_path: Path, n_seen: int, *, plain: bool, groups: list[str] | None = None) -> Joined:
    store = FeatureStore(tmp_path / "features")
    store.write_dataset(made_index(LABELS.tolist(), groups=groups))
    if plain:
        add_plain(store, noise(0))
    add_steered(store, digests_of()[:n_seen], noise(1))
    return choose_final_features(join_features(store))


@pytest.mark.parametrize(
    ("n_seen", "beside", "names", "n_measured"),
    [
        (60, "resnet50", ["resnet50", "vit_toast"], 30),
        (70, "", ["vit_toast"], 20),
        (71, "resnet50", ["resnet50"], 90),
        (90, "resnet50", ["resnet50"], 90),
        (71, "", [], 0),
    ],
)
def test_steered_features_are_measured_on_images_that_no_steering_saw(
    tmp_path: Path, n_seen: int, beside: str, names: list[str], n_measured: int
) -> None:
    novelty = find_novelty(steered_images(tmp_path, n_seen, plain=bool(beside)), 0)
    if novelty is None:
        assert not names
        return
    assert (sorted(novelty.features), len(novelty.calibration)) == (names, n_measured)
    assert novelty.n_kept == 90


def test_an_image_whose_group_a_steering_saw_counts_as_seen(tmp_path: Path) -> None:
    groups = [f"g{i // 2}" for i in range(90)]
    novelty = find_novelty(steered_images(tmp_path, 59, plain=True, groups=groups), 0)
    assert novelty is not None
    assert len(novelty.calibration) == 30


def viewed(tmp_path: Path, make_cache: MakeCache) -> tuple[FeatureStore, StackModel]:
    store = make_cache(tmp_path, CLASSES)
    for backbone in ("resnet50", "vgg19"):
        add_view(store, backbone, "hflip")
    found = run_experiment(store, recipes=["mean"], options=FIXED, test_views="mean", with_model=True, n_jobs=1)
    assert found.model is not None
    return store, found.model


def test_of_several_views_the_mean_of_their_distances_counts(tmp_path: Path, make_cache: MakeCache) -> None:
    store, model = viewed(tmp_path, make_cache)
    assert model.novelty is not None
    digests = store.dataset().image_sha256[:7]
    features = {each.id: each.load(digests) for each in store.feature_sets()}
    kept = {identity: read(features[identity]) for identity, read in readers(model).items()}
    decisions, shares = read_out(model, kept)
    apart = [
        np.mean([model.novelty.distances(each.name, features[identity]) for identity in each.specs], axis=0)
        for each in model.backbones
    ]
    assert shares is not None
    np.testing.assert_array_equal(shares, model.novelty.further_than(apart))
    blocks = model.blocks(features)
    np.testing.assert_allclose(model.combined(decisions), model.log_probabilities(blocks), atol=1e-5)
    assert {each.further_than for each in predict(model, ["a"] * 7, blocks)} == {None}
    joined = join_features(store, test_views="mean")
    found = []
    for name, sets in joined.view_sets.items():
        kept_rows, views = kept_of(joined.blocks[name]), [sets[view].load(joined.digests) for view in joined.views.test]
        own = [
            np.mean([plain_distance(view[i].astype(np.float64), np.delete(kept_rows, i, axis=0), 5) for view in views])
            for i in range(len(joined.rows))
        ]
        np.testing.assert_allclose(model.novelty.scales[name], np.median(own), rtol=1e-3)
        found.append(np.array(own) / np.median(own))
    assert len(found) == 2
    np.testing.assert_allclose(model.novelty.calibration, np.sort(np.mean(found, axis=0)), rtol=1e-3)


# In answers, of every task


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel", "multitarget"])
def test_answers_of_every_task_say_how_far_images_are(tmp_path: Path, make_cache: MakeCache, task: str) -> None:
    if task == "multilabel":
        presence = make_presence(N)
        store = fill(tmp_path, presence, index_of(texts_of(presence)))
    elif task == "multitarget":
        values = make_numbers(N)
        store = fill_numbers(tmp_path, values, numbers_index(values))
    else:
        labels = CLASSES if task == "classification" else [str(i % 7) for i in range(N)]
        store = make_cache(tmp_path, labels)
    joined = join_features(store)
    options = stack_options(
        task, meta="mean", c=0.1 if task in ("classification", "multilabel") else None, inner_splits=3
    )
    model = refit(joined, TASKS[task], options, SCORE, seed=0)
    save_model(model, tmp_path / "m")
    model = load_model(tmp_path / "m")
    blocks = {name: np.concatenate([block[:3], -block[:2]]) for name, block in joined.blocks.items()}
    answers = predict(model, list("abcde"), blocks)
    assert columns(answers)[-3:] == ["trained_on", "unlike", "further_than"]
    assert all(len(each.cells()) == len(columns(answers)) for each in answers)
    assert all(each.to_dict()["further_than"] == each.further_than for each in answers)
    shares = np.array([each.further_than for each in answers], np.float64)
    assert model.novelty is not None
    apart = [model.novelty.distances(name, block) for name, block in blocks.items()]
    np.testing.assert_allclose(shares, model.novelty.further_than(apart), atol=1e-6)
    assert [each.unlike for each in answers] == (shares >= UNLIKE).tolist()
    kept = {each.feature_set: readers(model)[each.feature_set](blocks[each.name]) for each in model.backbones}
    decisions, told = read_out(model, kept)
    assert predict_from(model, list("abcde"), decisions, shares=told) == answers
    without = predict(replace(model, novelty=None), list("abcde"), blocks)
    assert columns(without) == columns(answers)[:-2]
    assert [each.further_than for each in without] == [None] * 5


def answer(share: float | None, *, known: bool | None = False) -> Answer:
    return Answer("a.jpg", [("hat", 0.97)], trained_on=known, further_than=share)


def test_the_table_and_a_note_tell_of_unlike_images() -> None:
    model = made_model()
    alike = [answer(0.2), answer(0.98)]
    assert table_columns(alike) == ["path", "class", "probability"]
    assert about_unlike(alike, model) is None
    some = [answer(0.2), answer(1.0), answer(0.99, known=True)]
    assert table_columns(some)[-2:] == ["trained_on", "unlike"]
    assert [row[-2:] for row in table_rows(some)] == [["no", "no"], ["no", "yes"], ["yes", "yes"]]
    assert about_unlike(some, model) is None, "a model that cannot tell says nothing"
    telling = model_with_features()
    said = about_unlike(some, telling) or ""
    assert said.startswith("2 of 3 images are unlike all that the model was fitted on (see unlike): further away than")
    assert "99% of the training images" in said
    assert said.endswith("about one in 26 is taken for unlike too")
    assert (about_unlike([answer(1.0)], telling) or "").startswith("1 of 1 image is unlike")


# The file


def model_with_features() -> StackModel:
    rng = np.random.default_rng(0)
    features = {name: rng.normal(size=(30, dim)).astype(np.float16) for name, dim in DIMS.items()}
    calibration = np.sort(rng.random(25)).astype(np.float32)
    return replace(made_model(), novelty=Novelty(features, {"resnet50": 0.5, "vgg19": 0.25}, 5, calibration))


def test_what_is_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model = model_with_features()
    save_model(model, tmp_path / "m")
    assert metadata_of(tmp_path / "m")["format_version"] == "6"
    found = load_model(tmp_path / "m").novelty
    assert model.novelty is not None
    assert found is not None
    assert (dict(found.scales), found.k) == (model.novelty.scales, 5)
    assert found.calibration.tobytes() == model.novelty.calibration.tobytes()
    for name, each in model.novelty.features.items():
        assert (found.features[name].dtype.name, found.features[name].tobytes()) == ("float16", each.tobytes())


def test_one_backbone_of_two_may_tell_alone(tmp_path: Path) -> None:
    model = model_with_features()
    assert model.novelty is not None
    alone = replace(model.novelty, features={"vgg19": model.novelty.features["vgg19"]}, scales={"vgg19": 0.25})
    save_model(replace(model, novelty=alone), tmp_path / "m")
    found = load_model(tmp_path / "m").novelty
    assert found is not None
    assert (list(found.features), dict(found.scales)) == (["vgg19"], {"vgg19": 0.25})


def test_a_model_without_features_is_written_as_earlier_versions_read_it(tmp_path: Path) -> None:
    save_model(replace(model_with_features(), novelty=None), tmp_path / "m")
    assert metadata_of(tmp_path / "m")["format_version"] == "3"
    assert "novelty" not in metadata_of(tmp_path / "m")["model"]
    assert load_model(tmp_path / "m").novelty is None


FEATURES = "novelty.0.features"


@pytest.mark.parametrize(
    ("edit", "tensors", "words"),
    [
        (None, {FEATURES: np.zeros((30, 4), np.float16)}, r"keeps of resnet50 have shape \(30, 4\)"),
        (None, {FEATURES: np.zeros((29, 5), np.float16)}, r"keeps of resnet50 have shape \(29, 5\)"),
        (None, {FEATURES: np.zeros((30, 5), np.float32)}, "type float32, expected .* float16"),
        (None, {FEATURES: np.zeros((30, 5, 1), np.float16)}, "have shape"),
        (None, {FEATURES: np.zeros((), np.float16)}, "have shape"),
        (None, {FEATURES: np.full((30, 5), np.nan, np.float16)}, "are not finite"),
        (None, {FEATURES: np.full((30, 5), np.inf, np.float16)}, "are not finite"),
        (None, {FEATURES: None}, "2 scales, and there are features of 1 backbones"),
        (None, {"novelty.2.features": np.zeros((30, 5), np.float16)}, "tensors differ"),
        (None, {"novelty.calibration": None}, "tensors differ"),
        (None, {"novelty.calibration": np.zeros(0, np.float32)}, r"have shape \(0,\)"),
        (None, {"novelty.calibration": np.zeros(41, np.float32)}, r"have shape \(41,\)"),
        (None, {"novelty.calibration": np.zeros(25, np.float16)}, "expected .* float32"),
        (None, {"novelty.calibration": np.zeros((5, 5), np.float32)}, r"have shape \(5, 5\)"),
        (None, {"novelty.calibration": np.arange(25, 0, -1, dtype=np.float32)}, "not ascending"),
        (None, {"novelty.calibration": np.full(25, np.nan, np.float32)}, "not ascending"),
        (None, {"novelty.calibration": np.full(25, -1, np.float32)}, "not ascending"),
        (_set("novelty", "k", value=0), {}, "number 0, expected 1 or more"),
        (_set("novelty", "k", value=-1), {}, "number -1, expected 1 or more"),
        (_set("novelty", "k", value=31), {}, "expected .31 to 40, 5"),
        (_set("novelty", "k", value=True), {}, "k is a JSON bool"),
        (_set("novelty", "k", value=5.0), {}, "k is a JSON float"),
        (_set("novelty", "scales", value=[0.5]), {}, "has 1 scales"),
        (_set("novelty", "scales", value=[0.5, 0.0]), {}, "is 0.0, expected a positive number"),
        (_set("novelty", "scales", value=[-0.5, 1.0]), {}, "is -0.5, expected a positive number"),
        (_set("novelty", "scales", value=["a", 1.0]), {}, "scales is a JSON str"),
        (_set("novelty", "more", value=1), {}, "keys of novelty"),
        (_set("novelty", value=[]), {}, "novelty is a JSON list"),
        (_set("n_kept", value=1), {}, "keys of the description"),
        (lambda described: described.pop("novelty"), {}, "tensors differ"),
    ],
)
def test_a_forged_file_is_refused(
    tmp_path: Path,
    edit: Callable[[dict[str, Any]], object] | None,
    tensors: dict[str, NDArray[Any] | None],
    words: str,
) -> None:
    save_model(model_with_features(), tmp_path / "m")
    rewrite(tmp_path / "m", edit, tensors=tensors)
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("version", ["3", "4", "5"])
def test_what_is_kept_is_no_part_of_older_versions(tmp_path: Path, version: str) -> None:
    save_model(model_with_features(), tmp_path / "m")
    rewrite(tmp_path / "m", format_version=version)
    with pytest.raises(ModelError, match="novelty"):
        load_model(tmp_path / "m")


# What training images counted for


@pytest.mark.parametrize("weights", ["balanced", {"coat": 1.0, "h\udce4t": 2.5, "Schuh 鞋": 3.0}, None])
@pytest.mark.parametrize("column", [None, "how sure"])
def test_weights_come_back(tmp_path: Path, weights: str | dict[str, float] | None, column: str | None) -> None:
    save_model(replace(made_model(), class_weight=weights, weight_column=column), tmp_path / "m")
    found = load_model(tmp_path / "m")
    assert (found.class_weight, found.weight_column) == (weights, column)
    is_plain = weights is None and column is None
    assert metadata_of(tmp_path / "m")["format_version"] == ("3" if is_plain else "6")
    training = json.loads(metadata_of(tmp_path / "m")["model"])["training"]
    assert ("class_weight" in training, "weight_column" in training) == (weights is not None, column is not None)


def test_many_weights_are_not_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_CLASSES_SHOWN", 2)
    lines = summary.model_lines(replace(made_model(), class_weight={"coat": 1.0, "h\udce4t": 2.5, "Schuh 鞋": 3.0}))
    assert [line for line in lines if line.endswith("class weights coat 1, h\udce4t 2.5 and 1 more")]
    assert "  classes: coat, h\udce4t and 1 more" in lines


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("class_weight", "blanced", "weights of its classes are 'blanced'"),
        ("class_weight", {"coat": 1.0}, "a number above 0 for each of its own"),
        ("class_weight", {"coat": 1.0, "h\udce4t": 0.0, "Schuh 鞋": 1.0}, "a number above 0"),
        ("class_weight", {"coat": "1", "h\udce4t": 1.0, "Schuh 鞋": 1.0}, "class_weight is a JSON str"),
        ("class_weight", [1.0, 1.0, 1.0], "class_weight is a JSON list"),
        ("class_weight", None, "class_weight is a JSON NoneType"),
        ("weight_column", 1, "weight_column is a JSON int"),
        ("weights", "balanced", "keys of training"),
    ],
)
def test_forged_weights_are_refused(tmp_path: Path, name: str, value: object, words: str) -> None:
    save_model(replace(made_model(), class_weight="balanced"), tmp_path / "m")
    rewrite(tmp_path / "m", _set("training", name, value=value))
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m")
