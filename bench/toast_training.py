"""Trainings of bench/toast.py: the small ViT, its images, and one steering of it in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = ("airplane", "automobile", "cat", "deer", "frog", "ship")
TASK = ("bird", "dog", "horse", "truck")
VIT = "timm:vit_cifar6"


def register_vit() -> None:
    """Make the small ViT known to timm, and so to Stackbone as ``timm:vit_cifar6``."""
    import timm
    from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
    from timm.models.vision_transformer import VisionTransformer

    if timm.is_model("vit_cifar6"):
        return
    config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0, "classifier": "head"}
    config |= {"num_classes": len(SOURCE), "interpolation": "bicubic", "file": "given with --weights"}
    globals()["default_cfgs"] = generate_default_cfgs({"vit_cifar6.cifar6": config})

    def vit_cifar6(pretrained: bool = False, **options: Any) -> Any:  # noqa: ANN401, FBT001, FBT002 - timm's own
        shape = {"img_size": 32, "patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 3}
        return build_model_with_cfg(VisionTransformer, "vit_cifar6", pretrained, **{**shape, **options})

    register_model(vit_cifar6)


def train(asked: dict[str, Any]) -> dict[str, Any]:
    """Train one steering and return its figures; runs in a process of its own."""
    register_vit()
    from stackbone.extract import get_backbone
    from stackbone.extract.backbones.weights import find_weights
    from stackbone.extract.steering.steer import SteerOptions, TrainingImages, steer

    backbone = get_backbone(VIT)
    weights = find_weights([backbone], {VIT: Path(asked["weights"])})[VIT]
    paths = asked["images"]
    content = b"".join(hashlib.sha256(Path(path).read_bytes()).digest() for path in paths)
    images = TrainingImages(
        paths, np.frombuffer(content, np.uint8).reshape(-1, 32), [Path(path).parent.name for path in paths]
    )
    seconds: list[float] = []
    done = steer(
        images,
        backbone,
        weights,
        Path(asked["out"]),
        SteerOptions(
            asked["method"],
            asked["stage"],
            epochs=asked["epochs"],
            validation=0,
            seed=asked["seed"],
            **asked.get("options", {}),
        ),
        start=Path(asked["start"]) if asked["start"] else None,
        on_epoch=lambda epoch: seconds.append(epoch.seconds),
    )
    peak = _peak_mb()
    hits = _hits(done.path, weights, asked["test"])
    return {
        "accuracy": hits.count("1") / len(hits) if hits else None,
        "hits": hits,
        "tuned": done.n_tuned,
        "parameters": done.n_parameters,
        "seconds": statistics.median(seconds),
        "epochs": len(seconds),
        "peak_mb": peak,
    }


def _hits(file: Path, weights: Any, paths: Sequence[str]) -> str:  # noqa: ANN401 - extract's Weights
    """Return for each image 1 where the head that was trained with a steering is right, on features in fp32, else 0."""
    import torch

    from stackbone.extract.engines.network import build_network
    from stackbone.extract.images.decode import apply_transform, decode
    from stackbone.extract.steering_files.steered import steered_backbone

    backbone, steering = steered_backbone(file)
    network = build_network(backbone, weights)
    head, bias = (torch.from_numpy(steering.tensors[name]) for name in ("head.weight", "head.bias"))
    marks = ""
    for first in range(0, len(paths), 250):
        batch = [Path(path) for path in paths[first : first + 250]]
        pixels = np.stack([apply_transform(decode(path.read_bytes()), backbone.transform) for path in batch])
        with torch.inference_mode():
            answers = (network(torch.from_numpy(pixels)) @ head.T + bias).argmax(1)
        marks += "".join(
            "01"[steering.classes[int(i)] == path.parent.name] for i, path in zip(answers, batch, strict=True)
        )
    return marks


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(asked: dict[str, Any], n_cores: int = 1) -> dict[str, Any]:
    """Call `train` in a process of its own."""
    command, cores = [sys.executable, __file__], {**os.environ, "OMP_NUM_THREADS": str(n_cores)}
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, env=cores)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    shown = {name: value for name, value in figures.items() if name != "hits"}
    print(f"{asked['stage']} {Path(asked['out']).stem}: {shown}", file=sys.stderr, flush=True)
    return figures


def unpack(archive: Path, folder: Path, split: str, classes: Sequence[str], rows: Iterable[int]) -> list[str]:
    """Return the files of some images of each class, unpacked."""
    wanted = list(rows)
    names = [f"{split}/{name}/{row:04d}.jpg" for name in classes for row in wanted]
    with zipfile.ZipFile(archive) as opened:
        for name in names:
            if not (folder / name).exists():
                opened.extract(name, folder)
    return [str(folder / name) for name in names]


if __name__ == "__main__":
    print(json.dumps(train(json.load(sys.stdin))))
