"""What all layers of a network are worth to each way of using them, beside the pooled vector alone.

``concat`` and ``parts`` are what ``stack --fusion`` has; the attentive classifiers and the selection of columns are
those of bench/layer_learners.py, which it does not have. A small ViT (pretrained on six classes of CIFAR-10) gives its
blocks on images of CIFAR-10 that it never saw: of all ten classes, and of the four classes that it never saw. The
smallest EfficientNet-Lite gives its stages on photographs of clothing. Differences are from the pooled vector, with the
interval of the corrected resampled t-test; seconds are those of one run on a machine that may be busy.
``python bench/layers.py [--quick] [--json FILE] [--photos FOLDER] [--shared FOLDER] [--cache FOLDER] [--repeats N]
[--images N] [--of SET]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from features import Scored, cache_of, draw_cifar
from layer_learners import score_attentive, score_selected
from numpy.typing import NDArray
from toast_training import SOURCE, TASK, VIT, register_vit

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import stratified_folds
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.metrics.compare import mean_sizes, paired_difference

LITE = "efficientnet_lite0"
SETS = ("ten classes", "four unseen classes", "clothing")
QUERIES = (1, 4)
N_IMAGES = 5_000


@dataclass(frozen=True, eq=False)
class Layers:
    """A dataset with the features of one network.

    Attributes
    ----------
    joined : Joined
        Labels, the pooled vector and all layers.
    pooled, layers : str
        Names of the two feature sets.
    folds : list of Fold
        Repeat after repeat.
    """

    joined: Joined
    pooled: str
    layers: str
    folds: list[Fold]

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n_images,)`` classes."""
        return np.unique(self.joined.labels, return_inverse=True)[1]

    @property
    def both(self) -> NDArray[np.float32]:
        """``(n_images, dim)`` pooled vector and layers side by side."""
        return np.hstack([self.joined.blocks[name] for name in (self.pooled, self.layers)])

    @property
    def parts(self) -> list[tuple[str, int]]:
        """Names and widths of the parts of `both`."""
        return [(part.name, part.n_columns) for name in (self.pooled, self.layers) for part in self.joined.parts[name]]


def embed(store: FeatureStore, name: str, options: Any) -> Layers:  # noqa: ANN401 - parsed arguments
    """Return a set of images with its features, as the cache has them or made now."""
    n = 300 if options.quick else options.images
    own = f"{name} {n}".replace(" ", "_")
    if name == "clothing":
        place, pooled, layers = options.photos / "validation" if options.quick else options.photos, LITE, "stages"
    else:
        classes = TASK if name == SETS[1] else sorted([*TASK, *SOURCE])
        archive = options.shared / "data" / "cifar10.zip"
        place = draw_cifar(archive, Path(str(store.root)) / "images" / own, n, split="test", classes=classes)
        pooled, layers = VIT, "blocks"
    register_vit()
    weights = {VIT: options.shared / "models" / "vit_cifar6.safetensors"} if pooled == VIT else None
    names = [pooled, f"{pooled}@{layers}"]
    extract(open_dataset(place, name=own), names, store, weights=weights)
    joined = join_features(store, dataset=own, backbones=names)
    folds = [
        fold
        for repeat in range(1 if options.quick else options.repeats)
        for fold in stratified_folds(joined.labels, 3, repeat, digests=joined.digests)
    ]
    return Layers(joined, names[0], names[1], folds)


Told = dict[str, Any]
Way = Callable[[], tuple[list[float], list[float], Told]]
"""Returns accuracies and log-losses of the folds, and what else there is to tell."""


def ways(of: Layers, folder: Path) -> Iterator[tuple[str, Way]]:
    """Yield what to compare: the pooled vector first."""
    scored = Scored(of.joined, of.folds, folder)
    chosen: list[float] = []

    def stacked(names: list[str], fusion: str) -> tuple[list[float], list[float], Told]:
        evaluation = scored.evaluate(names, fusion)
        (model,) = [each for each in evaluation.results if each.model.startswith("lr:")]
        chosen[:] = evaluation.chosen[model.model]
        parts = {part.name: float(np.mean(part.factors)) for own in evaluation.parts.values() for part in own}
        return model.folds, model.metrics["log_loss"], {"C": list(chosen), "factors": parts}

    yield "pooled", lambda: stacked([of.pooled], "none")
    yield f"{of.layers}, concat", lambda: stacked([of.layers], "concat")
    yield f"{of.layers}, parts", lambda: stacked([of.layers], "parts")
    yield "both, parts", lambda: stacked([of.pooled, of.layers], "parts")
    yield "both, concat", lambda: stacked([of.pooled, of.layers], "concat")
    yield (
        "both, columns selected",
        lambda: by_hand(of, lambda fold, inner: selected(of, fold, inner, float(np.median(chosen)))),
    )
    if of.layers.endswith("@blocks"):
        for n_queries in QUERIES:
            learner = partial(attentive, of, n_queries=n_queries)
            yield f"{of.layers}, attentive, queries: {n_queries}", partial(by_hand, of, learner)


def selected(of: Layers, fold: Fold, inner: list[Fold], c: float) -> tuple[NDArray[np.float32], Told]:
    """Return the decisions of the columns that a group lasso selects, and how many of each part these are."""
    decided, share, fraction = score_selected(of.both, of.codes, fold, inner, [width for _, width in of.parts], c)
    return decided, {"fraction": fraction, **dict(zip([name for name, _ in of.parts], share.tolist(), strict=True))}


def attentive(of: Layers, fold: Fold, inner: list[Fold], n_queries: int) -> tuple[NDArray[np.float32], Told]:
    """Return the decisions of the attentive classifier, and how much attention each token gets."""
    names = [name for name, _ in of.joined.parts[of.layers]]
    x = of.joined.blocks[of.layers]
    decided, attention, c = score_attentive(x, of.codes, fold, inner, len(names), n_queries)
    return decided, {"C": c, **dict(zip(names, attention.tolist(), strict=True))}


def by_hand(
    of: Layers, learner: Callable[[Fold, list[Fold]], tuple[NDArray[np.float32], Told]]
) -> tuple[list[float], list[float], Told]:
    """Return the scores of a learner of this folder on every fold, and the means of what it tells."""
    from scipy.special import log_softmax

    accuracies, losses, told = [], [], []
    names = np.unique(of.joined.labels)
    for fold in of.folds:
        inner = inner_folds(of.codes[fold.train], names, 0, digests=of.joined.digests[fold.train])
        decided, own = learner(fold, inner)
        truth = of.codes[fold.test]
        accuracies.append(float((decided.argmax(axis=1) == truth).mean()))
        losses.append(-float(log_softmax(decided, axis=1)[np.arange(len(truth)), truth].mean()))
        told.append(own)
    return accuracies, losses, {name: float(np.mean([each[name] for each in told])) for name in told[0]}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    add_folder(parser, "--shared", "", "the folder of data/cifar10.zip and models/vit_cifar6.safetensors")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--repeats", type=int, default=5, help="of the 3 folds, for the interval")
    parser.add_argument("--images", type=int, default=N_IMAGES, help="of CIFAR-10, at most")
    parser.add_argument("--of", choices=SETS, help="one set of images alone")
    options = parser.parse_args()
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    with cache_of(options.cache) as store, tempfile.TemporaryDirectory() as folder:
        for name in [options.of] if options.of else SETS:
            of, base = embed(store, name, options), list[float]()
            for way, run in ways(of, Path(folder) / "scores"):
                started = time.perf_counter()
                accuracies, losses, told = run()
                seconds = time.perf_counter() - started
                base = base or accuracies
                lead = paired_difference(accuracies, base, *mean_sizes(of.folds))
                ends = (
                    "" if lead.low is None or lead.high is None else f"{100 * lead.low:+.1f} to {100 * lead.high:+.1f}"
                )
                cells = [f"{np.mean(accuracies):.4f}", f"{100 * lead.mean:+.2f}", ends, f"{np.mean(losses):.4f}"]
                rows.append([name, way, *cells, f"{seconds:.0f}"])
                figures.setdefault(name, {})[way] = {
                    "accuracy": accuracies,
                    "log_loss": losses,
                    "seconds": seconds,
                    **told,
                }
                print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["images", "features", "accuracy", "points above pooled", "95% interval", "log-loss", "seconds"]
    n = 1 if options.quick else options.repeats
    report(f"Ways to use all layers, {n} times 3 folds", header, rows, figures, options.json)


if __name__ == "__main__":
    main()
