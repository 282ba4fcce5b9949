"""What each head and each meta-learner is worth on frozen features of four sets of images.

Photographs of clothing (10 classes), scikit-learn's 1,797 handwritten digits, 3,000 training images of CIFAR-10, and
364 photographs of blood, told apart by whether there are platelets on them (BCCD); three EfficientNet-Lites; repeated
3-fold cross-validation, the photographs' own labels. First each head alone, as the mean over the backbones, beside
``lr``; then stacks, by the heads that they are built of and by meta-learner, beside the default. Differences with the
95% interval of the corrected resampled t-test (`stack.metrics.compare`). Seconds are those of one fit on the first
fold, on one core: of a head the mean over the backbones, of a meta-learner its own part alone. Last the seconds of
``greedy`` on many made rows.
``python bench/heads.py [--quick] [--json FILE] [--photos FOLDER] [--data FOLDER] [--cache FOLDER] [--repeats N]``.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from features import draw_cifar
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.datasets.dataset import Dataset
from stackbone.stack import (
    Evaluation,
    MetaOptions,
    ModelScore,
    StackOptions,
    evaluate,
    stack_options,
    stratified_folds,
)
from stackbone.stack.evaluation.base_fits import base_fits
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.stacks import Fitted, fit_stacks
from stackbone.stack.evaluation.weights import make_part
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.fitting.fits import FitCounter
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.learner import BaseOutcome, BaseScores, Part
from stackbone.stack.learners.member import one_each
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.tasks.registry import get_task

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
N_CIFAR = 3000
SPLITS = 3
N_MEMBERS, N_MADE = 12, 10_000
TASK = get_task("classification")
SETS = ("lr", "lda", "lr,lda,knn", "lr,lda,knn,prototype,ridge_classifier")


def datasets(photos: Path, data: Path, folder: Path, *, quick: bool) -> Iterator[Dataset]:
    """Yield the sets of images."""
    images, codes = load_digits(return_X_y=True)
    n = 300 if quick else len(codes)
    grey = np.repeat(np.repeat((images[:n] * 15.9375).astype(np.uint8).reshape(-1, 8, 8), 4, axis=1), 4, axis=2)
    yield open_dataset(grey, name="digits", labels=codes[:n])
    yield open_dataset(list_platelets(data / "bccd", folder), name="platelets")
    if quick:
        return
    yield open_dataset(photos, name="clothing")
    yield open_dataset(draw_cifar(data / "cifar10.zip", folder / "cifar", N_CIFAR), name="cifar")


def list_platelets(bccd: Path, folder: Path) -> Path:
    """Write a table of the photographs of blood, by whether an annotation names platelets, and return its path."""
    rows = ["path,label"]
    for file in sorted((bccd / "Annotations").glob("*.xml")):
        has = re.search(r"<name>\s*Platelets\s*</name>", file.read_text())
        rows.append(f"{bccd / 'JPEGImages' / file.stem}.jpg,{'platelets' if has else 'without'}")
    table = folder / "platelets.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


class Scored:
    """Evaluations of one set of images on the same folds; fits that several of them share run once."""

    def __init__(self, joined: Joined, repeats: int, folder: Path) -> None:
        self.joined = joined
        self.folds = stratified_folds(joined.labels, SPLITS, 0, digests=joined.digests, repeats=repeats)
        ids = {name: each.id for name, each in joined.feature_sets.items()}
        self._cache = ScoreCache(folder, joined.blocks, dataset=joined.index.name, feature_sets=ids)

        truth, units = TASK.read(joined.labels), Units(None, joined.digests)
        options = StackOptions()

        def inner_folds(rows: NDArray[np.int64]) -> list[Fold]:
            return TASK.divide_training(truth, rows, units, 0, options.inner_splits)

        self.truth = truth
        self.parts = [make_part(i, fold, truth, inner_folds, options, None) for i, fold in enumerate(self.folds)]
        self.fits = base_fits(TASK, joined.blocks, one_each(joined.blocks), self.parts, options, 0, inner_folds)

    def of_heads(self, heads: Sequence[str]) -> Evaluation:
        """Score heads."""
        return evaluate(
            self.joined.blocks,
            self.joined.labels,
            self.folds,
            recipes=("oof",),
            baselines=False,
            options=stack_options(heads=heads, meta="mean"),
            digests=self.joined.digests,
            cache=self._cache,
        )

    def outcomes(self, heads: Sequence[str]) -> dict[tuple[str, int], BaseOutcome]:
        """Return what heads say of each backbone in each fold, which `of_heads` has kept."""
        keys = [(f"{head}:{name}", part.number) for head in heads for name in self.joined.names for part in self.parts]
        return {key: self.fits[key].find_or_run(self._cache, self.truth.values, self.parts[key[1]], []) for key in keys}

    def stacked(
        self, outcomes: dict[tuple[str, int], BaseOutcome], heads: Sequence[str], meta: str
    ) -> tuple[ModelScore, float]:
        """Score a stack of heads, and return the seconds of its meta-learner on the first fold, on one core."""
        names, options = self.joined.names, stack_options(heads=heads, meta=meta).meta

        def fit(parts: Sequence[Part], n_jobs: int | None) -> Fitted:
            counter = FitCounter(None, len(parts))
            return fit_stacks(TASK, outcomes, heads, {"stack:oof": names}, parts, options, n_jobs, counter)

        with threadpool_limits(limits=1):
            started = time.perf_counter()
            first = fit(self.parts[:1], 1)
            took = time.perf_counter() - started
        others = fit(self.parts[1:], None)
        predictions = [(others if i else first).predict("stack:oof", i) for i in range(len(self.parts))]
        return TASK.score("stack:oof", self.truth, predictions, self.folds), took

    def of_head(self, evaluation: Evaluation, head: str) -> dict[str, Any]:
        """Return accuracy and log-loss of a head in each fold, mean over the backbones."""
        scores = [evaluation.score(f"{head}:{name}") for name in self.joined.names]
        losses = [each.metrics["log_loss"] for each in scores]
        return {
            "accuracy": np.mean([each.folds for each in scores], axis=0).tolist(),
            "log_loss": np.mean(losses, axis=0).tolist(),
        }

    def compared(self, numbers: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
        """Return numbers of each fold with their means, and their differences from others."""
        sizes = mean_sizes(self.folds)
        return {
            **{f"mean {name}": float(np.mean(folds)) for name, folds in numbers.items()},
            **numbers,
            **{
                f"difference of {name}": paired_difference(folds, beside[name], *sizes).to_dict()
                for name, folds in numbers.items()
            },
        }


def of_stack(score: ModelScore) -> dict[str, Any]:
    """Return accuracy and log-loss of a stack in each fold."""
    return {"accuracy": score.folds, "log_loss": score.metrics["log_loss"]}


def timed(scored: Scored, heads: Sequence[str]) -> dict[str, float]:
    """Return the seconds of a fit of each head, on the first fold."""
    learners, seconds = {each.name: each for each in TASK.learners}, {}
    with threadpool_limits(limits=1):
        for head in heads:
            started = time.perf_counter()
            for x in scored.joined.blocks.values():
                learners[head].fit([x], scored.parts[0], StackOptions(), 0)
            seconds[head] = (time.perf_counter() - started) / len(scored.joined.blocks)
    return seconds


def measure(joined: Joined, repeats: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of every head and of every stack."""
    scored, every = Scored(joined, repeats, folder), SETS[-1].split(",")
    seconds = timed(scored, every)
    alone = scored.of_heads(every)
    print(f"{joined.index.name}: heads", file=sys.stderr, flush=True)
    plain, outcomes = scored.of_head(alone, "lr"), scored.outcomes(every)
    heads = {head: {**scored.compared(scored.of_head(alone, head), plain), "seconds": seconds[head]} for head in every}
    stacks: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for names in SETS:
        for meta in TASK.meta_learners:
            score, took = scored.stacked(outcomes, names.split(","), meta)
            numbers = of_stack(score)
            beside = beside or numbers
            stacks[f"{meta} of {names}"] = {**scored.compared(numbers, beside), "seconds": took}
            print(f"{joined.index.name}: {meta} of {names}", file=sys.stderr, flush=True)
    return {"heads": heads, "stacks": stacks}


def time_greedy(n_classes: int) -> float:
    """Return the seconds of `greedy` on made scores of `N_MEMBERS` members and `N_MADE` rows, on one core."""
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=N_MADE)
    nothing = np.empty((0, n_classes), np.float32)
    members = []
    for noise in np.linspace(0.5, 3, N_MEMBERS):
        says = noise * rng.normal(size=(N_MADE, n_classes))
        says[np.arange(N_MADE), y] += 2
        members.append(BaseScores(1.0, says.astype(np.float32), nothing, None))
    inner = inner_folds(y, np.arange(n_classes).astype(str), 0)
    part = Part(0, Fold(np.arange(N_MADE), np.empty(0, np.int64)), y, n_classes, inner)
    with threadpool_limits(limits=1):
        started = time.perf_counter()
        META_LEARNERS["greedy"].fit(members, part, MetaOptions("greedy"))
        return time.perf_counter() - started


def cells(found: dict[str, Any]) -> list[str]:
    """Return the figures of one row of a table."""
    row = []
    for name, unit, digits in (("accuracy", 100.0, 1), ("log_loss", 1.0, 3)):
        row.append(f"{found[f'mean {name}']:.3f}")
        difference = found[f"difference of {name}"]
        ends = [difference[name] for name in ("low", "high")]
        low, high = (difference["mean"] if each is None else each for each in ends)
        row.append(f"{unit * low:+.{digits}f} to {unit * high:+.{digits}f}")
    return [*row, f"{found['seconds']:.2f}"]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders of photographs")
    add_folder(parser, "--data", "data", "the folder that holds cifar10.zip and bccd/")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--repeats", type=int, default=3, help="of the cross-validation")
    options = parser.parse_args()
    repeats = 1 if options.quick else options.repeats
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        for dataset in datasets(options.photos, options.data, Path(folder), quick=options.quick):
            done = extract(dataset, NAMES[:2] if options.quick else NAMES, store)
            sets = [each.feature_set for each in done.backbones]
            joined = join_features(store, dataset=done.index.name, backbones=sets)
            figures[done.index.name] = measure(joined, repeats, Path(folder) / "scores")
            if options.json:  # what was measured stays, whatever comes after
                write_figures("Heads and meta-learners", figures, options.json)
    title = f"{repeats} times {SPLITS} folds"
    default = f"{get_task('classification').meta_learners[0]} of {SETS[0]}"
    numbers = ["accuracy", "less {}, points", "log-loss", "less {}", "seconds"]
    for kind, beside in (("heads", "lr"), ("stacks", default)):
        rows = [[name, what, *cells(found)] for name, all_of in figures.items() for what, found in all_of[kind].items()]
        header = ["images", kind, *(each.format(beside) for each in numbers)]
        report(f"{kind.capitalize()}, {title}", header, rows, figures, options.json)
    title = f"greedy, {N_MEMBERS} members, {N_MADE:,} made rows"
    figures[title] = {str(n): time_greedy(n) for n in (10, 200)}
    rows = [[n, f"{took:.2f}"] for n, took in figures[title].items()]
    report(title, ["classes", "seconds"], rows, figures, options.json)


if __name__ == "__main__":
    main()
