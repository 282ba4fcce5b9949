"""What steering is worth: six methods on four classes that a small ViT never saw, and the steered ViT in a stack.

The ViT (vit_cifar6.safetensors) was pre-trained on six classes of CIFAR-10; the task is the other four: 500 training
images a class, other ones for each seed, and all 1,000 test images a class, by the head that was trained with the
method, after the last epoch. With pre-tuning a method first trains on 500 images of each of the six source classes,
once for all seeds (TOAST-Lite takes TOAST's), so that the spread is that of the task alone; `ROWS` says which are. As
many trainings run side by side as there are cores, each on one. What a method costs is measured after that, in a
process of its own for its peak memory, with all cores and alone (a linear probe's epochs come after one embedding,
which they leave out). At last the ViT, steered once per outer fold, joins a stack of three CNNs on the first seed's
training images.
``python bench/toast.py [--quick] [--json FILE] [--parts NAMES] [--seeds 3] [--epochs 12] [--pictures DIR]``.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore, usable_cores
from stackbone.extract.methods.method import RECIPES

SOURCE = ("airplane", "automobile", "cat", "deer", "frog", "ship")
TASK = ("bird", "dog", "horse", "truck")
ADAMW = {"optimiser": "adamw"}
TEN_TIMES = {"learning_rate": 10 * RECIPES["finetune"].rates["adamw"]}
ROWS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "linear": ("linear", {}, None),
    "lora": ("lora", {}, "lora"),
    "vpt": ("vpt", {}, "vpt"),
    "finetune": ("finetune", {}, "finetune"),
    "finetune, 10 x the rate": ("finetune", TEN_TIMES, None),
    "toast": ("toast", {}, "toast"),
    "toast-lite": ("toast-lite", {}, "toast"),
    "toast, AdamW": ("toast", ADAMW, "toast, AdamW"),
    "toast-lite, AdamW": ("toast-lite", ADAMW, "toast, AdamW"),
    "toast, AdamW, bias once": ("toast", {**ADAMW, "method_options": {"value_bias": False}}, None),
}
"""The method, what it is told, and the row whose pre-tuning it goes on from. A name alone is the method's default:
for TOAST the published SGD, for fine-tuning the rate that suits a large network."""
QUICK_ROWS = ("linear", "toast, AdamW")
METHODS = ("linear", "lora", "vpt", "finetune", "toast", "toast-lite")
PARTS = ("methods", "costs", "stack")
VIT = "timm:vit_cifar6"
TRAIN = "--train"  # of this script's own processes
CNNS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


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
    return {
        "accuracy": _test_accuracy(done.path, weights, asked["test"]) if asked["test"] else None,
        "tuned": done.n_tuned,
        "parameters": done.n_parameters,
        "seconds": statistics.median(seconds),
        "epochs": len(seconds),
        "peak_mb": peak,
    }


def _test_accuracy(file: Path, weights: Any, paths: Sequence[str]) -> float:  # noqa: ANN401 - extract's Weights
    """Return the accuracy of the head that was trained with a steering, on features in fp32."""
    import torch

    from stackbone.extract.engines.network import build_network
    from stackbone.extract.images.decode import apply_transform, decode
    from stackbone.extract.steering_files.steered import steered_backbone

    backbone, steering = steered_backbone(file)
    network = build_network(backbone, weights)
    head, bias = (torch.from_numpy(steering.tensors[name]) for name in ("head.weight", "head.bias"))
    right = 0
    for first in range(0, len(paths), 250):
        batch = [Path(path) for path in paths[first : first + 250]]
        pixels = np.stack([apply_transform(decode(path.read_bytes()), backbone.transform) for path in batch])
        with torch.inference_mode():
            answers = (network(torch.from_numpy(pixels)) @ head.T + bias).argmax(1)
        right += sum(steering.classes[int(i)] == path.parent.name for i, path in zip(answers, batch, strict=True))
    return right / len(paths)


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(asked: dict[str, Any], n_cores: int = 1) -> dict[str, Any]:
    """Call `train` in a process of its own."""
    command, cores = [sys.executable, __file__, TRAIN], {**os.environ, "OMP_NUM_THREADS": str(n_cores)}
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, env=cores)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{asked['stage']} {Path(asked['out']).stem}: {figures}", file=sys.stderr, flush=True)
    return figures


def unpack(archive: Path, folder: Path, split: str, classes: Sequence[str], rows: range) -> list[str]:
    """Return the files of some images of each class, unpacked."""
    names = [f"{split}/{name}/{row:04d}.jpg" for name in classes for row in rows]
    with zipfile.ZipFile(archive) as opened:
        for name in names:
            opened.extract(name, folder)
    return [str(folder / name) for name in names]


def compare_methods(options: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - parsed arguments
    """Train every method for every seed, plain and pre-tuned, and print the table."""
    cifar = options.shared / "data" / "cifar10.zip"
    n_train, n_test, seeds = (40, 100, 1) if options.quick else (500, 1000, options.seeds)
    rows = QUICK_ROWS if options.quick else tuple(ROWS)
    common = {"weights": str(options.shared / "models" / "vit_cifar6.safetensors"), "epochs": options.epochs}
    common |= {"test": unpack(cifar, folder, "test", TASK, range(n_test))}
    source = unpack(cifar, folder, "train", SOURCE, range(n_train))
    pretuned = {} if options.quick else {name: _file(folder, name, "pretune") for name in rows if ROWS[name][2] == name}
    before = {"stage": "pretune", "images": source, "test": [], "start": None, "seed": 0}
    tasks: dict[tuple[str, int], dict[str, Any]] = {}
    for seed in range(seeds):
        images = unpack(cifar, folder, "train", TASK, range(seed * n_train, (seed + 1) * n_train))
        for name in rows:
            for start in dict.fromkeys([None, pretuned.get(ROWS[name][2] or "")]):
                key = f"{name} pre-tuned" if start else name
                asked = {"stage": "tune", "images": images, "start": start, "seed": seed}
                tasks[key, seed] = common | _told(name) | asked | {"out": _file(folder, key, f"seed{seed}")}
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(run, [common | _told(name) | before | {"out": out} for name, out in pretuned.items()]))
        done = dict(zip(tasks, pool.map(run, tasks.values()), strict=True))
    figures = {key: [done[key, seed] for seed in range(seeds)] for key, _ in done}
    header = ["method", "accuracy", "pre-tuned first", "trained, with head", "share"]
    title = f"accuracy on {len(TASK)} unseen classes, {n_test * len(TASK):,} test images, mean ± std of {seeds} seeds"
    title += f", {options.epochs} epochs; in brackets points over linear, mean over the seeds"
    report(title, header, [_row(name, figures) for name in rows], figures, None)
    return figures


def _told(name: str) -> dict[str, Any]:
    method, options, _ = ROWS[name]
    return {"method": method, "options": options}


def _file(folder: Path, name: str, part: str) -> str:
    return str(folder / f"{name}-{part}.safetensors".replace(",", "").replace(" ", "-"))


def _row(name: str, figures: dict[str, Any]) -> list[str]:
    linear = [each["accuracy"] for each in figures["linear"]]

    def accuracy(key: str) -> str:
        found = [each["accuracy"] for each in figures.get(key, [])]
        if not found:
            return "-"
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        text = f"{statistics.mean(found):.3f} ± {spread:.3f}"
        points = 100 * statistics.mean(a - b for a, b in zip(found, linear, strict=True))
        return text if key == "linear" else f"{text} ({points:+.1f})"

    tuned, whole = figures[name][0]["tuned"], figures[name][0]["parameters"]
    return [name, accuracy(name), accuracy(f"{name} pre-tuned"), f"{tuned:,}", f"{tuned / whole:.1%}"]


def measure_costs(options: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - parsed arguments
    """Train every method for a few epochs on all cores with nothing beside it, and print seconds and memory."""
    n_train, epochs = (40, 2) if options.quick else (500, 3)
    cifar, weights = options.shared / "data" / "cifar10.zip", options.shared / "models" / "vit_cifar6.safetensors"
    images = unpack(cifar, folder, "train", TASK, range(n_train))
    asked = {"weights": str(weights), "epochs": epochs, "stage": "tune", "images": images, "test": [], "start": None}
    figures = {}
    for method in ("linear", "toast") if options.quick else METHODS:
        out = str(folder / f"cost-{method}.safetensors")
        figures[method] = run(asked | {"method": method, "out": out, "seed": 0}, usable_cores())
    rows = [[name, f"{each['seconds']:.1f}", f"{each['peak_mb']:.0f}"] for name, each in figures.items()]
    title = f"what an epoch of {len(images):,} images costs, median of {epochs}"
    report(title, ["method", "s/epoch", "peak MB of the process"], rows, figures, None)
    return figures


def stack_with_cnns(options: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - parsed arguments
    """Steer the ViT once per outer fold, and print the stack of CNNs without it, with it plain, with it steered."""
    register_vit()
    from stackbone.extract import extract, get_backbone, open_dataset
    from stackbone.extract.backbones.weights import find_weights
    from stackbone.extract.embedding.indexing import index_dataset
    from stackbone.extract.steering.steer import SteerOptions, TrainingImages, steer
    from stackbone.stack import run_experiment
    from stackbone.stack.divisions.training_parts import training_parts

    n_train = 40 if options.quick else 500
    cifar = options.shared / "data" / "cifar10.zip"
    photos = folder / "task"
    unpack(cifar, photos, "train", TASK, range(n_train))
    dataset, store = open_dataset(photos / "train", name="task"), FeatureStore(folder / "features")
    index = index_dataset(dataset, store)
    files = {VIT: options.shared / "models" / "vit_cifar6.safetensors"}
    backbone = get_backbone(VIT)
    weights = find_weights([backbone], files)[VIT]
    steered = []
    for number, part in enumerate(training_parts(store, index.name, cv=3, seed=0)):
        steered.append(folder / f"fold-{number}.safetensors")
        images = TrainingImages([str(dataset.root / path) for path in part.paths], part.digests, part.labels)
        told = SteerOptions("toast", epochs=options.epochs, validation=0, optimiser="adamw")
        steer(images, backbone, weights, steered[-1], told, division=part.division)
    extract(dataset, [*CNNS, VIT, "vit_toast"], store, steering=steered, weights=files)
    unseen = [Path(path) for path in unpack(cifar, folder, "test", TASK, range(100))]
    figures = look(steered[0], weights, unseen, options.pictures)
    rows = []
    for title, names in (
        ("3 CNNs", CNNS),
        ("3 CNNs + plain ViT", (*CNNS, VIT)),
        ("3 CNNs + steered ViT", (*CNNS, "vit_toast")),
        ("plain ViT alone", (VIT,)),
        ("steered ViT alone", ("vit_toast",)),
    ):
        experiment = run_experiment(store, backbones=names, cv=3, seed=0, recipes=("oof",))
        score = experiment.evaluation.score("stack:oof" if len(names) > 1 else f"lr:{names[0]}")
        figures[title] = score.to_dict()
        rows.append([title, f"{score.mean:.3f} ± {score.std:.3f}", *(f"{fold:.3f}" for fold in score.folds)])
    header = ["stack:oof of", "accuracy", "fold 1", "fold 2", "fold 3"]
    report(f"the steered ViT in a stack, {4 * n_train:,} images of the four classes", header, rows, figures, None)
    return figures


def look(file: Path, weights: Any, paths: list[Path], folder: Path | None) -> dict[str, Any]:  # noqa: ANN401 - Weights
    """Print where the attention lies, as far as numbers tell: CIFAR's objects are in the middle of their images."""
    import torch

    from stackbone.cache import sha256_file
    from stackbone.cache.disk.reading import ListedFile
    from stackbone.extract.attention.maps import attention_maps, attention_pictures, patch_attention, write_pictures
    from stackbone.extract.engines.network import build_network
    from stackbone.extract.images.decode import apply_transform, decode
    from stackbone.extract.steering_files.steered import steered_backbone

    backbone, _ = steered_backbone(file)
    network: Any = build_network(backbone, weights)
    pixels = np.stack([apply_transform(decode(path.read_bytes()), backbone.transform) for path in paths])
    with torch.inference_mode():
        found = attention_maps(network.body, network.normalise(torch.from_numpy(pixels)))
        maps = {
            "plain attention": patch_attention(network.body.body, found.plain, found.grid),
            "steered attention": patch_attention(network.body.body, found.steered, found.grid),
            "token similarity": found.similarity,
        }
    h, w = found.grid
    figures = {}
    for name, values in maps.items():
        middle = values[:, h // 4 : h - h // 4, w // 4 : w - w // 4]
        figures[name] = float((middle.sum((1, 2)) / values.sum((1, 2))).mean())
    rows = [[name, f"{share:.3f}"] for name, share in figures.items()]
    title = f"share of the middle quarter, 0.25 if even, mean of {len(paths)} test images"
    report(title, ["map", "share"], rows, figures, None)
    if folder:
        shown = paths[:: len(paths) // 16]
        files = [ListedFile(str(path.parent), path.name, sha256_file(path)) for path in shown]
        pictures, _ = attention_pictures(network, backbone.transform, files)
        write_pictures(pictures, folder)
    return {"middle quarter": figures}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == [TRAIN]:
        print(json.dumps(train(json.load(sys.stdin))))
        return
    parser = arguments(__doc__ or "")
    add_folder(parser, "--shared", "", "the folder that holds data/cifar10.zip and models/vit_cifar6.safetensors")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the attention in one fold")
    options = parser.parse_args()
    if options.quick:
        options.epochs = 2
    measure = dict(zip(PARTS, (compare_methods, measure_costs, stack_with_cnns), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        figures = {part: measure[part](options, Path(folder)) for part in options.parts.split(",")}
    if options.json:
        from machine import describe_machine

        options.json.write_text(json.dumps({"machine": describe_machine(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
