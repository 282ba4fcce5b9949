"""The published pair on CUB-200-2011, 62.6% to 74.5%, and ours beside it.

Published, 11,788 images, 200 classes, 3 folds, Keras weights: ResNet50 under a linear SVM .625 .623 .629, the stack of
VGG19, ResNet50, InceptionV3 and Xception .742 .742 .751. Given the folder that CUB_200_2011.tgz unpacks to, this script
embeds it with the same four architectures (weights from the hub, or ``--weights NAME=FILE``), and scores, on the same
folds: the linear SVM on raw ResNet50 features, the published recipe, and ours.

``python bench/cub.py --photos CUB_200_2011 [--json FILE]``. Without ``--photos`` it times the same work on made
features of the same size, whose accuracies mean nothing: it says so. ``--quick`` takes 600 rows and 15 classes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report
from stack_speed import make_features
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset, parse_weights_options
from stackbone.stack import Fold, evaluate, stratified_folds
from stackbone.stack.features.join import join_features
from stackbone.stack.solvers.linear import LinearPath

DIMS = {"resnet50": 2048, "vgg19": 512, "inception_v3": 2048, "xception": 2048}
PUBLISHED = {"resnet50 + linear SVM, raw": ".626 (.625 .623 .629)", "stack:published": ".745 (.742 .742 .751)"}

Blocks = dict[str, NDArray[np.float32]]


def embed(folder: Path, cache: Path | None, weights: list[str]) -> tuple[Blocks, NDArray[np.str_]]:
    """Return the features of a CUB folder by backbone, and its class names."""
    store = FeatureStore(cache)
    listed = open_dataset(str(folder))
    done = extract(listed, list(DIMS), store, weights=parse_weights_options(weights))
    ids = [each.feature_set for each in done.backbones]
    joined = join_features(store, dataset=listed.name, backbones=ids, group_by="none")
    return dict(zip(DIMS, joined.blocks.values(), strict=True)), joined.labels


def make(n: int, n_classes: int) -> tuple[Blocks, NDArray[np.str_]]:
    """Return made features of the same shapes; see `stack_speed.make_features`."""
    blocks = {}
    for seed, (name, dim) in enumerate(DIMS.items()):
        x, codes = make_features(n, dim, n_classes, seed=seed)
        order = np.argsort(codes, kind="stable")  # each block has drawn an order of its own
        blocks[name], labels = x[order], np.array([f"{code:03d}" for code in codes[order]])
    return blocks, labels


def raw_svm(x: NDArray[np.float32], y: NDArray[np.str_], folds: list[Fold]) -> list[float]:
    """Return the accuracies of ``LinearSVC()``'s objective on features as they are, C = 1."""
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    path = LinearPath(x, codes, len(names), [f.train for f in folds], loss="squared_hinge", standardise=False)
    return [
        float((linear.decide(x[fold.test]).argmax(axis=1) == codes[fold.test]).mean())
        for fold, linear in zip(folds, path.solve(1.0), strict=True)
    ]


def timed(run: Callable[[], dict[str, list[float]]]) -> tuple[dict[str, list[float]], float]:
    """Return what `run` returns, and its seconds."""
    started = time.perf_counter()
    found = run()
    return found, time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--photos", type=Path, help="CUB_200_2011 folder")
    parser.add_argument("--cache", type=Path, help="cache directory")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="instead of the hub")
    options = parser.parse_args()
    made = options.photos is None
    n, n_classes = (600, 15) if options.quick else (11_788, 200)
    blocks, y = make(n, n_classes) if made else embed(options.photos, options.cache, options.weights)
    folds = stratified_folds(y, 3, 0)

    def stacks(recipe: str) -> dict[str, list[float]]:
        found = evaluate(blocks, y, folds, recipes=(recipe,), baselines=recipe == "oof")
        return {score.model: score.folds for score in found.results}

    scores: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    svm = "resnet50 + linear SVM, raw"
    for what, run in {
        svm: lambda: {svm: raw_svm(blocks["resnet50"], y, folds)},
        "ours, with all baselines": lambda: stacks("oof"),
        "the published recipe, and the backbones again": lambda: stacks("published"),
    }.items():
        found, seconds[what] = timed(run)
        scores |= found
        print(f"{what}: {seconds[what]:.0f} s", file=sys.stderr, flush=True)
    rows = [
        [
            model,
            f"{np.mean(each):.3f}",
            " ".join(f"{score:.3f}" for score in each),
            "" if made else PUBLISHED.get(model, ""),
        ]
        for model, each in scores.items()
    ]
    what = (
        f"{len(y):,} {'made rows, whose scores mean nothing' if made else 'photographs'}, {len(np.unique(y))} classes"
    )
    took = "; ".join(f"{name} {each:.0f} s" for name, each in seconds.items())
    title = f"{what}, 3 folds. {took}"
    report(title, ["model", "accuracy", "folds", "published"], rows, {"scores": scores, "s": seconds}, options.json)


if __name__ == "__main__":
    main()
