"""Whether suggested images teach more than images drawn at random: accuracy against the number that are labelled.

Takes the cached features of a labelled dataset, hides all labels of two thirds of its images, and asks what to label in
steps: 20, 50, 100 and 200 images in all. After each a logistic regression on the labelled ones (on 64 principal
components of each backbone, side by side) is tested on the last third. Means over draws of these thirds, for `suggest`,
for TypiClust and DropQuery alone (written from their papers, on the same components), for the least margin, and for
images drawn at random. ``python bench/suggest.py --cache FOLDER --dataset NAME [--draws 10] [--images N] [--quick]
[--json FILE]``; ``bench/audit.py --digits FOLDER`` embeds digits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from machine import arguments, report
from stackbone.cache import FeatureStore
from stackbone.stack.suggesting import choice

Blocks = list[NDArray[np.float32]]
Codes = NDArray[np.int64]

STEPS = (20, 50, 100, 200)
OURS = "suggest"
RATE, PASSES, LEAST = 0.75, 3, 2  # of DropQuery: features dropped, passes, those in which the answer must change


def at_random(blocks: Blocks, codes: Codes, budget: int, seed: int) -> list[int]:
    """Return images without a label, drawn at random."""
    free = np.flatnonzero(codes < 0)
    found: list[int] = np.random.default_rng([seed, len(free)]).choice(free, budget, replace=False).tolist()
    return found


def suggested(blocks: Blocks, codes: Codes, budget: int, seed: int) -> list[int]:
    """Return what the command suggests."""
    found: list[int] = choice.choose(blocks, codes, budget, seed).rows.tolist()
    return found


def typiclust(blocks: Blocks, codes: Codes, budget: int, seed: int) -> list[int]:
    """Return the most typical images of clusters without a label, however many labels there are."""
    return [row for row, _ in choice.typical(np.hstack(blocks), codes >= 0, budget, seed)]


def least_margin(blocks: Blocks, codes: Codes, budget: int, seed: int) -> list[int]:
    """Return the images with the least margin; before there are labels, typical ones."""
    if len(np.unique(codes)) < 3:  # -1 and one class
        return typiclust(blocks, codes, budget, seed)
    free = np.flatnonzero(codes < 0)
    doubt = choice.doubts(choice.class_probabilities(choice.fitted(blocks, codes), blocks))
    found: list[int] = free[np.argsort(-doubt[free], kind="stable")[:budget]].tolist()
    return found


def dropquery(blocks: Blocks, codes: Codes, budget: int, seed: int) -> list[int]:
    """Return images near the centres of those whose answer changes when features are dropped (arXiv 2401.14555)."""
    if len(np.unique(codes)) < 3:
        return typiclust(blocks, codes, budget, seed)
    x, known, free = np.hstack(blocks), np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)
    model, rng = LogisticRegression(C=1.0, max_iter=300).fit(x[known], codes[known]), np.random.default_rng(seed)
    said = model.predict(x)
    changed = sum((model.predict(x * (rng.random(x.shape) > RATE)) != said).astype(int) for _ in range(PASSES))
    pool = free[changed[free] >= LEAST]
    if len(pool) < budget:
        pool = free[np.argsort(-changed[free], kind="stable")[:budget]]
    distances = choice.cluster(x[pool], budget, seed).transform(x[pool])
    found: list[int] = []
    for column in distances.T:
        found.append(next(row for row in pool[np.argsort(column, kind="stable")].tolist() if row not in found))
    return found


WAYS: dict[str, Callable[[Blocks, Codes, int, int], list[int]]] = {
    OURS: suggested,
    "TypiClust": typiclust,
    "DropQuery": dropquery,
    "least margin": least_margin,
    "at random": at_random,
}


def measure(blocks: Blocks, codes: Codes, draws: int) -> dict[str, Any]:
    """Return accuracies by way, a list of steps for each draw, and the CPU seconds of choosing in each."""
    accuracy: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(codes))
        test, pool = order[: len(order) // 3], order[len(order) // 3 :]
        own, x = [each[pool] for each in blocks], np.hstack(blocks)
        for name, way in WAYS.items():
            known = np.full(len(pool), -1)
            scores, spent = [], 0.0
            for n in STEPS:
                started = time.process_time()
                rows = way(own, known, n - int((known >= 0).sum()), draw)
                spent += time.process_time() - started
                known[rows] = codes[pool][rows]
                model = LogisticRegression(C=1.0, max_iter=300).fit(x[pool][known >= 0], known[known >= 0])
                scores.append(float((model.predict(x[test]) == codes[test]).mean()))
            accuracy[name].append(scores)
            seconds[name].append(spent)
    return {"accuracy": accuracy, "seconds": seconds, "steps": list(STEPS)}


def load(options: argparse.Namespace) -> tuple[Blocks, Codes]:
    """Return components of each plain backbone, and class codes, of some images drawn at random."""
    store = FeatureStore(options.cache)
    index = store.dataset(options.dataset)
    labelled = np.flatnonzero([bool(label) and ok for label, ok in zip(index.label, index.ok, strict=True)])
    most = min(900 if options.quick else options.images, len(labelled))
    rows = np.sort(np.random.default_rng(0).choice(labelled, most, replace=False))
    codes = np.unique(np.array(index.label)[rows], return_inverse=True)[1]
    sets = [each for each in store.covering(index) if "@" not in each.id]
    print(f"{index.name}: {len(rows):,} images, {codes.max() + 1} classes, {', '.join(each.backbone for each in sets)}")
    return [choice.reduced(each.load(index.image_sha256[rows]), 0) for each in sets], codes.astype(np.int64)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--cache", type=Path, required=True, help="cache with features of the dataset")
    parser.add_argument("--dataset", help="its name; by default the last one extracted")
    parser.add_argument("--draws", type=int, default=10, help="divisions into images to label and images to test")
    parser.add_argument("--images", type=int, default=4000, help="images, at most")
    options = parser.parse_args()
    figures = measure(*load(options), 2 if options.quick else options.draws)
    means = {name: np.mean(each, axis=0) for name, each in figures["accuracy"].items()}
    table = [
        [name, *(f"{each:.3f}" for each in own), f"{np.mean(figures['seconds'][name]):.2f}"]
        for name, own in means.items()
    ]
    header = ["labelled", *(f"{n:,}" for n in STEPS), "CPU s a draw"]
    report("Accuracy by the number of labelled images, means over draws", header, table, figures, options.json)
    above = means[OURS] - means["at random"]
    points = ", ".join(f"{100 * each:+.1f}" for each in above)
    print(f"\n{OURS} is above images drawn at random by {points} points")


if __name__ == "__main__":
    main()
