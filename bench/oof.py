"""The `oof` recipe against mlxtend's StackingCVClassifier on real photographs: seconds and held-out accuracy.

The same features (the three EfficientNet-Lites of the clothing photographs), outer and inner folds (3 x 3), pipelines
(standardise, logistic regression with a fixed C) and meta-classifier (linear SVM, C = 1) on both sides, which take
turns with all cores to themselves. Ours runs once with an empty score cache, once with one of the three backbones new.
``python bench/oof.py [--quick] [--json FILE] [--photos FOLDER] [--cache DIR]``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from mlxtend.classifier import StackingCVClassifier
from mlxtend.feature_selection import ColumnSelector
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from machine import add_folder, arguments, report, spread
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import Fold, MetaOptions, StackOptions, evaluate, stratified_folds
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.join import join_features

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
C, META_C, FOLDS = 0.01, 1.0, 3

Blocks = dict[str, NDArray[np.float32]]
Labels = NDArray[np.str_]


def mlxtends(blocks: Blocks, y: Labels, folds: list[Fold], n_jobs: int | None) -> list[float]:
    """Return the accuracies of mlxtend's own stack, with its default of jobs or one for each core."""
    x, ends = np.hstack(list(blocks.values())), np.cumsum([block.shape[1] for block in blocks.values()])
    accuracies = []
    for fold in folds:
        model = StackingCVClassifier(
            classifiers=[
                make_pipeline(
                    ColumnSelector(cols=slice(end - block.shape[1], end)),
                    StandardScaler(),
                    LogisticRegression(C=C, max_iter=10_000),
                )
                for block, end in zip(blocks.values(), ends.tolist(), strict=True)
            ],
            meta_classifier=LinearSVC(C=META_C, dual=False),
            use_probas=True,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=0),
            n_jobs=n_jobs,
        )
        names, codes = np.unique(y, return_inverse=True)
        model.fit(x[fold.train], codes[fold.train])
        accuracies.append(float((names[model.predict(x[fold.test])] == y[fold.test]).mean()))
    return accuracies


def ours(blocks: Blocks, y: Labels, folds: list[Fold], cache: ScoreCache) -> list[float]:
    """Return the accuracies of ``stack:oof``."""
    options = StackOptions(c=C, inner_splits=FOLDS, meta=MetaOptions(c=META_C))
    found = evaluate(blocks, y, folds, recipes=("oof",), baselines=False, options=options, cache=cache)
    return found.score("stack:oof").folds


def timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Return the seconds that a run takes, and its accuracies."""
    started = time.perf_counter()
    accuracies = run()
    return time.perf_counter() - started, accuracies


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or f"{folder}/features")
        photos = options.photos / "validation" if options.quick else options.photos
        done = extract(open_dataset(photos), NAMES, store)
        ids = [each.feature_set for each in done.backbones]
        joined = join_features(store, dataset=done.index.name, backbones=ids)
        blocks, y = joined.blocks, joined.labels
        folds = stratified_folds(y, FOLDS, 0)
        fewer = dict(list(blocks.items())[:-1])

        def cache(name: str) -> ScoreCache:
            return ScoreCache(Path(folder, name), blocks, dataset=joined.index.name, feature_sets=done_ids)

        done_ids = {name: each.id for name, each in joined.feature_sets.items()}
        ours(fewer, y, folds, cache("two"))
        seconds: dict[str, list[float]] = {}
        accuracies: dict[str, list[float]] = {}
        for number in range(1 if options.quick else options.rounds):
            shutil.copytree(Path(folder, "two"), Path(folder, f"later-{number}"))
            for side, run in {
                "mlxtend StackingCVClassifier": partial(mlxtends, blocks, y, folds, None),
                "mlxtend StackingCVClassifier, n_jobs=-1": partial(mlxtends, blocks, y, folds, -1),
                "stack:oof, cold": partial(ours, blocks, y, folds, cache(f"cold-{number}")),
                "stack:oof, one backbone added": partial(ours, blocks, y, folds, cache(f"later-{number}")),
            }.items():
                took, accuracies[side] = timed(run)
                seconds.setdefault(side, []).append(took)
                print(f"{side}: {took:.2f} s", file=sys.stderr, flush=True)
    rival = min(spread(found)["median"] for side, found in seconds.items() if side.startswith("mlxtend"))
    cold = spread(seconds["stack:oof, cold"])["median"]
    rows = [
        [
            side,
            f"{spread(found)['median']:.2f} ({min(found):.2f} to {max(found):.2f})",
            f"{rival / spread(found)['median']:.1f}x",
            f"{cold / spread(found)['median']:.1f}x",
            f"{np.mean(accuracies[side]):.4f}",
        ]
        for side, found in seconds.items()
    ]
    title = f"{len(y):,} photographs, {len(blocks)} backbones, {FOLDS} x {FOLDS} folds, C = {C}"
    header = ["side", "seconds, median (min to max)", "against the faster mlxtend", "against cold", "held-out accuracy"]
    report(title, header, rows, {"seconds": seconds, "accuracies": accuracies}, options.json)


if __name__ == "__main__":
    main()
