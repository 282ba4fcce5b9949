"""The stack of bench/toast.py: three CNNs without the small ViT, with it plain and steered; and where that looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from toast_training import TASK, VIT, register_vit, unpack

from machine import report
from stackbone.cache import FeatureStore

CNNS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
STACKS = {
    "3 CNNs": CNNS,
    "3 CNNs + plain ViT": (*CNNS, VIT),
    "3 CNNs + steered ViT": (*CNNS, "vit_toast"),
    "plain ViT + steered ViT": (VIT, "vit_toast"),
    "plain ViT alone": (VIT,),
    "steered ViT alone": ("vit_toast",),
}
NESTED_STACKS = {
    "3 CNNs + steered ViT, nested": (*CNNS, "vit_toast"),
    "plain ViT + steered ViT, nested": (VIT, "vit_toast"),
}


def stack_with_cnns(options: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - parsed arguments
    """Steer the ViT for each fold, and print the stack of CNNs without it, with it plain, with it steered.

    Steered it joins in two ways: the plain one, with a steering for each outer fold, and nested, with one for each
    inner fold of these too.
    """
    register_vit()
    from stackbone.extract import extract, get_backbone, open_dataset
    from stackbone.extract.backbones.weights import find_weights
    from stackbone.extract.embedding.indexing import index_dataset
    from stackbone.extract.steering.steer import SteerOptions, TrainingImages, steer, steering_path
    from stackbone.stack import run_experiment
    from stackbone.stack.divisions.training_parts import training_parts

    n_train = 16 if options.quick else 500
    cifar = options.shared / "data" / "cifar10.zip"
    photos = folder / "task"
    unpack(cifar, photos, "train", TASK, range(n_train))
    dataset, store = open_dataset(photos / "train", name="task"), FeatureStore(folder / "features")
    index = index_dataset(dataset, store)
    files = {VIT: options.shared / "models" / "vit_cifar6.safetensors"}
    backbone = get_backbone(VIT)
    weights = find_weights([backbone], files)[VIT]
    told = SteerOptions("toast", epochs=options.epochs, validation=0, optimiser="adamw")
    files_of: dict[bool, list[Path]] = {False: [], True: []}
    for part in training_parts(store, index.name, cv=3, seed=0, nested=True):
        file = steering_path(folder / "steering", "task", backbone, told, part.division)
        images = TrainingImages([str(dataset.root / path) for path in part.paths], part.digests, part.labels)
        steer(images, backbone, weights, file, told, division=part.division)
        files_of["inner" in (part.division or {})].append(file)
    rows, figures = [], {}
    for is_nested in (False, True):  # what the cache holds decides the way: the plain one is measured first
        names = [*CNNS, VIT, "vit_toast"] if not is_nested else ["vit_toast"]
        # Without an engine that converts graphs: 18 of them would take longer than the embedding.
        extract(dataset, names, store, steering=files_of[is_nested], weights=files, engine="torch")
        for title, members in NESTED_STACKS.items() if is_nested else STACKS.items():
            experiment = run_experiment(store, backbones=members, cv=3, seed=0, recipes=("oof",))
            if experiment.nested != [name for name in members if is_nested and name == "vit_toast"]:
                message = f"{title} took the features of {experiment.nested or 'no'} backbone for its inner folds"
                raise RuntimeError(message)
            score = experiment.evaluation.score("stack:oof" if len(members) > 1 else f"lr:{members[0]}")
            figures[title] = score.to_dict()
            rows.append([title, f"{score.mean:.3f} ± {score.std:.3f}", *(f"{fold:.3f}" for fold in score.folds)])
    unseen = [Path(path) for path in unpack(cifar, folder, "test", TASK, range(100))]
    figures |= look(files_of[False][0], weights, unseen, options.pictures)
    header = ["stack:oof of", "accuracy", "fold 1", "fold 2", "fold 3"]
    report(f"the steered ViT in a stack, {4 * n_train:,} images of the four classes", header, rows, figures, None)
    return figures


def look(file: Path, weights: Any, paths: list[Path], folder: Path | None) -> dict[str, Any]:  # noqa: ANN401 - Weights
    """Print how much of the attention the steering moves, and the share of the middle, where CIFAR has its objects."""
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
    plain, steered = (values / values.sum((1, 2))[:, None, None] for values in list(maps.values())[:2])
    moved = float(abs(plain - steered).sum((1, 2)).mean() / 2)
    rows = [[name, f"{share:.3f}"] for name, share in figures.items()]
    title = f"share of the middle quarter, 0.25 if even, mean of {len(paths)} test images"
    report(f"{title}; steering moves {moved:.1%} of the attention", ["map", "share"], rows, figures, None)
    if folder:
        shown = paths[:: len(paths) // 16]
        files = [ListedFile(str(path.parent), path.name, sha256_file(path)) for path in shown]
        pictures, _ = attention_pictures(network, backbone.transform, files)
        write_pictures(pictures, folder)
    return {"middle quarter": figures, "moved": moved}
