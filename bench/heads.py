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
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.tasks.registry import get_task

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
N_CIFAR = 3000
SPLITS = 3
N_MEMBERS, N_MADE = 12, 10_000
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

    def evaluate(self, options: StackOptions) -> Evaluation:
        """Score heads, and the stack that is built of them."""
        return evaluate(
            self.joined.blocks,
            self.joined.labels,
            self.folds,
            recipes=("oof",),
            baselines=False,
            options=options,
            digests=self.joined.digests,
            cache=self._cache,
        )

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


def timed(
    joined: Joined, fold: Fold, heads: Sequence[str]
) -> tuple[dict[str, float], dict[str, list[BaseScores]], Part]:
    """Return the seconds of a fit of each head, what the fits say of each backbone, and the part they learnt from."""
    task = get_task("classification")
    truth = task.read(joined.labels)
    inner = task.divide_training(truth, fold.train, joined.units("digests"), 0, 5)
    part = Part(0, fold, truth.values[fold.train], truth.n_classes, inner)
    learners = {each.name: each for each in task.learners}
    seconds, said = {}, {}
    with threadpool_limits(limits=1):
        for head in heads:
            started = time.perf_counter()
            found = [learners[head].fit([x], part, StackOptions(), 0) for x in joined.blocks.values()]
            seconds[head] = (time.perf_counter() - started) / len(found)
            said[head] = [each for each in found if isinstance(each, BaseScores)]
    return seconds, said, part


def measure(joined: Joined, repeats: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of every head and of every stack."""
    scored, every = Scored(joined, repeats, folder), SETS[-1].split(",")
    seconds, said, part = timed(joined, scored.folds[0], every)
    alone = scored.evaluate(stack_options(heads=every, meta="mean"))
    plain = scored.of_head(alone, "lr")
    heads = {head: {**scored.compared(scored.of_head(alone, head), plain), "seconds": seconds[head]} for head in every}
    stacks: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for names in SETS:
        for meta in get_task("classification").meta_learners:
            options = stack_options(heads=names, meta=meta)
            numbers = of_stack(scored.evaluate(options).score("stack:oof"))
            beside = beside or numbers
            members = [one for each in zip(*(said[head] for head in names.split(",")), strict=True) for one in each]
            with threadpool_limits(limits=1):
                started = time.perf_counter()
                META_LEARNERS[meta].fit(members, part, options.meta)
                took = time.perf_counter() - started
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
