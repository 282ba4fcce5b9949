"""The stack of bench/toast.py: three CNNs without the small ViT, with it plain and steered; and where that looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from toast_training import TASK, VIT, register_vit, unpack

from machine import report
from stackbone.cache import FeatureStore
from stackbone.cache.text import counted

CNNS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
Stacks = dict[str, tuple[Sequence[str], str]]
"""Title in the table to backbones, and the row that they are compared with."""


def stacks(cnns: Sequence[str], *, is_nested: bool) -> Stacks:
    """Return what is measured the plain way, or with nested steerings."""
    some = counted(len(cnns), "CNN")
    if is_nested:
        return {
            f"{some} + steered ViT, nested": ((*cnns, "vit_toast"), f"{some} + steered ViT"),
            "plain ViT + steered ViT, nested": ((VIT, "vit_toast"), "plain ViT + steered ViT"),
        }
    return {
        some: (cnns, ""),
        f"{some} + plain ViT": ((*cnns, VIT), some),
        f"{some} + steered ViT": ((*cnns, "vit_toast"), some),
        "plain ViT alone": ((VIT,), ""),
        "steered ViT alone": (("vit_toast",), "plain ViT alone"),
        "plain ViT + steered ViT": ((VIT, "vit_toast"), "steered ViT alone"),
    }


def stack_with_cnns(options: Any, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed arguments
    """Steer the ViT for each fold, print the stack of CNNs without it, with it plain, with it steered, and nested.

    Steered it joins in two ways: the plain one, with a steering for each outer fold, and then nested, with one for each
    inner fold of these too. The figures so far are given after each.
    """
    register_vit()
    stack = _Stack(options, folder)
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    for is_nested in (False, True):
        # What the cache holds decides the way, so that the plain one is measured first.
        files = stack.steer(is_nested=is_nested)
        stack.embed(["vit_toast"] if is_nested else [*stack.cnns, VIT, "vit_toast"], files)
        for title, (members, base) in stacks(stack.cnns, is_nested=is_nested).items():
            figures[title] = stack.score(members, is_nested=is_nested)
            folds = figures[title]["accuracy"]["folds"]
            over = stack.difference(folds, figures[base]["accuracy"]["folds"]) if base else None
            figures[title]["difference"] = {"from": base, **over.to_dict()} if over else None
            rows.append([title, *_cells(figures[title]["accuracy"], base, over)])
        header = ["stack:oof of", "accuracy", "in points [95%]", *(f"fold {n + 1}" for n in range(stack.cv))]
        title = f"the steered ViT in a stack, {stack.n_images:,} images of the four classes, {options.epochs} epochs"
        report(title, header, rows, None, None)
        if not is_nested:
            unseen = [Path(path) for path in unpack(stack.archive, folder, "test", TASK, range(stack.n_shown))]
            figures |= look(files[0], stack.weights, unseen, options.pictures)
        yield figures


@dataclass(eq=False)
class _Stack:
    """The task's images in a cache, and the ViT to steer; the measured stack is divided as `stack` does by default."""

    options: Any
    folder: Path

    def __post_init__(self) -> None:
        from stackbone.extract import get_backbone, open_dataset
        from stackbone.extract.backbones.weights import find_weights
        from stackbone.extract.embedding.indexing import index_dataset
        from stackbone.extract.steering.steer import SteerOptions

        self.archive = self.options.shared / "data" / "cifar10.zip"
        is_quick = self.options.quick
        self.cnns = CNNS[:1] if is_quick else CNNS
        self.n_images: int = 32 if is_quick else self.options.stack_images
        self.n_shown = 10 if is_quick else 100
        self.cv, self.inner_splits = (2, 2) if is_quick else (3, 5)
        photos = self.folder / "task"
        unpack(self.archive, photos, "train", TASK, range(self.n_images // len(TASK)))
        self.dataset, self.store = open_dataset(photos / "train", name="task"), FeatureStore(self.folder / "features")
        index_dataset(self.dataset, self.store)
        self.files = {VIT: self.options.shared / "models" / "vit_cifar6.safetensors"}
        self.vit = get_backbone(VIT)
        self.weights = find_weights([self.vit], self.files)[VIT]
        self.told = SteerOptions("toast", epochs=self.options.epochs, validation=0, optimiser="adamw")

    def steer(self, *, is_nested: bool) -> list[Path]:
        """Train a steering for each outer fold, or for each inner one, and return the files."""
        from stackbone.extract.steering.steer import TrainingImages, steer, steering_path
        from stackbone.stack.divisions.training_parts import training_parts

        parts = training_parts(self.store, "task", cv=self.cv, seed=0, inner_splits=self.inner_splits, nested=is_nested)
        made = []
        for part in parts:
            if ("inner" in (part.division or {})) == is_nested:
                file = steering_path(self.folder / "steering", "task", self.vit, self.told, part.division)
                images = TrainingImages(
                    [str(self.dataset.root / path) for path in part.paths], part.digests, part.labels
                )
                steer(images, self.vit, self.weights, file, self.told, division=part.division)
                made.append(file)
        return made

    def embed(self, names: Sequence[str], steering: Sequence[Path]) -> None:
        """Fill the cache."""
        from stackbone.extract import extract

        # Without an engine that converts graphs: 18 of them would take longer than the embedding.
        extract(self.dataset, names, self.store, steering=steering, weights=self.files, engine="torch")

    def score(self, members: Sequence[str], *, is_nested: bool) -> dict[str, Any]:
        """Return the scores of the stack of some backbones, or of the only one."""
        from stackbone.stack import run_experiment
        from stackbone.stack.evaluation.options import stack_options

        fits = stack_options(inner_splits=self.inner_splits)
        experiment = run_experiment(self.store, backbones=members, cv=self.cv, seed=0, recipes=("oof",), options=fits)
        if experiment.nested != [name for name in members if is_nested and name == "vit_toast"]:
            message = f"{', '.join(members)} took the features of {experiment.nested or 'no'} backbone for inner folds"
            raise RuntimeError(message)
        return experiment.evaluation.score("stack:oof" if len(members) > 1 else f"lr:{members[0]}").to_dict()

    def difference(self, folds: Sequence[float], of_base: Sequence[float]) -> Any:  # noqa: ANN401 - Difference
        """Return how far one row is above another, with an interval that is fit for folds."""
        from stackbone.stack.metrics.compare import paired_difference

        n_test = self.n_images / self.cv
        return paired_difference(folds, of_base, self.n_images - n_test, n_test)


def _cells(accuracy: dict[str, Any], base: str, over: Any) -> list[str]:  # noqa: ANN401 - Difference or None
    compared = "-"
    if over:
        ends = "" if over.low is None else f" [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
        compared = f"{100 * over.mean:+.1f}{ends} over {base}"
    return [f"{accuracy['mean']:.3f} ± {accuracy['std']:.3f}", compared, *(f"{each:.3f}" for each in accuracy["folds"])]


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
        shown = paths[:: max(1, len(paths) // 16)]
        files = [ListedFile(str(path.parent), path.name, sha256_file(path)) for path in shown]
        pictures, _ = attention_pictures(network, backbone.transform, files)
        write_pictures(pictures, folder)
    return {"middle quarter": figures, "moved": moved}
