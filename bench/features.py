"""What more outputs of a backbone are worth, and what each way to put them together makes of them.

Embeds photographs of clothing and 5,000 images of CIFAR-10 by three EfficientNet-Lites, at their pooled vector and at
their stages by one pass, and scores 5 times 3 folds (``--repeats``): each backbone by its pooled vector, by its stages,
and by both, put together in each way that ``stack --fusion`` knows; then the stacks of all three. Differences are from
the pooled vector alone, with the interval of the corrected resampled t-test (`stack.metrics.compare`). Then the time of
the stack of all by each fusion, of the same columns in one run: ratios that only an idle machine tells, so that
``--parts`` takes either alone.
``python bench/features.py [--quick] [--json FILE] [--parts NAMES] [--repeats N] [--photos FOLDER] [--data FOLDER]
[--cache FOLDER]``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import Evaluation, evaluate, stack_options, stratified_folds
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.options import FUSIONS
from stackbone.stack.metrics.compare import mean_sizes, paired_difference

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
OUTPUTS = ("pooled", "stages")
N_CIFAR = 5_000
SPLITS = 3
PARTS = ("scores", "seconds")


def draw_cifar(archive: Path, folder: Path, n: int, split: str = "train", classes: Sequence[str] | None = None) -> Path:
    """Unpack `n` images of a split, as many of each class (or of those named), drawn with seed 0."""
    with zipfile.ZipFile(archive) as packed:
        names = sorted(name for name in packed.namelist() if name.startswith(f"{split}/") and name.endswith(".jpg"))
        own = np.array([name.split("/")[1] for name in names])
        rng = np.random.default_rng(0)
        drawn = np.unique(own) if classes is None else np.array(classes)
        each = n // len(drawn)
        for name in drawn:
            rows = np.flatnonzero(own == name)
            for row in rng.choice(rows, min(each, len(rows)), replace=False):
                packed.extract(names[row], folder)
    return folder / split


class Scored:
    """Evaluations of one dataset on the same folds; fits that several of them share run once."""

    def __init__(self, joined: Joined, folds: Sequence[Fold], folder: Path) -> None:
        self.joined, self.folds = joined, folds
        ids = {name: each.id for name, each in joined.feature_sets.items()}
        self._cache = ScoreCache(folder, joined.blocks, dataset=joined.index.name, feature_sets=ids)

    def evaluate(self, names: Sequence[str], fusion: str) -> Evaluation:
        """Score some feature sets, put together in one way."""
        chosen = select(self.joined, names)
        return evaluate(
            chosen.blocks,
            chosen.labels,
            self.folds,
            members=fuse(chosen, fusion),
            recipes=("oof",),
            baselines=False,
            options=stack_options(fusion=fusion),
            digests=chosen.digests,
            cache=self._cache,
        )


def select(joined: Joined, names: Sequence[str]) -> Joined:
    """Return the features of these names alone."""
    return replace(
        joined,
        names=list(names),
        feature_sets={name: joined.feature_sets[name] for name in names},
        blocks={name: joined.blocks[name] for name in names},
        parts={name: joined.parts[name] for name in names},
    )


def ways(backbones: Sequence[str]) -> Iterator[tuple[str, list[str], str]]:
    """Yield what to score of some backbones: a name, feature sets and their fusion; the pooled vector first."""
    pooled, stages = list(backbones), [f"{name}@stages" for name in backbones]
    yield "pooled", pooled, "none"
    yield "stages", stages, "concat"
    for fusion in FUSIONS:
        yield f"pooled+stages, {fusion}", [name for pair in zip(pooled, stages, strict=True) for name in pair], fusion


def score_all(scored: Scored, backbones: Sequence[str]) -> dict[str, Any]:
    """Return scores and differences from the pooled vector, by backbone (or ``stack``) and way."""
    sizes = mean_sizes(scored.folds)
    found: dict[str, Any] = {}
    for subject, own in [*((name, [name]) for name in backbones), ("stack", list(backbones))]:
        base: list[float] = []
        for way, names, fusion in ways(own):
            evaluation = scored.evaluate(names, fusion)
            model = evaluation.score("stack:oof") if len(names) > 1 else evaluation.results[0]
            if subject != "stack" and fusion != "none":
                model = evaluation.results[0]  # one member: its own score, without a meta-learner of one
            base = base or model.folds
            difference = paired_difference(model.folds, base, *sizes)
            found.setdefault(subject, {})[way] = {
                "accuracy": model.mean,
                "log_loss": float(np.mean(model.metrics["log_loss"])),
                "difference": difference.to_dict(),
                "parts": {
                    name: {part.name: [float(np.mean(part.factors)), float(np.mean(part.losses))] for part in parts}
                    for name, parts in evaluation.parts.items()
                },
            }
            print(f"{subject}: {way}: {model.mean:.4f}", file=sys.stderr, flush=True)
    return found


def time_fusions(joined: Joined, names: Sequence[str]) -> dict[str, float]:
    """Return the seconds of a stack of the same features, with all baselines, by fusion; the median of three."""
    chosen, folds = select(joined, names), stratified_folds(joined.labels, SPLITS, 0)
    seconds: dict[str, list[float]] = {fusion: [] for fusion in FUSIONS}
    for _ in range(3):
        for fusion, own in seconds.items():
            started = time.perf_counter()
            evaluate(chosen.blocks, chosen.labels, folds, members=fuse(chosen, fusion), recipes=("oof",))
            own.append(time.perf_counter() - started)
            print(f"{fusion}: {own[-1]:.1f} s", file=sys.stderr, flush=True)
    return {fusion: statistics.median(own) for fusion, own in seconds.items()}


@contextmanager
def cache_of(folder: Path | None) -> Iterator[FeatureStore]:
    """Yield a cache to keep, or one that goes."""
    with tempfile.TemporaryDirectory() as temporary:
        yield FeatureStore(folder or temporary)


def rows_of(dataset: str, found: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines of the table."""
    rows = []
    for subject, by_way in found.items():
        for way, each in by_way.items():
            lead = each["difference"]
            interval = "" if lead["low"] is None else f"{100 * lead['low']:+.1f} to {100 * lead['high']:+.1f}"
            cells = [f"{each['accuracy']:.4f}", f"{100 * lead['mean']:+.2f}", interval, f"{each['log_loss']:.4f}"]
            rows.append([dataset, subject, way, *cells])
    return rows


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    add_folder(parser, "--data", "data", "the folder of cifar10.zip")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--repeats", type=int, default=5, help="of the cross-validation")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: it has {', '.join(PARTS)}")
    backbones = NAMES[:1] if options.quick else NAMES
    repeats = 1 if options.quick else options.repeats
    figures: dict[str, Any] = {}
    rows: list[list[str]] = []
    with cache_of(options.cache) as store, tempfile.TemporaryDirectory() as folder:
        sets = {"clothing": options.photos / "validation" if options.quick else options.photos}
        archive = options.data / "cifar10.zip"
        if archive.exists():
            sets["cifar"] = draw_cifar(archive, Path(folder) / "cifar", 300 if options.quick else N_CIFAR)
        for name, place in sets.items():
            extract(open_dataset(place, name=name), backbones, store, outputs=OUTPUTS)
            feature_sets = [f"{each}{output}" for each in backbones for output in ("", "@stages")]
            joined = join_features(store, dataset=name, backbones=feature_sets)
            folds = [
                fold
                for repeat in range(repeats)
                for fold in stratified_folds(joined.labels, SPLITS, repeat, digests=joined.digests)
            ]
            figures[name] = {}
            if "scores" in parts:
                figures[name]["scores"] = score_all(Scored(joined, folds, Path(folder) / "scores"), backbones)
                rows += rows_of(name, figures[name]["scores"])
            if "seconds" in parts:
                figures[name]["seconds"] = time_fusions(joined, feature_sets)
            if options.json:  # what was measured stays, whatever comes after
                write_figures("outputs and fusions", figures, options.json)
    if rows:
        header = ["images", "backbone", "features", "accuracy", "points above pooled", "95% interval", "log-loss"]
        report(f"Outputs and fusions, {repeats} times {SPLITS} folds", header, rows, None, None)
    if timed := {name: each["seconds"] for name, each in figures.items() if "seconds" in each}:
        rows = [
            [name, *(f"{own:.1f} ({own / seconds['none']:.2f})" for own in seconds.values())]
            for name, seconds in timed.items()
        ]
        title = "The stack of all by its fusion, in seconds; in brackets beside none, which fits every output by itself"
        report(title, ["images", *FUSIONS], rows, None, None)


if __name__ == "__main__":
    main()
