"""What `steer` writes: steerings, and checkpoints of their training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fuzz.tensor_files import TINY_VIT, TensorFile, Tensors
from fuzz.trial import MadeAnew, OutOfForm
from stackbone.cache.trainings import checkpoints
from stackbone.extract.backbones.backbone import Backbone, Transform
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.network import build_network
from stackbone.extract.methods.method import build_method, default_options, steering_parameters
from stackbone.extract.networks.network import build_body
from stackbone.extract.steering.options import SteerOptions
from stackbone.extract.steering.training import Trainer
from stackbone.extract.steering_files import file as steering_file
from stackbone.extract.steering_files.file import write_steering
from stackbone.extract.steering_files.steered import steered_backbone
from stackbone.extract.steering_files.steering import Steering
from stackbone.stack.divisions.division import options_of


class SteeringFile(TensorFile):
    """A steering of a small ViT, and the features that it makes."""

    file = "steering.safetensors"

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        transform = Transform(TINY_VIT.input_size, TINY_VIT.crop_fraction, TINY_VIT.interpolation, TINY_VIT.crop_mode)
        plain = Backbone(
            "timm:test_vit", TINY_VIT.architecture, transform, TINY_VIT.mean, TINY_VIT.std, "model", hub=""
        )
        body = build_body(plain, random_weights(0))
        options = default_options("toast-lite", body)
        module = build_method("toast-lite", body, options)
        own = {name: each.detach().numpy() for name, each in steering_parameters(module).items()}
        head = {"head.weight": np.zeros((2, 64), np.float32), "head.bias": np.zeros(2, np.float32)}
        steering = Steering(
            method="toast-lite",
            stage="tune",
            backbone="timm:test_vit.r160_in1k",
            spec=TINY_VIT,
            options=options,
            classes=["cat", "b'\udcff'"],
            seen=np.random.default_rng(0).integers(0, 256, (5, 32), dtype=np.uint8),
            division={"cv": 3, "seed": 0, "fold": 1, "group_by": "auto"},
            training={"epochs": 2, "seed": 0, "parent": None, "parent_seen": None, "versions": {"torch": "2"}},
            history=[{"loss": 1.5, "accuracy": 0.25, "lr": 0.01}],
            tensors={**own, **head},
        )
        write_steering(folder / self.file, steering)

    def renew(self, metadata: dict[str, str], tensors: Tensors, change: Callable[[bytes], bytes]) -> dict[str, str]:
        """Return metadata whose JSON is changed and whose checksum holds."""
        outer = json.loads(metadata[steering_file._METADATA])
        described = json.loads(change(json.dumps(outer["steering"]).encode()))
        outer |= {"steering": described, "sha256": steering_file._checksum(described, tensors)}
        return {steering_file._METADATA: json.dumps(outer)}

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        backbone, steering = steered_backbone(folder / self.file)
        told = [steering.record("ab" * 32).line(), options_of(steering.division or {"split": "x"}), steering.name]
        if not all(text.isprintable() for text in told):
            raise OutOfForm(str(told))
        if steering.method == "linear":
            return told
        height, width = backbone.transform.input_size
        pixels = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        features = build_network(backbone, random_weights(0))(pixels).numpy()
        if features.ndim != 2:
            message = f"features of the shape {features.shape}"
            raise OutOfForm(message)
        return told, steering.classes, steering.training, steering.history, features.tobytes()


class Checkpoint(TensorFile):
    """Where a training stands, taken up by a trainer."""

    file = "steering.safetensors.partial"

    def _trainer(self) -> Trainer:

        torch.manual_seed(0)
        method = nn.Linear(3, 4)
        options = SteerOptions(method="linear", epochs=5, batch_size=2, optimiser="adamw")
        return Trainer(method, method, 4, 2, options, torch.device("cpu"), None)

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        trainer = self._trainer()
        for _ in range(2):
            trainer._optimiser.zero_grad()
            trainer._head(trainer._features(torch.ones((2, 3)))).sum().backward()
            trainer._set_rate(0.1)
            trainer._optimiser.step()
            facts = {"loss": 0.5, "accuracy": 0.5, "validation_loss": 0.4, "validation_accuracy": 0.5, "lr": 0.1}
            trainer.history.append(facts)
        trainer._best, trainer._best_tensors = 0, trainer._snapshot()
        trainer._save(folder / self.file, "run")

    def renew(self, metadata: dict[str, str], tensors: Tensors, change: Callable[[bytes], bytes]) -> dict[str, str]:
        """Return metadata whose JSON is changed and whose checksum holds."""
        described = json.loads(metadata[checkpoints._METADATA])
        described["facts"] = json.loads(change(json.dumps(described["facts"]).encode()))
        described["sha256"] = checkpoints._checksum(described["run"], described["facts"], tensors)
        return {checkpoints._METADATA: json.dumps(described)}

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        trainer = self._trainer()
        if not trainer._resume(folder / self.file, "run"):
            raise MadeAnew
        trainer._is_stopped(), trainer._is_best(len(trainer.history) - 1)
        trainer._head(trainer._features(torch.ones((2, 3)))).sum().backward()
        trainer._optimiser.step()
        return trainer.history, trainer._best, {name: each.tobytes() for name, each in trainer.tensors().items()}
