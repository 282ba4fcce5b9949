"""What further outputs of the same pass cost: a network that gives them beside one that gives its pooled vector alone.

Both engines of a backbone run in turns, on the same pixels in memory, with random weights.
``python bench/outputs.py [--quick] [--json FILE] [--backbones NAMES] [--engine NAME] [--rounds N]``.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report
from stackbone.extract.backbones.backbone import Backbone, get_backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import ENGINES, make_engine
from stackbone.extract.networks.forms import list_forms

BACKBONES = "efficientnet_lite0,efficientnet_lite1,efficientnet_lite2,resnet50,vit_base"


def beside(backbone: Backbone) -> list[str]:
    """Return what is asked for beside the pooled vector: its stages, or its blocks."""
    offered = [form.output for form in list_forms(backbone)[0]]
    return [output for output in ("stages", "blocks") if output in offered]


def seconds_of(engine: Engine, pixels: NDArray[np.uint8]) -> float:
    """Return how long an engine takes for some images."""
    step = engine.batch_size
    started = time.perf_counter()
    for start in range(0, len(pixels), step):
        engine.embed(pixels[start : start + step])
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--backbones", default=BACKBONES, help="comma-separated")
    parser.add_argument("--engine", default="auto", choices=ENGINES)
    parser.add_argument("--images", type=int, default=64, help="a round")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    names = options.backbones.split(",")[:1] if options.quick else options.backbones.split(",")
    rounds = 5 if options.quick else options.rounds
    rows, figures = [], {}
    for name in names:
        backbone = get_backbone(name)
        asked = {"pooled": ["pooled"], "both": ["pooled", *beside(backbone)]}
        made = {
            side: make_engine(backbone, random_weights(0), options.engine, "cpu", outputs=outputs)
            for side, outputs in asked.items()
        }
        shape = (options.images, *backbone.transform.input_size, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        taken: dict[str, list[float]] = {side: [] for side in made}
        for number in range(rounds + 1):
            for side in sorted(made, reverse=bool(number % 2)):  # who comes second has warmer caches
                taken[side].append(seconds_of(made[side], pixels))
        medians = {side: statistics.median(each[1:]) for side, each in taken.items()}  # the first round warms up
        ratios = [both / pooled for both, pooled in zip(taken["both"][1:], taken["pooled"][1:], strict=True)]
        ratio = statistics.median(ratios)
        rates = {side: options.images / median for side, median in medians.items()}
        figures[name] = {"outputs": asked["both"], "seconds": taken, "images_per_s": rates, "ratio": ratio}
        rows.append(
            [
                name,
                ",".join(asked["both"]),
                f"{rates['pooled']:.1f}",
                f"{rates['both']:.1f}",
                f"{100 * (ratio - 1):+.1f}% ({100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f})",
            ]
        )
    header = ["backbone", "outputs", "pooled alone, images/s", "these outputs, images/s", "time, median (range)"]
    report(
        f"Several outputs of one pass, {rounds} rounds of {options.images} images", header, rows, figures, options.json
    )


if __name__ == "__main__":
    main()
