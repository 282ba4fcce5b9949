"""How long the report's page takes to write, and how large it is: under 20 s and 10 MB for 5,000 images.

The experiments are made (`bench.made_report`), with 600 thumbnails of 160 pixels and three maps of every image.

``python bench/report.py [--quick] [--json FILE]``; exits 1 if a bound is broken.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # the rooms, not the scripts here of the same names

from bench.machine import arguments, report
from bench.made_report import made_report, made_thumbnails
from stack.report_figures import figures
from stack.report_page import write_report

SIZES = ((5_000, 10), (5_000, 200), (50_000, 200))
QUICK = ((1_000, 10),)
BOUND_SECONDS, BOUND_BYTES, BOUND_IMAGES = 20, 10e6, 5_000


def measure(n_images: int, n_classes: int, repeats: int) -> dict[str, float]:
    """Return medians of the seconds for figures and for the whole page, and the page's bytes."""
    data = made_report(n_images, n_classes, n_pictures=600)
    thumbnails = made_thumbnails(600, 160)
    drawing, writing = [], []
    with tempfile.TemporaryDirectory(prefix="stackbone-report-") as folder:
        file = Path(folder) / "report.html"
        for _ in range(repeats):
            started = time.perf_counter()
            figures(data)
            drawing.append(time.perf_counter() - started)
            started = time.perf_counter()
            write_report(data, thumbnails, file)
            writing.append(time.perf_counter() - started)
        size = file.stat().st_size
    return {
        "images": n_images,
        "classes": n_classes,
        "figures_s": statistics.median(drawing),
        "page_s": statistics.median(writing),
        "bytes": size,
        "thumbnail_bytes": sum(map(len, thumbnails.values())),
    }


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
    report("The report's page", header, rows, found, options.json)
    broken = [
        each
        for each in found
        if each["images"] <= BOUND_IMAGES and (each["page_s"] >= BOUND_SECONDS or each["bytes"] >= BOUND_BYTES)
    ]
    print("\n" + ("FAILED: over the bounds" if broken else "within the bounds"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
