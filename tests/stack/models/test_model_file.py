"""A model's file comes back bit for bit, and whatever is not such a file is refused without running any of it."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from stackbone.cache import CacheError, FeatureSpec, ModelError, UsageError, feature_set_id
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, shorten_digests
from stackbone.stack.models.model_file import FORMAT_VERSION, _checksum, load_model, save_model
from stackbone.stack.solvers.linear import LinearMap

DIMS = {"resnet50": 5, "vgg19": 4}
BLOCKS = {name: np.random.default_rng(3).normal(size=(6, dim)).astype(np.float32) for name, dim in DIMS.items()}


def made_map(seed: int, dim: int, n_outputs: int) -> LinearMap:
    rng = np.random.default_rng(seed)
    coef = rng.normal(size=(dim, n_outputs)).astype(np.float32)
    mean = rng.normal(size=dim).astype(np.float32) if seed % 2 else None
    return LinearMap(coef, rng.normal(size=n_outputs).astype(np.float32), mean)


def made_model() -> StackModel:
    half = (0.5, 0.5, 0.5)
    spec = FeatureSpec("net.tag", "sha256:00", (224, 224), 0.875, "center", "bicubic", half, half, "avg", "bf16")
    return StackModel(
        task="classification",
        classes=["coat", "h\udce4t", "Schuh 鞋"],  # a folder's name may hold bytes that are not UTF-8
        backbones=[ModelBackbone(name, feature_set_id(name, spec), spec) for name in DIMS],
        bases=[made_map(i, dim, 3) for i, dim in enumerate(DIMS.values())],
        learner="svm",
        scores="probability",
        combine="concat",
        meta_linear=made_map(9, 6, 3),
        scale=1.7,
        n_images=40,
        digests_sha256="ab" * 32,
        score={"accuracy": "0.905 ± 0.004 (3 folds)", "log-loss": 0.25, "folds": 3},
        versions={"numpy": "2.0"},
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a sound model's file."""
    save_model(made_model(), tmp_path / "clothes.stackbone")
    return tmp_path / "clothes.stackbone"


def metadata_of(file: Path) -> dict[str, str]:
    content = file.read_bytes()
    found: dict[str, str] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return found


def rewrite(
    file: Path,
    edit: Callable[[dict[str, Any]], object] | None = None,
    *,
    tensors: dict[str, np.ndarray[Any, Any] | None] | None = None,
    **metadata: str,
) -> None:
    """Change a file as an attacker would who knows the format: the checksum is right again."""
    arrays = dict(load(file.read_bytes()))
    for name, array in (tensors or {}).items():
        if array is None:
            del arrays[name]
        else:
            arrays[name] = array
    found = metadata_of(file)
    if edit:
        described = json.loads(found["model"])
        edit(described)
        found["model"] = json.dumps(described)
    found |= metadata
    found["sha256"] = _checksum(found, arrays)
    file.write_bytes(save(arrays, found))


# Back as it was


def test_a_model_comes_back_bit_for_bit(file: Path) -> None:
    model, found = made_model(), load_model(file)
    assert found.log_probabilities(BLOCKS).tobytes() == model.log_probabilities(BLOCKS).tobytes()
    for name in ("task", "classes", "backbones", "learner", "scores", "combine", "scale", "n_images", "created"):
        assert getattr(found, name) == getattr(model, name), name
    assert (found.digests_sha256, found.score, found.versions) == (model.digests_sha256, model.score, model.versions)
    assert found.bases[1].coef.tobytes() == model.bases[1].coef.tobytes()


def test_the_training_images_come_back(tmp_path: Path) -> None:
    model, digests = made_model(), np.random.default_rng(0).integers(256, size=(9, 32), dtype=np.uint8)
    model = replace(model, n_images=9, seen=shorten_digests(digests))
    save_model(model, tmp_path / "m")
    found = load_model(tmp_path / "m")
    known = found.knows(np.concatenate([digests[:2], digests[:2] ^ 1]))
    assert known is not None
    assert known.tolist() == [True, True, False, False]
    assert made_model().knows(digests) is None
    wrong: Any
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.float32), np.zeros(72, np.uint8)):
        with pytest.raises(
            ModelError, match=r"digests of its training images have shape .*expected \(9, 8\) and uint8"
        ):
            replace(model, seen=wrong)


def test_a_mean_and_a_regression_come_back(tmp_path: Path) -> None:
    mean = replace(made_model(), learner="mean", meta_linear=None)
    save_model(mean, tmp_path / "mean")
    np.testing.assert_array_equal(
        load_model(tmp_path / "mean").log_probabilities(BLOCKS), mean.log_probabilities(BLOCKS)
    )
    regression = replace(
        made_model(),
        task="regression",
        classes=[],
        bases=[made_map(i, dim, 1) for i, dim in enumerate(DIMS.values())],
        learner="linear",
        scores="decision",
        meta_linear=made_map(9, 2, 1),
        scale=1.0,
    )
    save_model(regression, tmp_path / "regression")
    found = load_model(tmp_path / "regression").predict_values(BLOCKS)
    np.testing.assert_array_equal(found, regression.predict_values(BLOCKS))
    with pytest.raises(ModelError, match="its combination is 'average', expected one of concat"):
        replace(regression, combine="average", meta_linear=made_map(9, 1, 1))


def test_coefficients_in_any_memory_order_are_saved_alike(file: Path, tmp_path: Path) -> None:
    model = made_model()
    turned = [LinearMap(np.asfortranarray(base.coef), base.intercept, base.mean) for base in model.bases]
    save_model(replace(model, bases=turned), tmp_path / "turned")
    assert metadata_of(tmp_path / "turned") == metadata_of(file)
    np.testing.assert_array_equal(load_model(tmp_path / "turned").bases[0].coef, model.bases[0].coef)


def test_saving_replaces_the_file_and_leaves_nothing_else(file: Path) -> None:
    save_model(replace(made_model(), n_images=41), file)
    assert load_model(file).n_images == 41
    assert sorted(os.listdir(file.parent)) == [file.name, f"{file.name}.md"]


def test_saving_makes_the_folder_it_needs(tmp_path: Path) -> None:
    save_model(made_model(), tmp_path / "models" / "new" / "m.stackbone")
    assert load_model(tmp_path / "models" / "new" / "m.stackbone").n_images == 40


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path, tmp_path / "file" / "model"):
        with pytest.raises((CacheError, UsageError), match=rf"{place}.*name a"):
            save_model(made_model(), place)
    assert sorted(os.listdir(tmp_path)) == ["file"]


# Damaged, changed, newer


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent does not exist.*--save"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match="is a folder"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(ModelError, match="pipe"):
        load_model(tmp_path / "pipe")


def test_a_truncated_file_is_refused_at_any_length(file: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=f"{file.name} is not a valid model"):
            load_model(file)


def test_one_changed_bit_is_refused_wherever_it_is(file: Path) -> None:
    whole = file.read_bytes()
    places = [*range(0, len(whole), 97), len(whole) - 1]
    for place in places:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelError):
            load_model(file)


def test_a_newer_version_is_sound_and_asks_for_an_update(file: Path) -> None:
    rewrite(file, format_version=str(FORMAT_VERSION + 1))
    versions = rf"format version {FORMAT_VERSION + 1}.*reads up to {FORMAT_VERSION}"
    with pytest.raises(ModelError, match=rf"{versions}.*Update Stackbone.*nothing is wrong"):
        load_model(file)


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "one", "", "²", "9" * 5000])
def test_a_version_that_never_was_is_refused(file: Path, version: str) -> None:
    rewrite(file, format_version=version)
    with pytest.raises(ModelError, match="version"):
        load_model(file)


def test_other_safetensors_are_refused(file: Path) -> None:
    for metadata in (None, {}, {"format": "pt"}):
        file.write_bytes(save({"weight": np.zeros((2, 2), np.float32)}, metadata))
        with pytest.raises(ModelError, match="something else"):
            load_model(file)


# Hostile files whose checksum is right


class Hostile:
    """Pickles to an order to make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path) -> None:
    file, target = tmp_path / "model.stackbone", tmp_path / "owned"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(Hostile(target), protocol))
        with pytest.raises(ModelError, match="not a whole safetensors file"):
            load_model(file)
    assert not target.exists()
    pickle.loads(file.read_bytes())  # the pickle does bite
    assert target.exists()


def test_an_archive_with_a_pickle_in_it_is_refused_and_never_opened(tmp_path: Path) -> None:
    file, target = tmp_path / "model.stackbone", tmp_path / "owned"
    with file.open("wb") as stream:
        np.savez(stream, coef=np.array([Hostile(target)], object))
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(file)
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{", "1" * 5000, '{"task": NaN}', "[" * 100_000, '{"task": "classification"}'),
        '{"task": {"__reduce__": "os.system"}}',
    ],
)
def test_a_description_of_another_form_is_refused(file: Path, text: str) -> None:
    rewrite(file, model=text)
    with pytest.raises(ModelError, match="not a valid model"):
        load_model(file)


def _set(*path: str | int, value: object) -> Callable[[dict[str, Any]], object]:
    def edit(described: dict[str, Any]) -> None:
        place: Any = described
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_set("surprise", value=1), r"the description .*\['surprise'\]"),
        (_set("task", value="clustering"), "task is 'clustering'"),
        (_set("classes", value="coat"), "classes is a JSON str, expected list"),
        (_set("classes", 0, value=1), "classes is a JSON int, expected str"),
        (_set("classes", value=["coat", "hat"]), "shape"),
        (_set("meta", "scale", value=1), "meta.scale is a JSON int, expected float"),
        (_set("meta", "scale", value=1e400), "holds the number Infinity"),
        (_set("meta", "learner", value="mean"), r"tensors differ .*\['meta\.coef', 'meta\.intercept', 'meta\.mean'\]"),
        (_set("training", "n_images", value=True), "training.n_images is a JSON bool"),
        (_set("backbones", value=[]), "tensors differ"),
        (_set("backbones", 0, "spec", value={}), "the spec"),
        (_set("backbones", 0, "spec", "weights", value="sha256:01"), "is not that of the feature set"),
        (_set("backbones", 0, "spec", "version", value=2), "version 2"),
        (_set("backbones", 0, "feature_set", value="../../etc"), "is not that of the feature set"),
        (_set("score", value={"accuracy": [1]}), "score is a JSON list"),
        (_set("versions", value=[]), "versions is a JSON list"),
    ],
)
def test_a_wrong_description_is_refused(file: Path, edit: Callable[[dict[str, Any]], object], words: str) -> None:
    rewrite(file, edit)
    with pytest.raises(ModelError, match=words):
        load_model(file)


def test_a_number_that_overflows_is_refused(file: Path) -> None:
    described = metadata_of(file)["model"].replace('"scale": 1.7', '"scale": 1e999')
    rewrite(file, model=described)
    with pytest.raises(ModelError, match="calibration factor is inf"):
        load_model(file)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"base.1.coef": None}, r"tensors differ .*\['base\.1\.coef'\]"),
        ({"base.2.coef": np.zeros((3, 3), np.float32)}, r"tensors differ .*\['base\.2\.coef'\]"),
        ({"base.0.coef": np.zeros((5, 2), np.float32)}, r"expected \(dim, 3\)"),
        ({"base.0.coef": np.zeros(15, np.float32)}, r"shape \(15,\)"),
        ({"base.0.coef": np.zeros((0, 3), np.float32)}, r"shape \(0, 3\)"),
        ({"base.0.intercept": np.zeros((3, 1), np.float32)}, r"shape \(3, 1\)"),
        ({"meta.coef": np.zeros((5, 3), np.float32)}, r"expected \(6, 3\)"),
        ({"meta.coef": np.full((6, 3), np.nan, np.float32)}, "not finite"),
        ({"base.0.coef": np.zeros((5, 3), np.float64)}, r"\['base\.0\.coef'\] are of the types \['F64'\]"),
        ({"base.0.coef": np.zeros((5, 3), np.int32)}, r"\['base\.0\.coef'\] are of the types \['I32'\]"),
    ],
)
def test_wrong_tensors_are_refused(file: Path, tensors: dict[str, np.ndarray[Any, Any] | None], words: str) -> None:
    rewrite(file, tensors=tensors)
    with pytest.raises(ModelError, match=words):
        load_model(file)


# Views


def viewed_model() -> StackModel:
    model = made_model()
    first, *rest = model.backbones
    mirrored = replace(first.spec, view="hflip")
    others = ((feature_set_id("resnet50", mirrored), mirrored),)
    return replace(model, backbones=[replace(first, others=others), *rest], train_views=("plain", "augment0"))


def test_views_come_back_and_their_mean_is_taken(tmp_path: Path) -> None:
    model = viewed_model()
    save_model(model, tmp_path / "m")
    found = load_model(tmp_path / "m")
    assert (found.backbones, found.train_views) == (model.backbones, ("plain", "augment0"))
    assert metadata_of(tmp_path / "m")["format_version"] == "4"
    assert len(found.specs) == 3
    features = {identity: np.full((2, 5), place, np.float32) for place, identity in enumerate(found.specs)}
    np.testing.assert_array_equal(found.blocks(features)["resnet50"], np.full((2, 5), 0.5, np.float32))
    np.testing.assert_array_equal(found.blocks(features)["vgg19"], np.full((2, 5), 2, np.float32))


def test_a_model_without_views_is_written_as_earlier_versions_read_it(file: Path) -> None:
    assert metadata_of(file)["format_version"] == "3"
    assert "others" not in metadata_of(file)["model"]
    assert load_model(file).train_views == ("plain",)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m["training"].update(views=[]), "fitted on the views"),
        (lambda m: m["training"].update(views=["hflop"]), "fitted on the views"),
        (lambda m: m["training"].update(views="plain"), "views is a JSON str"),
        (lambda m: m["backbones"][0].update(others={}), "others is a JSON dict"),
        (lambda m: m["backbones"][0]["others"].append(m["backbones"][0]["others"][0]), "one of its feature sets twice"),
        (lambda m: m["backbones"][0]["others"][0].pop("spec"), "keys of others"),
        (lambda m: m["backbones"][0]["others"][0]["spec"].update(view="plain"), "is not that of the feature set"),
        (lambda m: m["training"].update(more=1), "keys of training"),
    ],
)
def test_views_that_make_no_sense_are_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    save_model(viewed_model(), tmp_path / "m")
    rewrite(tmp_path / "m", edit)
    with pytest.raises(ModelError, match=said):
        load_model(tmp_path / "m")
