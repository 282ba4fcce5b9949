"""How long the report's page takes to write, and how large it is: under 20 s and 10 MB for 5,000 images.

First the page alone, from made numbers (`made_report`), with 600 thumbnails of 160 pixels and three maps of every
image. Then all of it, from an experiment that is evaluated already to the page: made features of three backbones (1,280
columns), and photographs of 1,600 x 1,200 pixels (a few of them, under many names).

``python bench/report_speed.py [--quick] [--json FILE]``; exits 1 if a bound is broken.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from machine import arguments, report
from made_report import made_pictures, made_report
from stackbone.cache import OK, DatasetIndex, FeatureStore, FileStamps
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.images.thumbnails import thumbnails
from stackbone.stack import StackOptions, run_experiment
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.page import write_page
from stackbone.stack.report.report import collect_report, draw_pictures

SIZES = ((5_000, 10), (5_000, 200), (50_000, 200))
QUICK = ((1_000, 10),)
BOUND_SECONDS, BOUND_BYTES, BOUND_IMAGES = 20, 10e6, 5_000


def measure(n_images: int, n_classes: int, repeats: int) -> dict[str, float]:
    """Return medians of the seconds for figures and for the whole page, and the page's bytes."""
    made = made_report(n_images, n_classes, n_pictures=600)
    pictures = made_pictures(made, 600, 160)
    drawing, writing = [], []
    with tempfile.TemporaryDirectory(prefix="stackbone-report-") as folder:
        file = Path(folder) / "report.html"
        for _ in range(repeats):
            started = time.perf_counter()
            made.figures()
            drawing.append(time.perf_counter() - started)
            started = time.perf_counter()
            write_page(made, file, pictures)
            writing.append(time.perf_counter() - started)
        size = file.stat().st_size
    return {
        "images": n_images,
        "classes": n_classes,
        "figures_s": statistics.median(drawing),
        "page_s": statistics.median(writing),
        "bytes": size,
        "thumbnail_bytes": sum(map(len, pictures.thumbnails.values())),
    }


def measure_whole(n_images: int, n_classes: int) -> dict[str, float]:
    """Return the seconds of each step from an evaluated experiment to its page, and the page's bytes."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="stackbone-report-") as place:
        folder = Path(place)
        store = make_experiment_cache(folder, n_images, n_classes, rng)
        experiment = run_experiment(store, recipes=("oof",), options=StackOptions(c=0.01))
        times = [time.perf_counter()]
        collected = collect_report(experiment, store, ReportOptions(projection="pca"))
        times.append(time.perf_counter())
        pictures = draw_pictures(collected, thumbnails)
        times.append(time.perf_counter())
        file = folder / "report.html"
        write_page(collected, file, pictures)
        times.append(time.perf_counter())
        gather, draw, write = np.diff(times).tolist()
        return {"images": n_images, "collect": gather, "thumbnails": draw, "page": write, "bytes": file.stat().st_size}


def make_experiment_cache(folder: Path, n_images: int, n_classes: int, rng: np.random.Generator) -> FeatureStore:
    """Write photographs, made features of them, and their dataset."""
    photos = folder / "photos"
    photos.mkdir()
    for i in range(20):
        pixels = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((1600, 1200))
        pixels.save(photos / f"{i:05d}.jpg", quality=90)
    for i in range(20, n_images):
        os.link(photos / f"{i % 20:05d}.jpg", photos / f"{i:05d}.jpg")
    codes = np.arange(n_images) % n_classes
    digests = rng.integers(0, 256, (n_images, 32), np.uint8)
    store = FeatureStore(folder / "features")
    for name in ("resnet50", "vgg19", "xception"):
        x = rng.normal(size=(n_classes, 1280))[codes] + 6 * rng.normal(size=(n_images, 1280))
        spec = BACKBONES[name].spec("random(0)")
        store.feature_set(name, spec).append(spec, digests, x.astype(np.float32), {})
    store.write_dataset(
        DatasetIndex(
            name="photos",
            root=str(photos),
            path=[f"{i:05d}.jpg" for i in range(n_images)],
            label=[f"class {code:03d}" for code in codes],
            split=[""] * n_images,
            group=[""] * n_images,
            image_sha256=digests,
            status=np.full(n_images, OK, np.uint8),
            reason=[""] * n_images,
            stamps=FileStamps(np.full((n_images, 4), -1, np.int64)),
        )
    )
    return store


def main() -> int:
    """Measure, print, and return 1 if a bound is broken."""
    options = arguments((__doc__ or "").partition("\n")[0]).parse_args()
    found = [measure(*size, repeats=1 if options.quick else 5) for size in (QUICK if options.quick else SIZES)]
    rows = [
        [
            f"{each['images']:,}",
            f"{each['classes']:,}",
            f"{each['figures_s']:.2f}",
            f"{each['page_s']:.2f}",
            f"{each['bytes'] / 1e6:.1f}",
            f"{each['thumbnail_bytes'] / 1e6:.1f}",
        ]
        for each in found
    ]
    header = ["images", "classes", "figures, s", "whole page, s", "page, MB", "of it thumbnails, MB"]
    report("The report's page", header, rows, found, None)
    whole = measure_whole(*QUICK[0] if options.quick else SIZES[0])
    seconds = whole["collect"] + whole["thumbnails"] + whole["page"]
    steps = [f"{whole[step]:.1f}" for step in ("collect", "thumbnails", "page")]
    row = [f"{whole['images']:,}", *steps, f"{seconds:.1f}", f"{whole['bytes'] / 1e6:.1f}"]
    header = ["images", "collect, s", "thumbnails, s", "page, s", "in all, s", "page, MB"]
    report("From an evaluated experiment to its page", header, [row], {"page": found, "whole": whole}, options.json)
    broken = [seconds] if seconds >= BOUND_SECONDS or whole["bytes"] >= BOUND_BYTES else []
    broken += [
        each["page_s"]
        for each in found
        if each["images"] <= BOUND_IMAGES and (each["page_s"] >= BOUND_SECONDS or each["bytes"] >= BOUND_BYTES)
    ]
    print("\n" + ("FAILED: over the bounds" if broken else "within the bounds"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
