"""Whether CKA and RSA are thingsvision's on the same features, and how long each takes.

Makes pairs of features that share a part, of more images than columns and of fewer, or takes the cached features of a
dataset, and compares them with Stackbone's functions and, run by a Python that has it, with thingsvision's. Ends with
an error where two numbers differ by 1e-6 or more.
``python bench/representations.py --thingsvision PYTHON [--cache FOLDER [--dataset NAME]] [--images N] [--quick]``; see
`bench/peer_representations.py` for what PYTHON needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report
from stackbone.cache import FeatureStore
from stackbone.stack.exploring.representations.alignment import linear_cka
from stackbone.stack.exploring.representations.dissimilarity import correlation_distances, ranks

Floats = NDArray[np.float32]

ALLOWED = 1e-6
SHAPES = ((2000, 768, 1280), (1000, 64, 512), (300, 512, 2048))


def made_pairs(shapes: tuple[tuple[int, int, int], ...]) -> dict[str, tuple[Floats, Floats]]:
    """Return pairs of features, rectified as pooled ones are, that share half of what they vary by."""
    found = {}
    for n, *dims in shapes:
        rng = np.random.default_rng(n)
        shared = rng.standard_normal((n, 20), np.float32)
        pair = [
            np.maximum(
                shared @ rng.standard_normal((20, d), np.float32) + 4 * rng.standard_normal((n, d), np.float32), 0
            )
            for d in dims
        ]
        found[f"made, {n:,} images, {dims[0]:,} and {dims[1]:,} columns"] = (pair[0], pair[1])
    return found


def cached_pairs(options: argparse.Namespace) -> dict[str, tuple[Floats, Floats]]:
    """Return every pair of a dataset's feature sets, on some images drawn at random."""
    store = FeatureStore(options.cache)
    index = store.dataset(options.dataset)
    rows = np.flatnonzero(index.ok)
    rows = np.sort(np.random.default_rng(0).choice(rows, min(options.images, len(rows)), replace=False))
    blocks = {each.backbone: each.load(index.image_sha256[rows]) for each in store.covering(index)}
    return {f"{a} and {b}, {len(rows):,} images": (blocks[a], blocks[b]) for a, b in combinations(blocks, 2)}


def ours(x: Floats, y: Floats) -> dict[str, float]:
    """Return Stackbone's numbers, and the seconds that they took."""
    started = time.perf_counter()
    cka = float(linear_cka([x, y])[0, 1])
    cka_s = time.perf_counter() - started
    started = time.perf_counter()
    rsa = float(ranks(correlation_distances(x)) @ ranks(correlation_distances(y)))
    return {"cka": cka, "cka_s": cka_s, "rsa": rsa, "rsa_s": time.perf_counter() - started}


def theirs(python: str, x: Floats, y: Floats) -> dict[str, float]:
    """Return thingsvision's numbers, and the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "blocks.npz"
        np.savez(file, x=x, y=y)
        script = Path(__file__).with_name("peer_representations.py")
        done = subprocess.run([python, str(script), str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(f"{python} could not run thingsvision")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Compare every pair in both ways, print a table, and end with an error where numbers differ."""
    parser = arguments(__doc__ or "", images=2000)
    parser.add_argument("--thingsvision", metavar="PYTHON", required=True, help="a Python that has thingsvision")
    parser.add_argument("--cache", type=Path, help="a cache whose feature sets are compared, and not made ones")
    parser.add_argument("--dataset", help="of the cache")
    parser.add_argument("--images", type=int, help="of the cache, at most")
    options = parser.parse_args()
    pairs = cached_pairs(options) if options.cache else made_pairs(SHAPES[-1:] if options.quick else SHAPES)
    figures: list[dict[str, Any]] = []
    for name, (x, y) in pairs.items():
        figures.append({"pair": name, "ours": ours(x, y), "theirs": theirs(options.thingsvision, x, y)})
    rows = []
    for each in figures:
        mine, other = each["ours"], each["theirs"]
        cells = [
            cell
            for key in ("cka", "rsa")
            for cell in (
                f"{mine[key]:.6f}",
                f"{abs(mine[key] - other[key]):.1e}",
                f"{other[f'{key}_s'] / mine[f'{key}_s']:.1f}",
            )
        ]
        rows.append([each["pair"], *cells])
    header = ["pair", "CKA", "difference", "their time / ours", "RSA", "difference", "their time / ours"]
    report("CKA and RSA beside thingsvision's", header, rows, figures, options.json)
    far = [each["pair"] for each in figures for key in ("cka", "rsa") if _differs(each, key)]
    if far:
        sys.exit(f"these differ by {ALLOWED:g} or more: {', '.join(far)}")


def _differs(figure: dict[str, Any], key: str) -> bool:
    return not abs(figure["ours"][key] - figure["theirs"][key]) < ALLOWED


if __name__ == "__main__":
    main()
