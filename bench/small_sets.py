"""What models and stacks are worth on a handful of labelled photographs, beside one linear SVM.

Draws small training sets from real photographs (clothing, and handwritten digits), fits everything on the draw, and
tests on photographs of its classes that were not drawn (all, or 1,000 at random where there are more). Every draw is
another choice of classes and of images; `uneven` draws have classes of very different sizes. Per size: mean accuracy
of every model; the difference of ``mean`` and ``stack:oof`` from the best single backbone's linear SVM (the one with
the best mean over all draws, which nobody could have known) with its standard error over draws; draws of ``stack:oof``
that end near chance where that SVM is above .9; log-loss beside that of a uniform guess.
``python bench/small_sets.py [--quick] [--json FILE] [--photos FOLDER] [--draws N] [--of SET] [--uneven no]``, and
``--meta NAME`` for another meta-learner than the default.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.datasets.digits import write_digits
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.features.join import join_features
from stackbone.stack.folds.fold import Fold

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
N_DIGITS = 2000
MOST_TESTED = 1000  # photographs scored a draw, at random from those left over
SETS = ((6, 2), (12, 2), (12, 3), (12, 4), (20, 3), (20, 5), (40, 5), (40, 10), (60, 10), (100, 10))
QUICK = ((12, 4), (20, 5))


@dataclass(frozen=True)
class Draw:
    """One training set: rows of the features, and those to test on."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def draws(labels: NDArray[np.str_], n: int, n_classes: int, count: int, *, uneven: bool) -> Iterator[Draw]:
    """Yield `count` draws of `n` photographs in `n_classes` classes."""
    names = np.unique(labels)
    for number in range(count):
        rng = np.random.default_rng([n, n_classes, number, uneven])
        classes = rng.choice(names, n_classes, replace=False)
        sizes = np.full(n_classes, n // n_classes)
        if uneven:
            sizes = 2 + rng.multinomial(n - 2 * n_classes, rng.dirichlet(np.ones(n_classes)))
        pools = [np.flatnonzero(labels == name) for name in classes]
        chosen = [
            rng.choice(pool, min(size, len(pool) // 2), replace=False) for pool, size in zip(pools, sizes, strict=True)
        ]
        train = np.concatenate(chosen)
        left = np.setdiff1d(np.concatenate(pools), train)
        yield Draw(train, rng.permutation(left)[:MOST_TESTED])


def score(
    blocks: Mapping[str, NDArray[np.float32]], labels: NDArray[np.str_], draw: Draw, meta: str | None = None
) -> dict[str, Any]:
    """Return accuracy and log-loss of every model on one draw."""
    rows = np.concatenate([draw.train, draw.test])
    fold = Fold.testing(np.arange(len(draw.train), len(rows)), len(rows))
    own = {name: x[rows] for name, x in blocks.items()}
    options = stack_options(meta=meta)
    found = evaluate(own, labels[rows], [fold], ablation=False, options=options, n_jobs=1)
    return {
        each.model: {"accuracy": each.mean, "log_loss": each.metrics.get("log_loss", [None])[0]}
        for each in found.results
    }


def summarise(scores: Sequence[Mapping[str, Any]], n_classes: int) -> dict[str, Any]:
    """Return what the draws of one size come to."""
    accuracy = {model: np.array([each[model]["accuracy"] for each in scores]) for model in scores[0]}
    best = max((model for model in accuracy if model.startswith("svm:")), key=lambda model: accuracy[model].mean())
    summary: dict[str, Any] = {
        kind: float(np.mean([values.mean() for model, values in accuracy.items() if model.startswith(kind)]))
        for kind in ("lr:", "svm:", "mean", "concat", "stack:oof", "stack:published")
    }
    summary["best svm"] = float(accuracy[best].mean())
    for model in ("mean", "stack:oof"):
        difference = accuracy[model] - accuracy[best]
        summary[f"{model} - best svm"] = float(difference.mean())
        summary[f"{model} standard error"] = float(difference.std(ddof=1) / np.sqrt(len(difference)))
        summary[f"{model} log-loss"] = float(np.mean([each[model]["log_loss"] for each in scores]))
    at_chance = (accuracy["stack:oof"] < 1.5 / n_classes) & (accuracy[best] > 0.9)
    return summary | {"uniform log-loss": float(np.log(n_classes)), "at chance": int(at_chance.sum())}


def sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Return images and classes of training sets, given as ``40/10,60/10``."""
    pairs = [each.split("/") for each in text.split(",")]
    return tuple((int(n), int(n_classes)) for n, n_classes in pairs)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "class folders")
    parser.add_argument("--cache", type=Path, help="a cache to keep; by default one of its own that is removed")
    parser.add_argument("--draws", type=int, default=200, help="of each size")
    parser.add_argument("--of", choices=("digits", "clothing"), help="one of the two sets of photographs alone")
    parser.add_argument("--sizes", type=sizes, default=SETS, help="images/classes of training sets: 40/10,60/10")
    parser.add_argument("--uneven", choices=("no", "yes"), help="draws of one kind alone")
    parser.add_argument("--meta", help="meta-learner of stack:oof; by default that of the command line")
    options = parser.parse_args()
    count = min(options.draws, 10) if options.quick else options.draws
    rows, figures = [], {}
    kinds = {"no": (False,), "yes": (True,)}.get(options.uneven, (False, True))
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(options.cache or folder)
        photos = {}
        if options.of != "clothing":
            photos["digits"] = write_digits(Path(folder) / "digits", 300 if options.quick else N_DIGITS)
        if options.of != "digits":
            photos["clothing"] = options.photos / "validation" if options.quick else options.photos
        for name, place in photos.items():
            extract(open_dataset(place, name=name), NAMES[:2] if options.quick else NAMES, store)
            joined = join_features(store, dataset=name)
            for uneven in kinds:
                for n, n_classes in QUICK if options.quick else options.sizes:
                    if uneven and n < 3 * n_classes:
                        continue
                    chosen = draws(joined.labels, n, n_classes, count, uneven=uneven)
                    # Processes: so few rows are a matter of Python's steps and not of products, and threads would wait.
                    jobs = (joblib.delayed(score)(joined.blocks, joined.labels, draw, options.meta) for draw in chosen)
                    found = summarise(joblib.Parallel(-1)(jobs), n_classes)
                    kind = f"{name}, {n} in {n_classes}{', uneven' if uneven else ''}"
                    figures[kind] = found
                    rows.append([kind, *_cells(found)])
                    print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["photographs", "lr", "svm", "best svm", "mean", "concat", "stack:oof", "published"]
    header += ["mean - best svm", "stack:oof - best svm", "log-loss: mean", "stack:oof", "uniform", "at chance"]
    report(f"Small sets, {count} draws of each", header, rows, figures, options.json)


def _cells(found: Mapping[str, Any]) -> list[str]:
    kinds = ("lr:", "svm:", "best svm", "mean", "concat", "stack:oof", "stack:published")
    differences = [
        f"{100 * found[f'{model} - best svm']:+.1f} ± {100 * found[f'{model} standard error']:.1f}"
        for model in ("mean", "stack:oof")
    ]
    losses = [f"{found[name]:.3f}" for name in ("mean log-loss", "stack:oof log-loss", "uniform log-loss")]
    return [*(f"{found[kind]:.3f}" for kind in kinds), *differences, *losses, str(found["at chance"])]


if __name__ == "__main__":
    main()
