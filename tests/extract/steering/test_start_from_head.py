"""A head on the frozen backbone, trained on views too, is where fine-tuning goes on from, and its gain is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from stackbone.cache import UsageError
from stackbone.cache.records.views import expand_views
from stackbone.extract.engines.network import build_network
from stackbone.extract.images.decode import decode, quiet_pillow
from stackbone.extract.steering.batches import PixelStore, split_for_validation
from stackbone.extract.steering.steer import SteerOptions, SteerReport, TrainingImages, steer
from stackbone.extract.steering_files.file import read_steering
from stackbone.extract.views.views import make_views
from tests.extract.steering.test_steer import CNN, VIT, WEIGHTS, make_images

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SAME: dict[str, Any] = {"batch_size": 8, "validation": 0.25, "precision": "fp32"}
LINEAR = SteerOptions("linear", epochs=20, warmup=0, learning_rate=0.1, optimiser="adamw", **SAME)
FINETUNE = SteerOptions("finetune", epochs=2, warmup=0, learning_rate=1e-5, **SAME)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, images: TrainingImages) -> SteerReport:
    return steer(images, CNN, WEIGHTS, tmp_path_factory.mktemp("heads") / "head.safetensors", LINEAR)


def features(images: TrainingImages, views: Sequence[str]) -> NDArray[np.float32]:
    """Embed the views of each image by the plain network, ``(n_views, n, dim)``."""
    network = build_network(CNN, WEIGHTS).eval()
    rows = []
    for path, digest in zip(images.paths, images.digests, strict=True):
        made = make_views(decode(Path(path).read_bytes()), CNN.transform, views, digest.tobytes())
        with torch.inference_mode():
            rows.append(network(torch.from_numpy(np.stack(list(made.values())))).numpy())
    return np.stack(rows, axis=1)


# From a head


def test_finetuning_goes_on_from_the_head_and_says_what_it_gained(
    tmp_path: Path, images: TrainingImages, head: SteerReport
) -> None:
    started = steer(images, CNN, WEIGHTS, tmp_path / "f.safetensors", FINETUNE, start=head.path)
    training = started.steering.training
    kept = head.steering.history[head.best_epoch - 1]
    assert training["start_accuracy"] == pytest.approx(kept["validation_accuracy"], abs=1e-9)
    (line,) = [line for line in started.lines() if "head" in line]
    gain = started.steering.history[started.best_epoch - 1]["validation_accuracy"] - training["start_accuracy"]
    assert f"validation accuracy {training['start_accuracy']:.1%}, {100 * gain:+.1f} points since" in line
    assert training["head"] == head.sha256
    again, _ = read_steering(started.path)
    assert again.training == training
    new = steer(images, CNN, WEIGHTS, tmp_path / "new.safetensors", FINETUNE)
    assert new.steering.history[0]["loss"] > started.steering.history[0]["loss"] + 0.05  # a new head knows nothing yet
    assert new.steering.training.keys() == training.keys() - {"head", "head_recipe", "start_accuracy"}


def test_head_and_backbone_are_trained_at_one_rate_from_the_first_step(
    tmp_path: Path, images: TrainingImages, head: SteerReport
) -> None:
    options = replace(FINETUNE, epochs=1, optimiser="sgd", learning_rate=1e-3, momentum=0.0, weight_decay=0.0)
    options = replace(options, batch_size=1000, augment=False)
    found = steer(images, CNN, WEIGHTS, tmp_path / "f.safetensors", options, start=head.path).steering
    network = build_network(CNN, WEIGHTS).eval().requires_grad_()
    labels, n_images = sorted(set(images.labels)), len(images.paths)
    order = np.argsort([digest.tobytes() for digest in images.digests])  # as images are listed in training
    training, _ = split_for_validation({row: images.labels[i] for row, i in enumerate(order)}, 0.25, 0)
    chosen = order[training]
    with quiet_pillow():
        store = PixelStore([images.paths[i] for i in chosen], images.digests[chosen], CNN.transform)
        ((_, pixels),) = store.plain_batches(range(len(chosen)), n_images)
    weight, bias = (
        torch.from_numpy(head.steering.tensors[f"head.{name}"]).requires_grad_() for name in ("weight", "bias")
    )
    codes = torch.tensor([labels.index(images.labels[i]) for i in chosen])
    F.cross_entropy(network(torch.from_numpy(pixels)) @ weight.T + bias, codes).backward()  # type: ignore[no-untyped-call]
    rate = options.rate(0.5)
    assert weight.grad is not None
    np.testing.assert_allclose(found.tensors["head.weight"], (weight - rate * weight.grad).detach(), atol=1e-6)
    steps = {
        name: float(np.abs(found.tensors[f"body.{name}"] - parameter.detach().numpy()).max())
        for name, parameter in network.named_parameters()
        if f"body.{name}" in found.tensors
    }
    for name, parameter in network.named_parameters():
        if name in steps and parameter.grad is not None:
            assert steps[name] == pytest.approx(float(rate * parameter.grad.abs().max()), rel=0.05, abs=1e-7)


def test_the_rate_is_by_default_that_of_a_backbone_below_a_new_head(
    tmp_path: Path, images: TrainingImages, head: SteerReport
) -> None:
    options = replace(FINETUNE, learning_rate=None, epochs=1)
    found = steer(images, CNN, WEIGHTS, tmp_path / "f.safetensors", options, start=head.path)
    assert found.steering.training["learning_rate"] == pytest.approx(1e-5)
    assert steer(images, CNN, WEIGHTS, tmp_path / "f.safetensors", options, start=head.path).already_done


def test_a_start_saw_what_its_head_saw(tmp_path: Path, images: TrainingImages, head: SteerReport) -> None:
    part = TrainingImages(images.paths[:24], images.digests[:24], images.labels[:24])
    found = steer(part, CNN, WEIGHTS, tmp_path / "f.safetensors", replace(FINETUNE, epochs=1), start=head.path)
    assert len(found.steering.seen) == len(images.paths)


def test_without_validation_no_gain_is_told(tmp_path: Path, images: TrainingImages, head: SteerReport) -> None:
    options = replace(FINETUNE, epochs=1, validation=0.0)
    found = steer(images, CNN, WEIGHTS, tmp_path / "f.safetensors", options, start=head.path)
    assert found.steering.training["start_accuracy"] is None
    assert not any("points since" in line for line in found.lines())


@pytest.mark.parametrize("method", ["lora", "toast", "linear"])
def test_other_methods_do_not_go_on_from_a_head(
    tmp_path: Path, images: TrainingImages, head: SteerReport, method: str
) -> None:
    with pytest.raises(UsageError, match=r"cannot continue it|needs no start"):
        steer(images, VIT, WEIGHTS, tmp_path / "f.safetensors", replace(FINETUNE, method=method), start=head.path)


def test_a_head_of_other_classes_is_refused(tmp_path: Path, images: TrainingImages, head: SteerReport) -> None:
    other = replace(images, labels=["d" if label == "c" else label for label in images.labels])
    with pytest.raises(UsageError, match=r"knows 'a', 'b', 'c', and these images are of 'd' too"):
        steer(other, CNN, WEIGHTS, tmp_path / "f.safetensors", FINETUNE, start=head.path)


def test_fewer_classes_take_their_rows_of_the_head(tmp_path: Path, images: TrainingImages, head: SteerReport) -> None:
    rows = [row for row, label in enumerate(images.labels) if label != "a"]
    part = TrainingImages([images.paths[i] for i in rows], images.digests[rows], [images.labels[i] for i in rows])
    found = steer(part, CNN, WEIGHTS, tmp_path / "f.safetensors", replace(FINETUNE, epochs=1), start=head.path)
    assert found.steering.classes == ["b", "c"]
    np.testing.assert_allclose(found.steering.tensors["head.bias"], head.steering.tensors["head.bias"][1:], atol=1e-3)


# One head for each fold


def divided(images: TrainingImages, fold: int) -> tuple[TrainingImages, dict[str, Any]]:
    rows = [row for row in range(len(images.paths)) if row // 3 % 3 != fold]
    part = TrainingImages([images.paths[i] for i in rows], images.digests[rows], [images.labels[i] for i in rows])
    return part, {"cv": 3, "fold": fold + 1, "seed": 0}


def test_each_fold_goes_on_from_its_own_head(tmp_path: Path, images: TrainingImages) -> None:
    heads = tmp_path / "heads"
    made = []
    for fold in range(3):
        part, division = divided(images, fold)
        steer(part, CNN, WEIGHTS, heads / f"{fold}.safetensors", replace(LINEAR, epochs=1), division=division)
    for fold in range(3):
        part, division = divided(images, fold)
        options = replace(FINETUNE, epochs=1)
        out = tmp_path / f"{fold}.safetensors"
        made.append(steer(part, CNN, WEIGHTS, out, options, start=heads, division=division).steering)
        assert len(made[-1].seen) == len(part.paths)  # what the fold tests, the head never saw
    assert len({each.recipe for each in made}) == 1
    assert len({each.training["head"] for each in made}) == 3
    with pytest.raises(UsageError, match=r"expected one steering of timm:steer_micro_cnn on all images .* none among"):
        steer(images, CNN, WEIGHTS, tmp_path / "all.safetensors", FINETUNE, start=heads)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"--start .*: the folder holds no"):
        steer(images, CNN, WEIGHTS, tmp_path / "all.safetensors", FINETUNE, start=tmp_path / "empty")


# Trained on views


def test_a_head_on_views_learns_from_all_of_them_and_is_validated_on_the_plain_one(
    tmp_path: Path, images: TrainingImages
) -> None:
    views = expand_views("plain,hflip,augment:2")
    options = replace(LINEAR, epochs=1, optimiser="sgd", momentum=0.0, weight_decay=0.0, views="plain,hflip,augment:2")
    options = replace(options, batch_size=1000, validation=0.25)
    found = steer(images, CNN, WEIGHTS, tmp_path / "h.safetensors", options).steering
    order = np.argsort([digest.tobytes() for digest in images.digests])
    labels = {row: images.labels[i] for row, i in enumerate(order)}
    training, validation = split_for_validation(labels, 0.25, 0)
    embedded = features(images, views)[:, order]
    codes = np.array(["abc".index(labels[row]) for row in range(len(order))])
    x = torch.from_numpy(np.concatenate(embedded[:, training]))
    weight, bias = torch.zeros(3, x.shape[1], requires_grad=True), torch.zeros(3, requires_grad=True)
    F.cross_entropy(x @ weight.T + bias, torch.from_numpy(np.tile(codes[training], len(views)))).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    step = -options.rate(0.5) * weight.grad.numpy()
    np.testing.assert_allclose(found.tensors["head.weight"], step, atol=1e-5)
    decided = embedded[0][validation] @ found.tensors["head.weight"].T + found.tensors["head.bias"]
    accuracy = (decided.argmax(axis=1) == codes[validation]).mean()
    assert found.history[0]["validation_accuracy"] == pytest.approx(accuracy)


def test_views_make_another_head_and_no_views_the_same_as_ever(tmp_path: Path, images: TrainingImages) -> None:
    plain = replace(LINEAR, epochs=1)
    assert "views" not in plain.described()
    one = steer(images, CNN, WEIGHTS, tmp_path / "1.safetensors", plain).steering
    two = steer(images, CNN, WEIGHTS, tmp_path / "2.safetensors", replace(plain, views="plain, hflip")).steering
    assert "views" not in one.training
    assert two.training["views"] == "plain,hflip"
    assert one.recipe != two.recipe


def test_views_of_a_method_that_crops_by_itself_are_refused(tmp_path: Path, images: TrainingImages) -> None:
    for method in ("finetune", "lora", "toast"):
        with pytest.raises(UsageError, match=rf"--views is for a head .*: {method} draws another crop"):
            steer(images, VIT, WEIGHTS, tmp_path / "f.safetensors", replace(FINETUNE, method=method, views="hflip"))
