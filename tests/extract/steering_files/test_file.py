"""A steering file gives back what was written, the same bytes every time, or is refused with the next step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from stackbone.cache import CacheError, FeatureSpec, NewerVersionError, UsageError, WeightsError
from stackbone.cache.tensor_file import read_content
from stackbone.extract.steering_files.file import (
    _checksum,
    find_steering,
    list_steering_files,
    read_steering,
    write_steering,
)
from stackbone.extract.steering_files.steering import Steering
from tests.made.checkout import ARCHIVES

SPEC = FeatureSpec(
    architecture="vit_base_patch16_224.augreg2_in21k_ft_in1k",
    weights="sha256:" + "ab" * 32,
    input_size=(224, 224),
    crop_fraction=0.9,
    crop_mode="center",
    interpolation="bicubic",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    pooling="model",
)


def make_steering(**changes: Any) -> Steering:  # noqa: ANN401 - fields of many types
    rng = np.random.default_rng(0)
    steering = Steering(
        method="toast",
        stage="tune",
        backbone="vit_base",
        spec=SPEC,
        options={"value_bias": True},
        classes=["cat", "größe", "b'\udcff'"],
        seen=rng.integers(0, 256, (5, 32), dtype=np.uint8),
        division={"cv": 3, "seed": 0, "fold": 1},
        training={"epochs": 2, "seed": 0, "parent": None, "versions": {"torch": "2"}},
        history=[{"loss": 1.5, "lr": 0.01}, {"loss": 1.25, "lr": 0.005}],
        tensors={
            "xi": rng.standard_normal(4, dtype=np.float32),
            "select": rng.standard_normal((4, 3), dtype=np.float32).T,
            "scale": np.array(0.5, np.float32),
            "head.bias": np.zeros(3, np.float32),
        },
    )
    return replace(steering, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_steering(tmp_path / "a.safetensors", make_steering())
    return tmp_path / "a.safetensors"


def test_a_steering_comes_back_as_it_was(path: Path) -> None:
    written = make_steering()
    found, sha256 = read_steering(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for name in ("method", "stage", "backbone", "spec", "options", "classes", "division", "training", "history"):
        assert getattr(found, name) == getattr(written, name), name
    np.testing.assert_array_equal(found.seen, written.seen)
    assert found.tensors.keys() == written.tensors.keys()
    for name, array in written.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], array)
        assert (str(found.tensors[name].dtype), found.tensors[name].shape) == ("float32", array.shape)


def test_a_file_of_version_1_opens() -> None:
    found, sha256 = read_steering(ARCHIVES / "steering-v1.safetensors")
    assert sha256 == "608ea509fee7df17c42ec86a259874497d56a545fb6f8001fccac77c11c55a1d"
    assert (found.method, found.stage, found.backbone) == ("toast", "tune", "timm:convnext_tiny.fb_in22k")
    assert (found.name, found.recipe) == (
        "convnext_tiny.fb_in22k_toast",
        "dc5a6ca8a469c1e694fcb3ae06a520135243358ba908e593292f5a691116b895",
    )
    assert (found.spec.input_size, found.spec.crop_mode, found.spec.weights) == ((288, 256), "squash", "random(7)")
    assert (found.options, found.classes) == ({"rank": 4}, ["cat", "größe", "b'\udcff'"])
    assert found.seen.tobytes() == b"".join(hashlib.sha256(b"image %d" % i).digest() for i in range(3))
    assert found.division == {"cv": 3, "seed": 0, "fold": 1}
    assert found.training == {"epochs": 2, "seed": 0, "parent": None, "versions": {"torch": "2.14.1"}}
    assert found.history == [{"loss": 1.5, "accuracy": 0.25}, {"loss": 0.75, "accuracy": 0.5}]
    assert {name: array.tolist() for name, array in found.tensors.items()} == {
        "select": [[0.0, 0.125, 0.25, 0.375], [0.5, 0.625, 0.75, 0.875], [1.0, 1.125, 1.25, 1.375]],
        "head.bias": [0.5, 0.0, -0.25],
    }


def test_the_same_steering_is_the_same_file(tmp_path: Path) -> None:
    digests = {write_steering(tmp_path / f"{i}.safetensors", make_steering()) for i in range(20)}
    assert digests == {hashlib.sha256((tmp_path / "0.safetensors").read_bytes()).hexdigest()}


def test_any_safetensors_reader_opens_it(path: Path) -> None:
    tensors = load_file(path)
    assert sorted(tensors) == ["head.bias", "scale", "seen", "select", "xi"]
    with safe_open(path, framework="np") as opened:
        assert json.loads(opened.metadata()["stackbone-steering"])["steering"]["method"] == "toast"


@pytest.mark.parametrize(
    ("method", "backbone", "architecture", "name"),
    [
        ("toast", "vit_base", "vit_base_patch16_224.x", "vit_toast"),
        ("toast-lite", "timm:deit_tiny_patch16_224.fb_in1k", "deit_tiny_patch16_224.fb_in1k", "vit_toast_lite"),
        ("toast", "timm:convnext_tiny.fb_in22k", "convnext_tiny.fb_in22k", "convnext_tiny.fb_in22k_toast"),
        ("lora", "vit_base", "vit_base_patch16_224.x", "vit_base_lora"),
        ("vpt", "timm:test_vit.r160_in1k", "test_vit.r160_in1k", "test_vit.r160_in1k_vpt"),
        ("finetune", "resnet50", "resnet50.tv_in1k", "resnet50_finetune"),
    ],
)
def test_the_steered_backbone_is_named_after_its_method(
    method: str, backbone: str, architecture: str, name: str
) -> None:
    spec = replace(SPEC, architecture=architecture)
    assert make_steering(method=method, backbone=backbone, spec=spec).name == name


def test_the_recipe_is_that_of_all_folds_and_seeds() -> None:
    recipe = make_steering().recipe
    other_fold = make_steering(
        division={"cv": 3, "seed": 0, "fold": 2},
        seen=np.zeros((0, 32), np.uint8),
        history=[],
        tensors={},
        classes=["cat"],
        training={"epochs": 2, "seed": 1, "parent": None, "versions": {"torch": "3"}},
    )
    assert other_fold.recipe == recipe
    training: dict[str, Any] = {"epochs": 2, "seed": 0, "parent": None, "versions": {}}
    others: list[dict[str, Any]] = [
        {"method": "toast-lite"},
        {"stage": "pretune"},
        {"options": {"value_bias": False}},
        {"spec": replace(SPEC, weights="sha256:" + "cd" * 32)},
        {"training": {**training, "epochs": 3}},
        {"training": {**training, "parent": "ab" * 32}},
    ]
    assert len({recipe, *(make_steering(**changes).recipe for changes in others)}) == len(others) + 1


def test_the_record_says_what_was_seen() -> None:
    steering = make_steering()
    record = steering.record("ef" * 32)
    assert record.steering == "ef" * 32
    np.testing.assert_array_equal(record.digests, steering.seen)
    assert record.description == {
        "method": "toast",
        "stage": "tune",
        "backbone": "vit_base",
        "recipe": steering.recipe,
        "division": {"cv": 3, "seed": 0, "fold": 1},
        "seed": 0,
        "parent_seen": None,
    }


# Refusals on writing


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "magic"}, "its method is 'magic'"),
        ({"stage": "pretuning"}, "in stage 'pretuning'"),
        ({"spec": replace(SPEC, steering="ab" * 32)}, "not that of the plain backbone"),
        ({"spec": replace(SPEC, precision="bf16")}, "not that of the plain backbone's fp32 features"),
        ({"seen": np.zeros((2, 31), np.uint8)}, r"not \(n, 32\) uint8"),
        ({"tensors": {"xi": np.array([np.nan], np.float32)}}, r"\['xi'\] are not of finite float32"),
        ({"tensors": {"xi": np.zeros(2)}}, r"\['xi'\] are not of finite float32"),
        ({"history": [{"loss": float("nan")}]}, "not JSON compliant"),
        ({"options": {"rank": object()}}, "not JSON serializable"),
        ({"backbone": "vit/base", "method": "lora"}, "unknown backbone"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=words):
        write_steering(tmp_path / "a.safetensors", make_steering(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"could not write .*file/a\.safetensors"):
        write_steering(tmp_path / "file" / "a.safetensors", make_steering())


# Refusals on reading


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError, match=r"`stackbone steer`") as caught:
        read_steering(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the metadata or tensors of a file, checksum and all left as they are."""
    tensors = load_file(path)
    with safe_open(path, framework="np") as opened:
        metadata = json.loads(opened.metadata()["stackbone-steering"])
    change(metadata, tensors)
    save_file(tensors, path, {"stackbone-steering": json.dumps(metadata)})


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    assert "not a whole safetensors file" in refusal(path)


def test_flipped_bits_are_found(path: Path) -> None:
    content = path.read_bytes()
    for offset in range(0, len(content), 97):
        path.write_bytes(content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :])
        with pytest.raises((WeightsError, NewerVersionError)):
            read_steering(path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"conv.weight": np.zeros(3, np.float32)}, tmp_path / "w.safetensors", {"format": "pt"})
    assert "of something else" in refusal(tmp_path / "w.safetensors")


def test_tensors_of_other_types_are_refused(path: Path) -> None:
    rewrite(path, lambda _metadata, tensors: tensors.update(xi=tensors["xi"].astype(np.float64)))
    assert "F64" in refusal(path)


@pytest.mark.parametrize("name", ["xi", "seen"])
def test_a_changed_tensor_is_refused(path: Path, name: str) -> None:
    rewrite(path, lambda _metadata, tensors: tensors.update({name: tensors[name][:-1]}))
    assert "its checksum does not match" in refusal(path)


def test_an_image_taken_off_the_record_is_refused(path: Path) -> None:
    rewrite(path, lambda metadata, _tensors: metadata["steering"].update(division=None))
    assert "its checksum does not match" in refusal(path)


def test_a_newer_version_is_told_apart_from_damage(path: Path) -> None:
    rewrite(path, lambda metadata, _tensors: metadata.update(format_version=2))
    with pytest.raises(NewerVersionError, match=r"version 2, .*reads up to 1.*pip install -U stackbone"):
        read_steering(path)


@pytest.mark.parametrize("version", [0, "1", None, True])
def test_a_version_that_never_was_is_refused(path: Path, version: object) -> None:
    rewrite(path, lambda metadata, _tensors: metadata.update(format_version=version))
    assert "its metadata" in refusal(path)


def test_metadata_that_are_no_json_are_refused(path: Path) -> None:
    for text in ("{", "[]", "[" * 100_000, '{"format_version": NaN}'):
        save_file({"seen": np.zeros((0, 32), np.uint8)}, path, {"stackbone-steering": text})
        refusal(path)


def renew(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of a file and renew its checksum, as whoever can write the file may."""

    def changed(metadata: dict[str, Any], tensors: dict[str, Any]) -> None:
        change(metadata["steering"])
        metadata["sha256"] = _checksum(metadata["steering"], tensors)

    rewrite(path, changed)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("options", {"rank": 10**12}, "rank is 1000000000000, and none of its tensors has such a side"),
        ("options", {"rank": 5}, "none of its tensors"),
        ("options", {"rank": True}, "none of its tensors"),
        ("options", {"n_prompts": 10**9}, "n_prompts is 1000000000, and none of its tensors"),
        ("options", {"n_prompts": 4.0}, "none of its tensors"),
        ("options", {"blocks": 10**400}, "beyond all bounds"),
        ("training", {"seed": 1 << 32}, "its seed is 4294967296"),
        ("training", {"seed": -1}, "its seed is -1"),
        ("training", {"seed": 0, "epochs": 10**400}, "beyond all bounds"),
        ("history", [{"loss": 10**400}], "not a number within bounds"),
        ("history", [{"loss": 1.0}, {"accuracy": 1.0}], "the same facts"),
        ("history", [{"validation_accuracy": 1.0}], "the same facts"),
        ("spec", {"input_size": [10**9, 10**9]}, "no input_size"),
        ("spec", {"input_size": [0, 224]}, "no input_size"),
        ("spec", {"crop_fraction": 1e-300}, "no crop_fraction"),
        ("spec", {"std": [1e-300, 1.0, 1.0]}, "no mean and std"),
        ("spec", {"mean": [1e300, 1.0, 1.0]}, "no mean and std"),
        ("spec", {"architecture": "hf-hub:evil/model"}, "no architecture"),
        ("division", {"cv": 10**30, "seed": 0, "fold": 1}, "division"),
    ],
)
def test_a_number_or_name_beyond_its_bounds_is_refused_though_the_checksum_holds(
    path: Path,
    field: str,
    value: Any,  # noqa: ANN401 - any JSON
    words: str,
) -> None:
    def change(described: dict[str, Any]) -> None:
        described[field] = {**described["spec"], **value} if field == "spec" else value

    renew(path, change)
    assert words in refusal(path)


@pytest.mark.parametrize("options", [{"rank": 4}, {"n_prompts": 3}, {"value_bias": False}, {"blocks": None}])
def test_options_that_fit_the_tensors_are_taken(path: Path, options: dict[str, Any]) -> None:
    renew(path, lambda described: described.update(options=options))
    assert read_steering(path)[0].options == options


@pytest.mark.parametrize("place", ["pipe", "folder", "/dev/zero", "huge"])
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 42)  # sparse
    assert "cannot be read" in refusal(tmp_path / place)


def test_a_file_is_read_once_and_what_was_hashed_is_what_is_parsed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_steering(tmp_path / "other.safetensors", make_steering(backbone="resnet50"))
    read: list[Path] = []

    def swapped(place: Path) -> bytes:
        content = read_content(place)
        read.append(place)
        os.replace(tmp_path / "other.safetensors", place)  # the moment it was read, another takes its place
        return content

    monkeypatch.setattr("stackbone.extract.steering_files.file.read_content", swapped)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    found, sha256 = read_steering(path)
    assert (found.backbone, sha256, read) == ("vit_base", expected, [path])


def test_a_steering_is_found_by_its_digest_among_files_that_are_read_once_and_need_not_be_sound(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0.safetensors").write_bytes(b"damaged")
    (tmp_path / "z.safetensors").write_bytes(b"not looked at")
    read: list[str] = []

    def noted(place: Path) -> bytes:
        read.append(place.name)
        return read_content(place)

    monkeypatch.setattr("stackbone.extract.steering_files.file.read_content", noted)
    found = find_steering(hashlib.sha256(path.read_bytes()).hexdigest(), [tmp_path])
    assert found is not None
    assert (found[0], found[1].backbone) == (path, "vit_base")
    assert read == ["0.safetensors", "a.safetensors"]
    assert find_steering("ab" * 32, [tmp_path]) is None


# The list of files


def test_a_folder_stands_for_its_files(path: Path, tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(path.read_bytes())
    (tmp_path / "notes.txt").touch()
    assert list_steering_files([tmp_path / "b.safetensors", tmp_path]) == [tmp_path / "b.safetensors", path]
    assert list_steering_files([]) == []


def test_a_path_without_steerings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \*\.safetensors.*`stackbone steer`"):
        list_steering_files([tmp_path])
    with pytest.raises(UsageError, match="there is no such file"):
        list_steering_files([tmp_path / "gone.safetensors"])
