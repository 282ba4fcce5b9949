"""Whether wrong labels are found: labels flipped on purpose, and every score of doubt ranked beside cleanlab's own.

Takes the cached features of a dataset whose labels are taken for right, flips 2, 5 and 10% of them at random or by
confusion (to another class in proportion to the mean probability that a classifier on the right labels gives it), and
scores every image out of fold by plain logistic regressions, one for each backbone, on its 96 first principal
components. All scores of doubt, cleanlab's too, see the same probabilities. Prints for each the average precision with
which it ranks the flipped labels first, and the precision at their number: means over draws.
``python bench/audit.py --cache FOLDER --dataset NAME [--seeds 5] [--images N] [--quick] [--json FILE]``; digits are
made by ``python bench/audit.py --digits FOLDER`` first, which embeds them. Needs ``pip install 'stackbone[audit]'``.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_ensemble_scores, get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.extmath import randomized_svd

from machine import arguments, report
from stackbone.cache import FeatureStore
from stackbone.stack.audit.doubt import doubts, margins, neighbour_log_probabilities, pooled
from stackbone.stack.audit.neighbours import find_neighbours

Doubles = NDArray[np.float64]
Codes = NDArray[np.int64]

OURS = "combined: margin + .5 neighbours"
COMPONENTS, C, FOLDS = 96, 0.02, 3
RATES = (0.02, 0.05, 0.10)


def out_of_fold(x: Doubles, codes: Codes, seed: int) -> Doubles:
    """Return ``(n, n_classes)`` probabilities of each image by a classifier fitted without it."""
    found = np.zeros((len(codes), int(codes.max()) + 1))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, codes):
        model = LogisticRegression(C=C, max_iter=60, tol=1e-3).fit(x[train], codes[train])
        found[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    return found


def components(x: NDArray[np.float32], n: int) -> Doubles:
    """Return ``(n_images, n)`` principal components of standardised features, all divided by their common spread."""
    standard = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    u, s, _ = randomized_svd(standard, n, n_iter=2, random_state=0)
    found: Doubles = (u * s / (u * s).std()).astype(np.float64)
    return found


def flipped(codes: Codes, rate: float, towards: Doubles, seed: int) -> tuple[Codes, NDArray[np.bool_]]:
    """Return codes of which a share is replaced by another, drawn by the weights of the old one's row."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(codes), round(rate * len(codes)), replace=False)
    noisy = codes.copy()
    for row in rows:
        weights = towards[codes[row]].copy()
        weights[codes[row]] = 0
        noisy[row] = rng.choice(len(weights), p=weights / weights.sum())
    return noisy, np.isin(np.arange(len(codes)), rows)


def scores_of_doubt(probabilities: Doubles, nearest: Codes, codes: Codes) -> dict[str, Doubles]:
    """Return every score of doubt in each label, by name.

    Parameters
    ----------
    probabilities
        ``(n_backbones, n, n_classes)``, out of fold.
    nearest
        ``(n_backbones, n, 20)`` nearest others, the nearest first.
    codes
        ``(n,)`` labels.
    """
    logs, mean = np.log(probabilities + 1e-12), probabilities.mean(axis=0)
    said = pooled(list(logs))
    ten, twenty = (neighbour_log_probabilities(nearest[:, :, :k], codes, mean.shape[1]) for k in (10, 20))
    found = {f"cleanlab {name}": -get_label_quality_scores(codes, mean, method=name) for name in METHODS}
    found |= {
        f"cleanlab {name}, ensemble": -get_label_quality_ensemble_scores(
            codes, list(probabilities), method=name, verbose=False
        )
        for name in METHODS
    }
    for way in ("prune_by_noise_rate", "both", "confident_learning"):
        issues = find_label_issues(codes, mean, filter_by=way, n_jobs=1)
        found[f"cleanlab {way}, then self_confidence"] = 2 * issues - get_label_quality_scores(codes, mean)
    votes = (probabilities.argmax(axis=2) != codes).mean(axis=0)
    found |= {
        "margin of mean probability": margins(np.log(mean + 1e-12), codes),
        "margin of mean log-probability": margins(said, codes),
        "backbones that disagree, then margin": votes + 1e-3 * margins(said, codes),
        "10 neighbours": margins(ten, codes),
        "20 neighbours": margins(twenty, codes),
        OURS: doubts(list(logs), ten, codes)[0],
    }
    for weight in (0.25, 1.0, 2.0):
        found[f"margin + {weight:g} neighbours"] = margins(said + weight * ten, codes)
    found["margin + .5 neighbours of 20"] = margins(said + 0.5 * twenty, codes)
    return found


METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def measure(x: list[Doubles], nearest: Codes, codes: Codes, seeds: int) -> dict[str, dict[str, list[list[float]]]]:
    """Return average precision and precision at the number flipped of each score, by setting, then by score."""
    right = np.stack([out_of_fold(each, codes, 0) for each in x]).mean(axis=0)
    n_classes = right.shape[1]
    print(f"accuracy of the mean on the right labels: {(right.argmax(axis=1) == codes).mean():.3f}")
    ways = {
        "at random": np.ones((n_classes, n_classes)),
        "by confusion": np.stack([right[codes == code].mean(axis=0) for code in range(n_classes)]),
    }
    found: dict[str, dict[str, list[list[float]]]] = {}
    for rate in RATES:
        for way, towards in ways.items():
            own = found.setdefault(f"{rate:.0%} {way}", defaultdict(list))
            for seed in range(seeds):
                noisy, is_flipped = flipped(codes, rate, towards, seed)
                probabilities = np.stack([out_of_fold(each, noisy, seed) for each in x])
                for name, doubt in scores_of_doubt(probabilities, nearest, noisy).items():
                    first = np.argsort(-doubt, kind="stable")[: is_flipped.sum()]
                    own[name].append([float(average_precision_score(is_flipped, doubt)), is_flipped[first].mean()])
    return found


def load(options: argparse.Namespace) -> tuple[list[Doubles], Codes, Codes]:
    """Return components and neighbours of each backbone, and class codes, of some images drawn at random."""
    store = FeatureStore(options.cache)
    index = store.dataset(options.dataset)
    labelled = np.flatnonzero([bool(label) and ok for label, ok in zip(index.label, index.ok, strict=True)])
    most = min(500 if options.quick else options.images, len(labelled))
    rows = np.sort(np.random.default_rng(0).choice(labelled, most, replace=False))
    blocks = {each.backbone: each.load(index.image_sha256[rows]) for each in store.covering(index)}
    codes = np.unique(np.array(index.label)[rows], return_inverse=True)[1]
    print(f"{options.dataset or index.name}: {len(rows):,} images, {codes.max() + 1} classes, {', '.join(blocks)}")
    nearest = find_neighbours(blocks, 20, 0).rows
    return [components(each, COMPONENTS) for each in blocks.values()], nearest, codes


def embed_digits(folder: Path) -> None:
    """Write 2,000 handwritten digits and embed them with the three EfficientNet-Lites."""
    from stackbone.extract import extract, open_dataset
    from stackbone.extract.datasets.digits import write_digits

    done = extract(open_dataset(write_digits(folder / "digits", 2000)), "offline", FeatureStore(folder / "features"))
    print("\n".join(done.lines()))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--cache", type=Path, help="cache with features of the dataset")
    parser.add_argument("--dataset", help="its name; by default the last one extracted")
    parser.add_argument("--seeds", type=int, default=5, help="draws of each setting")
    parser.add_argument("--images", type=int, default=100_000, help="images, at most")
    parser.add_argument("--digits", type=Path, help="embed 2,000 digits into this folder, and do nothing else")
    options = parser.parse_args()
    if options.digits:
        embed_digits(options.digits)
        return
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="cleanlab")
    figures: dict[str, Any] = measure(*load(options), 1 if options.quick else options.seeds)
    means = {way: {name: np.mean(each, axis=0) for name, each in own.items()} for way, own in figures.items()}
    names = sorted(next(iter(means.values())), key=lambda name: -np.mean([own[name][0] for own in means.values()]))
    table = [[name, *("{:.3f} / {:.3f}".format(*own[name]) for own in means.values())] for name in names]
    report("Average precision / precision at the number flipped", ["score", *means], table, figures, options.json)
    won = [own[OURS][0] > max(each[0] for name, each in own.items() if "cleanlab" in name) for own in means.values()]
    print(f"\n{OURS} is above every score of cleanlab's in {sum(won)} of {len(won)} settings")


if __name__ == "__main__":
    main()
