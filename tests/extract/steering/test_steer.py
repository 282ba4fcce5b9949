"""One trainer for every method: it learns, comes out the same again, goes on after a kill, and refuses by name."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import subprocess
import sys
import textwrap
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from stackbone.cache import DatasetError, NewerVersionError, StackboneError, UsageError, WeightsError
from stackbone.cache.trainings.checkpoints import checkpoint_path, save_checkpoint
from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.network import build_network
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.extract.methods.method import OPTIMISERS, RECIPES, build_method, load_parameters
from stackbone.extract.methods.toast.top_down import TopDown
from stackbone.extract.networks.network import FeatureNetwork, build_body
from stackbone.extract.steering import training
from stackbone.extract.steering.batches import PixelStore
from stackbone.extract.steering.steer import (
    EpochReport,
    SteerOptions,
    SteerReport,
    TrainingImages,
    steer,
    steering_path,
)
from stackbone.extract.steering_files.file import read_steering, write_steering
from stackbone.extract.steering_files.steering import Steering
from tests.made.checkout import ROOT
from tests.made.commands import run_code

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WEIGHTS = random_weights(3)
TRANSFORM = Transform((16, 16), 1.0, "bilinear")
QUICK = SteerOptions("lora", epochs=3, warmup=1, batch_size=8, learning_rate=0.02, validation=0.2, precision="fp32")

default_cfgs = generate_default_cfgs(  # where timm looks for what a model of this module is
    {
        "steer_micro_vit.untagged": {"classifier": "head", "input_size": (3, 16, 16)},
        "steer_micro_cnn.untagged": {"classifier": "fc", "input_size": (3, 16, 16)},
    }
)


def steer_micro_vit(pretrained: bool = False, **options: Any) -> nn.Module:  # noqa: ANN401, FBT001, FBT002
    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 3}
    model: nn.Module = build_model_with_cfg(VisionTransformer, "steer_micro_vit", pretrained, **sizes | options)
    return model


def steer_micro_cnn(pretrained: bool = False, **options: Any) -> nn.Module:  # noqa: ANN401, FBT001, FBT002
    sizes = {"block": BasicBlock, "layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16), "stem_width": 8, "num_classes": 3}
    model: nn.Module = build_model_with_cfg(ResNet, "steer_micro_cnn", pretrained, **sizes | options)
    return model


if not timm.is_model("steer_micro_vit"):
    for entrypoint in (steer_micro_vit, steer_micro_cnn):
        register_model(entrypoint)


def backbone_of(architecture: str, pooling: str = "model") -> Backbone:
    half = (0.5, 0.5, 0.5)
    return Backbone(f"timm:{architecture}", architecture, TRANSFORM, half, half, pooling, "")


VIT = backbone_of("steer_micro_vit")
CNN = backbone_of("steer_micro_cnn", "avg")


def make_images(folder: Path, n: int = 36, seed: int = 0) -> TrainingImages:
    """Noise over one of three stripe patterns, which random networks tell apart by their features."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    paths, labels, digests = [], [], []
    for i in range(n):
        label = "abc"[i % 3]
        pixels = rng.integers(0, 100, (18, 20, 3))
        pixels[:, :, i % 3] += 140
        path = folder / f"{i:03}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        paths.append(str(path))
        labels.append(label)
        digests.append(hashlib.sha256(path.read_bytes()).digest())
    return TrainingImages(paths, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), labels)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    return make_images(tmp_path_factory.mktemp("images"))


def assert_same(found: Steering, expected: Steering) -> None:
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
    assert found.history == expected.history


def logits(steering: Steering, backbone: Backbone, images: TrainingImages) -> NDArray[np.float32]:
    """Return what the head says of the features that a network rebuilt from the file gives."""
    method = build_method(steering.method, build_body(backbone, WEIGHTS), steering.options)
    load_parameters(method, steering.tensors, "file")
    network = FeatureNetwork(method, replace(backbone, pooling="model")).eval()
    pixels = np.stack([np.array(Image.open(path).resize((16, 16))) for path in images.paths])
    with torch.inference_mode():
        features = network(torch.from_numpy(pixels)).numpy()
    found: NDArray[np.float32] = features @ steering.tensors["head.weight"].T + steering.tensors["head.bias"]
    return found


class TestEveryMethod:
    @pytest.mark.parametrize("method", RECIPES)
    def test_it_learns_and_its_file_rebuilds_it(self, tmp_path: Path, images: TrainingImages, method: str) -> None:
        options = replace(QUICK, method=method, epochs=8, augment=False, learning_rate=0.01)
        epochs: list[EpochReport] = []
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, on_epoch=epochs.append)
        steering = report.steering
        assert steering.method == method
        assert steering.backbone == "timm:steer_micro_vit"
        assert steering.spec == VIT.spec(WEIGHTS.identity)
        assert steering.classes == ["a", "b", "c"]
        assert [each.epoch for each in epochs] == list(range(1, 9))
        assert epochs[-1].loss < epochs[0].loss
        right = np.array(steering.classes)[logits(steering, VIT, images).argmax(1)] == np.array(images.labels)
        assert right.mean() > 0.8
        kept = epochs[report.best_epoch - 1]
        assert kept.validation_accuracy == max(each.validation_accuracy or 0 for each in epochs)
        assert not checkpoint_path(report.path).exists()
        assert all(array.dtype == np.float32 for array in steering.tensors.values())
        again, sha256 = read_steering(report.path)
        assert sha256 == report.sha256
        assert_same(again, steering)

    @pytest.mark.parametrize("method", ["linear", "finetune"])
    def test_a_cnn_keeps_the_statistics_of_its_batch_norms(
        self, tmp_path: Path, images: TrainingImages, method: str
    ) -> None:
        options = replace(QUICK, method=method)
        steering = steer(images, CNN, WEIGHTS, tmp_path / "a.safetensors", options).steering
        assert not any("running" in name for name in steering.tensors)
        plain = build_network(CNN, WEIGHTS).body.state_dict()
        method_module = build_method(method, build_body(CNN, WEIGHTS), steering.options)
        load_parameters(method_module, steering.tensors, "file")
        rebuilt = {name.removeprefix("body.body."): each for name, each in method_module.state_dict().items()}
        changed = {name for name in plain if not torch.equal(plain[name], rebuilt[name])}
        assert not any("running" in name or "batches" in name for name in changed)
        assert bool(changed) == (method == "finetune")

    def test_linear_gives_the_backbones_own_features_to_the_head(self, tmp_path: Path, images: TrainingImages) -> None:
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, method="linear"))
        assert report.steering.tensors.keys() == {"head.weight", "head.bias"}
        assert report.n_tuned == 3 * 24 + 3

    @pytest.mark.parametrize(
        ("method", "expected"),
        [("lora", 2 * 4 * 6 * 24), ("vpt", 2 * 10 * 24), ("toast", 24 + 5 * 24 * 24), ("finetune", None)],
    )
    def test_tuned_parameters_are_counted(
        self, tmp_path: Path, images: TrainingImages, method: str, expected: int | None
    ) -> None:
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, method=method, epochs=2))
        head = 3 * 24 + 3
        assert report.n_tuned == (report.n_parameters if expected is None else expected + head)

    def test_finetune_leaves_the_backbone_alone_while_the_rate_warms_up(
        self, tmp_path: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        snapshots: list[dict[str, NDArray[np.float32]]] = []

        def note(path: Path, run: str, facts: Any, tensors: Any) -> None:  # noqa: ANN401
            snapshots.append({name: array.copy() for name, array in tensors.items()})
            save_checkpoint(path, run, facts, tensors)

        monkeypatch.setattr(training, "save_checkpoint", note)
        options = replace(QUICK, method="finetune", epochs=4, warmup=2)
        steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options)
        name = "now.body.blocks.0.attn.qkv.weight"
        assert np.array_equal(snapshots[0][name], snapshots[1][name])
        assert not np.array_equal(snapshots[1][name], snapshots[2][name])
        assert not np.array_equal(snapshots[0]["now.head.weight"], snapshots[1]["now.head.weight"])

    def test_pretuning_adds_the_variational_term(
        self, tmp_path: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = replace(QUICK, method="toast", epochs=2)
        plain = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options).steering
        general = replace(options, stage="pretune")
        pretuned = steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", general).steering
        monkeypatch.setattr(TopDown, "variational_weight", 0.0)
        without = steer(images, VIT, WEIGHTS, tmp_path / "c.safetensors", general).steering
        np.testing.assert_array_equal(without.tensors["feedback.1.weight"], plain.tensors["feedback.1.weight"])
        assert not np.array_equal(pretuned.tensors["feedback.1.weight"], plain.tensors["feedback.1.weight"])
        assert pretuned.stage == "pretune"

    def test_bf16_trains_float32_parameters(self, tmp_path: Path, images: TrainingImages) -> None:
        options = replace(QUICK, method="toast", stage="pretune", precision="bf16")
        steering = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options).steering
        assert steering.training["precision"] == "bf16"
        assert {array.dtype for array in steering.tensors.values()} == {np.dtype(np.float32)}
        fp32 = steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", replace(options, precision="fp32")).steering
        assert abs(steering.history[-1]["loss"] - fp32.history[-1]["loss"]) < 0.05


class TestSameAgain:
    def test_same_seed_same_file_whatever_the_order_and_doubles(self, tmp_path: Path, images: TrainingImages) -> None:
        one = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        order = [*range(len(images.paths) - 1, -1, -1), 4]
        turned = TrainingImages(
            [images.paths[i] for i in order], images.digests[order], [images.labels[i] for i in order]
        )
        other = steer(turned, VIT, WEIGHTS, tmp_path / "b.safetensors", QUICK, workers=1)
        assert_same(other.steering, one.steering)
        np.testing.assert_array_equal(one.steering.seen, other.steering.seen)
        once_more = steer(images, VIT, WEIGHTS, tmp_path / "c.safetensors", QUICK)
        assert once_more.sha256 == one.sha256

    def test_groups_count_and_their_numbers_do_not(self, tmp_path: Path, images: TrainingImages) -> None:
        pairs = [row // 2 for row in range(36)]
        one = steer(replace(images, groups=pairs), VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        renamed = replace(images, groups=[50 - pair for pair in pairs])
        again = steer(renamed, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        assert (again.already_done, again.sha256) == (True, one.sha256)
        with pytest.raises(UsageError, match="is a finished steering of other images"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)

    def test_another_seed_gives_another_steering(self, tmp_path: Path, images: TrainingImages) -> None:
        one = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK).steering
        other = steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", replace(QUICK, seed=1)).steering
        assert not np.array_equal(one.tensors["head.weight"], other.tensors["head.weight"])

    def test_the_generators_of_the_caller_are_left_alone(self, tmp_path: Path, images: TrainingImages) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, method="toast"))
        assert torch.equal(torch.rand(3), expected)

    def test_steerings_of_a_runs_folds_share_their_recipe(self, tmp_path: Path, images: TrainingImages) -> None:
        found = []
        for fold in range(2):
            part = images.without(range(fold * 9, fold * 9 + 9))
            division = {"cv": 2, "seed": 0, "fold": fold}
            out = tmp_path / f"{fold}.safetensors"
            found.append(steer(part, VIT, WEIGHTS, out, QUICK, division=division).steering)
        assert found[0].recipe == found[1].recipe
        assert [each.division for each in found] == [{"cv": 2, "seed": 0, "fold": fold} for fold in range(2)]
        other = steer(images, VIT, WEIGHTS, tmp_path / "x.safetensors", replace(QUICK, epochs=2)).steering
        assert other.recipe != found[0].recipe

    def test_a_finished_run_is_not_trained_again(self, tmp_path: Path, images: TrainingImages) -> None:
        out = tmp_path / "a.safetensors"
        first = steer(images, VIT, WEIGHTS, out, QUICK)
        epochs: list[EpochReport] = []
        again = steer(images, VIT, WEIGHTS, out, QUICK, on_epoch=epochs.append)
        assert again.already_done
        assert epochs == []
        assert again.sha256 == first.sha256
        assert again.best_epoch == first.best_epoch
        assert "nothing to train" in again.lines()[0]

    def test_a_finished_run_of_other_inputs_is_never_overwritten(self, tmp_path: Path, images: TrainingImages) -> None:
        out = tmp_path / "a.safetensors"
        steer(images, VIT, WEIGHTS, out, QUICK)
        before = out.read_bytes()
        shuffled = replace(images, labels=images.labels[1:] + images.labels[:1])
        for inputs, options in ((images, replace(QUICK, epochs=4)), (shuffled, QUICK)):
            with pytest.raises(UsageError, match=r"a finished steering of other images, options or weights"):
                steer(inputs, VIT, WEIGHTS, out, options)
        assert out.read_bytes() == before


def stop_after(n: int) -> Any:  # noqa: ANN401
    def stop(report: EpochReport) -> None:
        if report.epoch == n:
            raise KeyboardInterrupt

    return stop


class TestGoingOn:
    LONG = replace(QUICK, epochs=5, patience=2)

    @pytest.mark.parametrize("method", RECIPES)
    def test_a_run_cut_short_ends_as_the_whole_one(
        self, tmp_path: Path, images: TrainingImages, method: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        options = replace(self.LONG, method=method)
        whole = steer(images, VIT, WEIGHTS, tmp_path / "whole.safetensors", options)
        out = tmp_path / "cut.safetensors"
        with pytest.raises(KeyboardInterrupt):
            steer(images, VIT, WEIGHTS, out, options, on_epoch=stop_after(2))
        assert checkpoint_path(out).exists()
        assert not out.exists()
        assert "interrupted after 2 of 5 epochs" in caplog.text
        assert "the same command resumes from there" in caplog.text
        resumed = steer(images, VIT, WEIGHTS, out, options)
        assert resumed.resumed_from == 2
        assert "resumed after epoch 2" in "\n".join(resumed.lines())
        assert_same(resumed.steering, whole.steering)
        assert resumed.sha256 == whole.sha256

    @pytest.mark.slow
    def test_a_run_that_was_killed_ends_as_the_whole_one(self, tmp_path: Path, images: TrainingImages) -> None:
        out = tmp_path / "killed.safetensors"
        code = f"""
            import importlib.util, signal, os, sys
            from pathlib import Path
            spec = importlib.util.spec_from_file_location("steer_test", {__file__!r})
            module = importlib.util.module_from_spec(spec)
            sys.modules["steer_test"] = module
            spec.loader.exec_module(module)
            module.torch.set_num_threads(1)
            def kill(report):
                if report.epoch == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
            images = module.make_images(Path({str(tmp_path / "images")!r}))
            module.steer(images, module.VIT, module.WEIGHTS, Path({str(out)!r}), module.TestGoingOn.LONG, on_epoch=kill)
        """
        done = run_code(textwrap.dedent(code), cwd=ROOT)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not out.exists()
        resumed = steer(images, VIT, WEIGHTS, out, self.LONG)
        assert resumed.resumed_from == 2
        whole = steer(images, VIT, WEIGHTS, tmp_path / "whole.safetensors", self.LONG)
        assert_same(resumed.steering, whole.steering)

    def test_a_kill_before_the_result_was_written_costs_no_epoch(self, tmp_path: Path, images: TrainingImages) -> None:
        out = tmp_path / "a.safetensors"
        with pytest.raises(KeyboardInterrupt):
            steer(images, VIT, WEIGHTS, out, self.LONG, on_epoch=stop_after(5))
        epochs: list[EpochReport] = []
        report = steer(images, VIT, WEIGHTS, out, self.LONG, on_epoch=epochs.append)
        assert epochs == []
        assert report.resumed_from == 5
        assert not report.already_done

    @pytest.mark.parametrize("change", ["options", "images", "labels", "weights", "damage"])
    def test_a_checkpoint_of_another_run_is_not_used(
        self, tmp_path: Path, images: TrainingImages, change: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        out = tmp_path / "a.safetensors"
        with pytest.raises(KeyboardInterrupt):
            steer(images, VIT, WEIGHTS, out, QUICK, on_epoch=stop_after(2))
        options, inputs, weights = QUICK, images, WEIGHTS
        if change == "options":
            options = replace(QUICK, learning_rate=0.03)
        elif change == "images":
            inputs = images.without([0])
        elif change == "labels":
            inputs = replace(images, labels=images.labels[1:] + images.labels[:1])
        elif change == "weights":
            weights = random_weights(4)
        else:
            path = checkpoint_path(out)
            path.write_bytes(path.read_bytes()[:-10])
        with caplog.at_level(logging.WARNING):
            assert steer(inputs, VIT, weights, out, options).resumed_from == 0
        assert "The training starts over" in caplog.text

    def test_training_stops_early_and_keeps_the_best_epoch(self, tmp_path: Path, images: TrainingImages) -> None:
        noise = replace(images, labels=[("a", "b", "c")[i] for i in np.random.default_rng(0).integers(0, 3, 36)])
        options = replace(QUICK, method="linear", epochs=40, patience=3, validation=0.3)
        report = steer(noise, VIT, WEIGHTS, tmp_path / "a.safetensors", options)
        history = report.steering.history
        assert len(history) == report.best_epoch + 3 < 40
        best = history[report.best_epoch - 1]
        assert best["validation_accuracy"] == max(each["validation_accuracy"] for each in history)

    def test_without_validation_the_last_epoch_is_kept(self, tmp_path: Path, images: TrainingImages) -> None:
        options = replace(QUICK, validation=0.0, patience=1)
        epochs: list[EpochReport] = []
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, on_epoch=epochs.append)
        assert report.best_epoch == len(report.steering.history) == 3
        assert epochs[0].validation_loss is None
        assert "validation" not in epochs[0].line()


@pytest.fixture(scope="module")
def pretuned(tmp_path_factory: pytest.TempPathFactory, images: TrainingImages) -> SteerReport:
    out = tmp_path_factory.mktemp("pretuned") / "toast.safetensors"
    general = make_images(out.parent / "general", seed=9)
    options = replace(QUICK, method="toast", stage="pretune", method_options={"value_bias": False})
    return steer(general, VIT, WEIGHTS, out, options)


class TestStart:
    @pytest.mark.parametrize("method", ["toast", "toast-lite"])
    def test_toast_goes_on_from_pretuning(
        self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport, method: str
    ) -> None:
        options = replace(QUICK, method=method)
        steering = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, start=pretuned.path).steering
        both = np.unique(np.concatenate([images.digests, pretuned.steering.seen]), axis=0)
        np.testing.assert_array_equal(steering.seen, both)
        assert steering.training["parent"] == pretuned.sha256
        assert steering.options["value_bias"] is False
        w = "feedback.0.weight"
        assert np.array_equal(steering.tensors[w], pretuned.steering.tensors[w]) == (method == "toast-lite")
        assert steering.history[0]["loss"] < 1.2

    def test_another_start_is_another_run(self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport) -> None:
        out = tmp_path / "a.safetensors"
        steer(images, VIT, WEIGHTS, out, replace(QUICK, method="toast"))
        with pytest.raises(UsageError, match="finished steering of other"):
            steer(images, VIT, WEIGHTS, out, replace(QUICK, method="toast"), start=pretuned.path)

    @pytest.mark.parametrize(
        ("method", "message"),
        [("lora", "lora cannot continue it, only lora"), ("linear", "needs no start: leave --start out")],
    )
    def test_an_incompatible_method_is_refused(
        self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport, method: str, message: str
    ) -> None:
        options = replace(QUICK, method=method)
        with pytest.raises(UsageError, match=message):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, start=pretuned.path)

    def test_a_steering_of_another_backbone_is_refused(
        self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport
    ) -> None:
        options = replace(QUICK, method="toast")
        with pytest.raises(WeightsError, match=r"weights random\(3\)\), not timm:steer_micro_vit .*random\(4\)"):
            steer(images, VIT, random_weights(4), tmp_path / "a.safetensors", options, start=pretuned.path)

    def test_a_start_of_another_size_is_refused(self, tmp_path: Path, images: TrainingImages) -> None:
        out = tmp_path / "two.safetensors"
        steer(images, VIT, WEIGHTS, out, replace(QUICK, epochs=2, method_options={"rank": 2}))
        inherited = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK, start=out)
        assert inherited.steering.options == {"rank": 2}
        options = replace(QUICK, method_options={"rank": 3})
        with pytest.raises(WeightsError, match=r"cannot be used as a start: its proj\.0\.down \(2, 24\) does not fit"):
            steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", options, start=out)

    def test_a_truncated_start_is_refused(self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport) -> None:
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(pretuned.path.read_bytes()[:-100])
        options = replace(QUICK, method="toast")
        with pytest.raises(WeightsError, match="is not a sound steering file"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, start=cut)
        with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options, start=tmp_path / "none.safetensors")

    def test_a_start_of_a_newer_version_is_refused(
        self, tmp_path: Path, images: TrainingImages, pretuned: SteerReport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newer = tmp_path / "newer.safetensors"
        with monkeypatch.context() as patch:
            patch.setattr("stackbone.extract.steering_files.file.FORMAT_VERSION", 99)
            write_steering(newer, pretuned.steering)
        with pytest.raises(NewerVersionError, match="format version 99"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, method="toast"), start=newer)

    def test_a_released_checkpoint_is_a_start_that_says_what_it_saw(
        self, tmp_path: Path, images: TrainingImages, caplog: pytest.LogCaptureFixture
    ) -> None:
        state: dict[str, torch.Tensor] = dict(build_body(VIT, WEIGHTS).state_dict())
        generator = torch.Generator().manual_seed(0)
        for block in range(2):
            for part in ("linear", "linear2"):
                state[f"decoders.{block}.{part}.weight"] = torch.randn(24, 24, generator=generator) * 0.1
        state |= {"prompt": torch.ones(1, 24), "top_down_transform": torch.eye(24)}
        path = tmp_path / "released.pth"
        torch.save({"model": state, "model_ema": state, "args": Namespace(lr=0.1)}, path)
        options = replace(QUICK, method="toast-lite", epochs=1, warmup=0)
        imagenet = replace(VIT, **IMAGENET)
        report = steer(images, imagenet, WEIGHTS, tmp_path / "a.safetensors", options, start=path)
        steering = report.steering
        np.testing.assert_array_equal(steering.tensors["feedback.1.weight"], state["decoders.1.linear.weight"].numpy())
        assert "it is unknown which images it saw" in caplog.text
        assert "ImageNet" in steering.training["parent_seen"]
        read = "its model; not model_ema, args beside it; P transposed"
        assert steering.training["parent_read"] == read
        assert f"started from a released checkpoint: read {read}" in report.lines()
        assert steering.training["parent"] == hashlib.sha256(path.read_bytes()).hexdigest()
        child = steer(images, imagenet, WEIGHTS, tmp_path / "b.safetensors", options, start=tmp_path / "a.safetensors")
        assert "ImageNet" in child.steering.training["parent_seen"]
        with pytest.raises(UsageError, match="only TOAST can start from anything else"):
            steer(images, imagenet, WEIGHTS, tmp_path / "c.safetensors", QUICK, start=path)
        with pytest.raises(WeightsError, match="its ViT is not the backbone's"):
            steer(images, imagenet, random_weights(4), tmp_path / "c.safetensors", options, start=path)
        how = f"--backbone vit_base_imagenet --weights vit_base_imagenet={path} --start {path}"
        with pytest.raises(
            UsageError, match=r"those of timm:steer_micro_vit are with mean 0\.5, 0\.5, 0\.5 .* kind"
        ) as no:
            steer(images, VIT, WEIGHTS, tmp_path / "c.safetensors", options, start=path)
        assert str(no.value).endswith(how)


class TestTheAuthorsRecipe:
    @pytest.mark.parametrize("method", ["toast", "toast-lite"])
    def test_it_trains_what_they_train_and_resumes_to_the_same(
        self, tmp_path: Path, images: TrainingImages, method: str
    ) -> None:
        options = replace(QUICK, method=method, recipe="released", epochs=3, warmup=1, learning_rate=0.3)
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options)
        steering = report.steering
        low_rank = 24 * 24 + 2 * 2 * 2 * 4 * 24
        assert report.n_tuned == 24 + (2 * 2 * 24 * 24 if method == "toast" else low_rank) + 3 * 25
        is_frozen = np.array_equal(steering.tensors["select"], np.eye(24, dtype=np.float32))
        assert is_frozen == (method == "toast")
        assert steering.options == {"value_bias": True, **({"rank": 4, "alpha": 1} if method == "toast-lite" else {})}
        assert (steering.training["recipe"], steering.training["patience"]) == ("released", 3)
        assert [each["lr"] for each in steering.history] == pytest.approx([0.0, 0.3, 0.15])

        def stop(epoch: EpochReport) -> None:
            if epoch.epoch == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", options, on_epoch=stop)
        again = steer(images, VIT, WEIGHTS, tmp_path / "b.safetensors", options)
        assert again.resumed_from == 2
        assert_same(again.steering, steering)

    def test_the_first_epoch_changes_nothing(self, tmp_path: Path, images: TrainingImages) -> None:
        options = replace(QUICK, method="toast", recipe="released", epochs=2, warmup=1)
        steering = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options).steering
        losses = [each["validation_loss"] for each in steering.history]
        assert losses[0] == pytest.approx(np.log(3))  # the head is still zero
        assert losses[1] != losses[0]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"method": "lora"}, "how TOAST's authors train it, not the method lora"),
            ({"method": "finetune"}, "not the method finetune"),
            ({"crop_area": 0.5}, "--crop-area is of our own recipe"),
            ({"recipe": "relased"}, r"--recipe .*did you mean 'released'\?"),
        ],
    )
    def test_what_it_does_not_go_with_is_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            replace(SteerOptions("toast", recipe="released"), **change).check()

    def test_a_start_counts_its_own_updates_as_before_unless_told_otherwise(
        self, tmp_path: Path, images: TrainingImages
    ) -> None:
        lite = replace(QUICK, method="toast-lite", epochs=1, warmup=0)
        start = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", lite).path
        theirs = replace(lite, recipe="released")
        for number, (given, alpha) in enumerate([({}, None), ({"alpha": 2}, 2)]):
            options = replace(theirs, method_options=given)
            steering = steer(images, VIT, WEIGHTS, tmp_path / f"{number}.safetensors", options, start=start).steering
            assert steering.options.get("alpha") == alpha

    def test_a_convnext_of_an_earlier_version_has_another_fingerprint(self) -> None:
        assert RECIPES["toast"].version("convnext_tiny.fb_in22k") == 2
        assert {recipe.version("vit_base_patch16_224.x") for recipe in RECIPES.values()} == {1}


class TestBadInput:
    def test_unreadable_images_are_left_out_and_named(self, tmp_path: Path) -> None:
        images = make_images(tmp_path / "images")
        Path(images.paths[4]).unlink()
        Path(images.paths[7]).write_bytes(b"other bytes")
        report = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        assert {path: reason.split(" ")[0] for path, reason in report.failures} == {
            images.paths[4]: "No",
            images.paths[7]: "its",
        }
        assert report.failure_lines()[0].startswith("left out: ")
        assert {each["path"] for each in json.loads(json.dumps(report.to_dict()))["left_out"]} == {
            images.paths[4],
            images.paths[7],
        }
        seen = {digest.tobytes() for digest in report.steering.seen}
        assert images.digests[4].tobytes() not in seen
        assert len(seen) == 34
        again = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        assert again.already_done
        assert [path for path, _ in again.failures] == [images.paths[4], images.paths[7]]
        assert all("when this steering was made" in reason for _, reason in again.failures)

    def test_bytes_with_two_labels_are_left_out_and_named(self, tmp_path: Path, images: TrainingImages) -> None:
        double = TrainingImages(
            [*images.paths, images.paths[0]],
            np.concatenate([images.digests, images.digests[:1]]),
            [*images.labels, "b"],
        )
        report = steer(double, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        assert report.failures == [(images.paths[0], "the same bytes are labelled a and b")]
        assert steer(double, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK).failures == report.failures
        assert len(report.steering.seen) == 35

    def test_one_class_is_refused(self, tmp_path: Path, images: TrainingImages) -> None:
        with pytest.raises(DatasetError, match=r"all of one class, 'a': steering takes two classes or more"):
            steer(replace(images, labels=["a"] * 36), VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        with pytest.raises(DatasetError, match="learned from are none"):
            steer(images.without(range(36)), VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)

    def test_as_many_classes_as_images_are_refused(self, tmp_path: Path, images: TrainingImages) -> None:
        names = replace(images, labels=[Path(path).stem for path in images.paths])
        with pytest.raises(
            DatasetError, match=r"36 images that can be learned from, and as many classes.*right column"
        ):
            steer(names, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)

    def test_a_class_with_one_image_is_learned_but_not_validated(self, tmp_path: Path, images: TrainingImages) -> None:
        few = replace(images, labels=["rare", *images.labels[1:]])
        report = steer(few, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        assert report.steering.classes == ["a", "b", "c", "rare"]

    @pytest.mark.parametrize("method", ["toast", "toast-lite", "lora", "vpt"])
    def test_a_backbone_that_is_no_vit_is_refused_before_images_are_read(
        self, tmp_path: Path, images: TrainingImages, method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PixelStore, "load", lambda *_: pytest.fail("an image was read"))
        with pytest.raises(UsageError, match=r"this backbone's network is ResNet"):
            steer(images, CNN, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, method=method))

    def test_a_loss_that_is_not_finite_says_what_to_lower(self, tmp_path: Path, images: TrainingImages) -> None:
        options = replace(QUICK, method="vpt", learning_rate=1e30, warmup=0, augment=False)
        with pytest.raises(
            StackboneError, match=r"no longer finite in epoch 1.*Lower --learning-rate, which is 1e\+30"
        ):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options)
        assert list(tmp_path.iterdir()) == []

    def test_a_validation_loss_that_is_not_finite_ends_the_run(
        self, tmp_path: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        step = training.Trainer._step

        def last_step_too_long(trainer: training.Trainer, *batch: torch.Tensor) -> tuple[float, int]:
            done = step(trainer, *batch)
            with torch.no_grad():
                trainer._head.weight.fill_(float("inf"))
            return done

        monkeypatch.setattr(training.Trainer, "_step", last_step_too_long)
        with pytest.raises(StackboneError, match="no longer finite in epoch 1"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, batch_size=36))
        assert list(tmp_path.iterdir()) == []

    def test_too_little_memory_says_what_to_lower(
        self, tmp_path: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"
            raise RuntimeError(message)

        monkeypatch.setattr(training.Trainer, "_step", fail)
        with pytest.raises(
            StackboneError, match=r"not enough memory for 8 images at once on cpu\. Lower --batch-size$"
        ):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)

    def test_too_little_memory_later_says_what_is_kept(
        self, tmp_path: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_epoch = training.Trainer._run_epoch

        def fail_after_two(trainer: training.Trainer, *rest: Any) -> EpochReport:  # noqa: ANN401 - passed on
            if len(trainer.history) == 2:
                message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"
                raise RuntimeError(message)
            return run_epoch(trainer, *rest)

        monkeypatch.setattr(training.Trainer, "_run_epoch", fail_after_two)
        with pytest.raises(StackboneError, match=r"starts over; or free memory.* resumes after epoch 2, which .*a\."):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)
        monkeypatch.undo()
        assert steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK).resumed_from == 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"method": "tost"}, "unknown method 'tost'"),
            ({"stage": "late"}, "unknown --stage 'late': choose from pretune, tune"),
            ({"epochs": 0}, "--epochs is 0"),
            ({"warmup": 3}, "--warmup is 3; expected 0 to 2, fewer than --epochs"),
            ({"batch_size": 0}, "--batch-size is 0"),
            ({"optimiser": "adam"}, "unknown --optimiser 'adam': choose from sgd, adamw; did you mean 'adamw'"),
            ({"learning_rate": -1.0}, "--learning-rate is -1.0"),
            ({"learning_rate": float("nan")}, "--learning-rate is nan"),
            ({"momentum": 1.0}, "^momentum is 1.0"),
            ({"validation": 0.6, "patience": 0}, "--validation is 0.6.*--patience is 0"),
            ({"precision": "fp16"}, "unknown --precision 'fp16': choose from auto, fp32, bf16"),
            ({"crop_area": 0.0}, "--crop-area is 0.0"),
            ({"crop_area": 1.5}, "--crop-area is 1.5"),
            ({"seed": -1}, "--seed is -1"),
            ({"method": "linear", "stage": "pretune"}, "leave out --stage pretune"),
            ({"method_options": {"rnk": 2}}, "no option --rnk: it takes --rank"),
        ],
    )
    def test_wrong_options_are_refused(
        self, tmp_path: Path, images: TrainingImages, change: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", replace(QUICK, **change))

    def test_a_name_that_is_no_steering_files_is_refused(self, tmp_path: Path, images: TrainingImages) -> None:
        with pytest.raises(UsageError, match=r"name one that ends in \.safetensors"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.pt", QUICK)

    def test_a_damaged_result_is_not_taken_for_finished(self, tmp_path: Path, images: TrainingImages) -> None:
        (tmp_path / "a.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
        with pytest.raises(WeightsError, match="is not a sound steering file"):
            steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK)


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    options = SteerOptions("toast", epochs=100, learning_rate=0.01)
    assert options.warmup_epochs == 10
    assert options.rate(0) == 0
    assert options.rate(5) == pytest.approx(0.005)
    assert options.rate(10) == pytest.approx(0.01)
    assert options.rate(55) == pytest.approx(0.005)
    assert options.rate(100) == pytest.approx(0, abs=1e-12)
    assert SteerOptions("toast", epochs=5).warmup_epochs == 0
    assert SteerOptions("finetune", epochs=5).warmup_epochs == 1  # of its head alone


def test_the_authors_change_the_rate_between_epochs_alone() -> None:
    own = SteerOptions("toast", epochs=100, learning_rate=0.01)
    theirs = replace(own, recipe="released")
    assert [theirs.rate(time) for time in (0, 0.5, 0.99)] == [0.0] * 3
    for epoch in (1, 7, 10, 55, 99):
        assert theirs.rate(epoch + 0.7) == own.rate(epoch) == theirs.rate_after(epoch)
    assert own.rate_after(54) == own.rate(55)


def test_our_own_training_is_described_as_it_was_before_there_was_another() -> None:
    described = SteerOptions("toast").described()
    assert {"recipe", "views"}.isdisjoint(described)
    assert {"learning_rate", "optimiser", "warmup"} <= described.keys()
    assert described["patience"] == 20
    assert SteerOptions("toast", patience=5).described()["patience"] == 5
    assert SteerOptions("toast", recipe="released", epochs=50).described()["patience"] == 50


@pytest.mark.parametrize("method", RECIPES)
def test_every_method_has_a_rate_for_each_optimiser(method: str) -> None:
    rates = [SteerOptions(method, optimiser=name).highest_rate for name in OPTIMISERS]
    assert all(rate > 0 for rate in rates)
    assert SteerOptions(method).highest_rate == rates[OPTIMISERS.index(SteerOptions(method).chosen_optimiser)]
    assert SteerOptions(method, optimiser="sgd", learning_rate=0.5).highest_rate == 0.5


def test_toast_is_trained_by_the_published_optimiser_unless_told_otherwise() -> None:
    assert {SteerOptions(method).chosen_optimiser for method in ("toast", "toast-lite")} == {"sgd"}
    assert SteerOptions("toast").highest_rate == 0.03


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_steps_equal_torchs_own(tmp_path: Path, images: TrainingImages, optimiser: str) -> None:
    """A linear probe, two epochs without validation, against the few lines that anyone would write."""
    options = SteerOptions("linear", epochs=2, warmup=1, batch_size=36, learning_rate=0.05, validation=0.0)
    options = replace(options, optimiser=optimiser, precision="fp32")
    steering = steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", options).steering
    network = build_network(VIT, WEIGHTS)
    order = sorted(range(36), key=lambda i: images.digests[i].tobytes())
    pixels = np.stack([apply_transform(decode(Path(images.paths[i]).read_bytes()), TRANSFORM) for i in order])
    codes = torch.tensor(["abc".index(images.labels[i]) for i in order])
    with torch.no_grad():
        features = network(torch.from_numpy(pixels))
    head = nn.Linear(24, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    torchs: torch.optim.Optimizer = (
        torch.optim.SGD(head.parameters(), lr=0, momentum=0.9, weight_decay=1e-4)
        if optimiser == "sgd"
        else torch.optim.AdamW(head.parameters(), lr=0, betas=(0.9, 0.999), weight_decay=1e-4)
    )
    for time_in_epochs in (0.5, 1.5):
        torchs.param_groups[0]["lr"] = options.rate(time_in_epochs)
        torchs.zero_grad()
        nn.functional.cross_entropy(head(features), codes).backward()  # type: ignore[no-untyped-call]
        torchs.step()
    assert steering.training["optimiser"] == optimiser
    # Adam divides by a gradient's own size, and so magnifies the rounding of small ones.
    atol = 1e-5 if optimiser == "sgd" else 1e-3
    np.testing.assert_allclose(steering.tensors["head.weight"], head.weight.detach().numpy(), rtol=1e-3, atol=atol)


@pytest.mark.parametrize(
    ("change", "division", "expected"),
    [
        ({}, None, "timm_steer_micro_vit-lora-birds-seed0.safetensors"),
        ({"stage": "pretune", "seed": 2}, None, "timm_steer_micro_vit-lora-pretune-birds-seed2.safetensors"),
        ({}, {"cv": 3, "seed": 0, "fold": 2}, "timm_steer_micro_vit-lora-birds-seed0-cv3-fold2.safetensors"),
        (
            {},
            {"cv": 3, "fold": 2, "plan": "given", "column": "my/site"},
            "timm_steer_micro_vit-lora-birds-seed0-given-my_site-cv3-fold2.safetensors",
        ),
        (
            {},
            {"cv": 3, "fold": 1, "plan": "logo"},
            "timm_steer_micro_vit-lora-birds-seed0-logo-cv3-fold1.safetensors",
        ),
        ({}, {"split": "a/b"}, "timm_steer_micro_vit-lora-birds-seed0-without-a_b.safetensors"),
    ],
)
def test_every_part_of_a_dataset_has_a_place_of_its_own(
    change: dict[str, Any], division: dict[str, Any] | None, expected: str
) -> None:
    assert steering_path(Path("f"), "birds", VIT, replace(QUICK, **change), division) == Path("f", expected)


def test_what_steering_is_told_loads_no_torch() -> None:
    code = (
        "import sys, stackbone.extract.steering.steer, stackbone.extract.methods.method; "
        "print('torch' in sys.modules, 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_progress_names_what_goes_on(tmp_path: Path, images: TrainingImages) -> None:
    calls: list[tuple[str, int, int]] = []
    steer(images, VIT, WEIGHTS, tmp_path / "a.safetensors", QUICK, on_progress=lambda *call: calls.append(call))
    assert ("reading", 36, 36) in calls
    assert ("epoch 3 of 3", 4, 4) in calls
