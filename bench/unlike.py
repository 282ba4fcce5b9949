"""How well a saved model knows images that are unlike all that it was fitted on.

Photographs of clothing with their own split, three EfficientNet-Lites. Of each class in turn, a model is fitted on the
training and validation images of the other classes and asked about the test images: those of the class that it never
saw, against those of the others. A model of all classes is asked about photographs of blood (BCCD) and scikit-learn's
handwritten digits, against all test images. The figure is the area under the ROC curve: how often an unlike image is
further away than one of a known class, 1 at best and 0.5 by chance. Beside it that of the model's own doubt, 1 less its
largest probability (Hendrycks & Gimpel 2017, arXiv 1610.02136), of other numbers of neighbours and of each backbone
alone; which shares `predict` marks as unlike, of unlike images and, in error, of known ones; and the seconds that
`stack --save` takes, to fit a model and for what it keeps of its images. Fits are kept in the ``--cache``, where a run
that was stopped goes on.
``python bench/unlike.py [--quick] [--json FILE] [--photos FOLDER] [--data FOLDER] [--cache FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.cache.places.place import Place
from stackbone.extract import extract, open_dataset
from stackbone.stack import ModelScore, StackModel, stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.models.refit import refit
from stackbone.stack.models.unlike.find_novelty import NEIGHBOUR, find_novelty
from stackbone.stack.models.unlike.novelty import UNLIKE, Novelty, joined
from stackbone.stack.tasks.registry import get_task

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
NEIGHBOURS = (1, 10)
NOT_SCORED = ModelScore("stack:oof", [0.0])

Blocks = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model of some images.

    Attributes
    ----------
    model
        Without what it keeps of its images.
    usual
        That, as `stack --save` makes it.
    ways
        The same with other numbers of neighbours, and of each backbone alone.
    seconds
        Of the fit, and of `usual`.
    """

    model: StackModel
    usual: Novelty
    ways: dict[str, Novelty]
    seconds: list[float]


def fit(part: Joined, scores: Place, *, quick: bool) -> Fitted:
    """Return a model of some images; its fits are kept in the folder `scores`."""
    options = stack_options(c=0.003) if quick else stack_options()
    ids = {name: each.id for name, each in part.feature_sets.items()}
    cache = ScoreCache(scores, part.features, dataset=part.index.name, feature_sets=ids)
    task, started = get_task("classification"), time.perf_counter()
    model = refit(part, task, options, NOT_SCORED, seed=0, keep_features=False, cache=cache)
    fitted = time.perf_counter()
    usual = find_novelty(part, 0)
    kept = time.perf_counter()
    if usual is None:
        raise AssertionError
    ways = {f"k = {k}": found for k in NEIGHBOURS if (found := find_novelty(part, 0, k=k)) is not None}
    for name in usual.features:
        ways[f"{name} alone"] = replace(usual, features={name: usual.features[name]})
    return Fitted(model, usual, ways, [fitted - started, kept - fitted])


def distances(novelty: Novelty, blocks: Blocks) -> NDArray[np.float32]:
    """Return ``(n,)`` distances of images, mean over the backbones that tell."""
    return joined([novelty.distances(name, blocks[name]) for name in novelty.features])


def auroc(unlike: NDArray[np.floating], known: NDArray[np.floating]) -> float:
    """Return how often an unlike image has the larger number of the two."""
    truth = np.repeat([1, 0], [len(unlike), len(known)])
    return float(roc_auc_score(truth, np.concatenate([unlike, known])))


def compare(fitted: Fitted, unlike: Blocks, known: Blocks) -> dict[str, Any]:
    """Return how well a model of some images tells unlike images from known ones."""
    usual, ways = fitted.usual, fitted.ways
    doubts = [-fitted.model.log_probabilities(blocks).max(axis=1) for blocks in (unlike, known)]
    shares = [
        usual.further_than([usual.distances(name, blocks[name]) for name in usual.features])
        for blocks in (unlike, known)
    ]
    return {
        "images": [len(each) for each in shares],
        "auroc": auroc(distances(usual, unlike), distances(usual, known)),
        "auroc of doubt": auroc(*doubts),
        "auroc of others": {name: auroc(distances(way, unlike), distances(way, known)) for name, way in ways.items()},
        "marked": [float((each >= UNLIKE).mean()) for each in shares],
        "seconds": fitted.seconds,
        "bytes": usual.n_bytes,
    }


def held_out(images: Joined, scores: Place, *, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each class with how well a model of the others knows that it never saw it."""
    tested = images.splits == "test"
    names = np.unique(images.labels).tolist()
    for name in names[:2] if quick else names:
        own = images.labels == name
        unlike, known = of_rows(images, tested & own), of_rows(images, tested & ~own)
        fitted = fit(images.take(np.flatnonzero(~tested & ~own)), scores, quick=quick)
        print(f"without {name}: {sum(fitted.seconds):.0f} s", file=sys.stderr, flush=True)
        yield f"{name}, never seen", compare(fitted, unlike, known)


def of_rows(images: Joined, rows: NDArray[np.bool_]) -> Blocks:
    """Return the features of some images."""
    return {name: block[rows] for name, block in images.blocks.items()}


def others(store: FeatureStore, data: Path, names: tuple[str, ...], *, quick: bool) -> Iterator[tuple[str, Blocks]]:
    """Yield sets of images of something else."""
    grey = (load_digits().images[: 100 if quick else 500] * 15.9375).astype(np.uint8)
    digits = np.repeat(np.repeat(grey, 4, axis=1), 4, axis=2)
    blood = sorted((data / "bccd" / "JPEGImages").glob("*.jpg"))[: 50 if quick else None]
    for name, source in (("blood", list(map(str, blood))), ("digits", digits)):
        done = extract(open_dataset(source, name=f"unlike-{name}"), names, store)
        digests = np.unique(done.index.image_sha256[done.index.ok], axis=0)
        made = {each.feature_set for each in done.backbones}
        sets = [each for each in store.feature_sets() if each.id in made]
        yield name, {each.backbone: each.load(digests) for each in sets}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders of photographs, with a split test")
    add_folder(parser, "--data", "data", "the folder that holds bccd/")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    options = parser.parse_args()
    names = NAMES[:2] if options.quick else NAMES
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        done = extract(open_dataset(options.photos, name="clothing"), names, store)
        sets = [each.feature_set for each in done.backbones]
        images = join_features(store, dataset="clothing", backbones=sets)
        for name, each in held_out(images, store.scores_folder, quick=options.quick):
            found[name] = each
            if options.json:  # what was measured stays, whatever comes after
                write_figures("Unlike images", {"sets": found}, options.json)
        means = {what: float(np.mean([each[what] for each in found.values()])) for what in ("auroc", "auroc of doubt")}
        tested = images.splits == "test"
        fitted = fit(images.take(np.flatnonzero(~tested)), store.scores_folder, quick=options.quick)
        for name, unlike in others(store, options.data, names, quick=options.quick):
            found[name] = compare(fitted, unlike, of_rows(images, tested))
    ways = list(next(iter(found.values()))["auroc of others"])
    rows = [
        [
            name,
            " / ".join(map(str, each["images"])),
            f"{each['auroc']:.3f}",
            f"{each['auroc of doubt']:.3f}",
            *(f"{each['auroc of others'][way]:.3f}" for way in ways),
            *(f"{share:.1%}" for share in each["marked"]),
            *(f"{took:.1f}" for took in each["seconds"]),
            f"{each['bytes'] / 1e6:.1f}",
        ]
        for name, each in found.items()
    ]
    title = f"Unlike images, mean of never seen classes {means['auroc']:.3f}, of doubt {means['auroc of doubt']:.3f}"
    header = ["unlike images", "unlike / known", f"AUROC, k = {NEIGHBOUR}", "doubt", *ways]
    header += ["marked", "known marked", "seconds of fit", "of what is kept", "MB"]
    report(title, header, rows, {"mean": means, "sets": found}, options.json)


if __name__ == "__main__":
    main()
