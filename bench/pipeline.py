"""What the pipeline costs beside the networks: `extract` against its engines alone and its decoding alone.

Three measurements take turns in one process, on the same photographs and all cores: every engine on pixels that are in
memory already; reading, decoding and resizing with no network; and `extract` into an empty cache, converted networks
kept, loading them included. Networks and decoding share the cores, so no pipeline can beat
``1 / (1 / engines + 1 / decoding)``. ``python bench/pipeline.py [--quick] [--json FILE] [--photos FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from extract_speed import LITES, PUBLISHED, list_photos, stackbone
from numpy.typing import NDArray

from machine import add_folder, arguments, report, spread
from stackbone.cache import usable_cores
from stackbone.extract import find_weights, get_backbone
from stackbone.extract.backbones.backbone import Backbone, Transform
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import make_engine
from stackbone.extract.images.decode import apply_transform, decode

IN_MEMORY = 64  # distinct photographs that the engines run over again and again


def prepare(file: str, transforms: Sequence[Transform]) -> dict[Transform, NDArray[np.uint8]]:
    """Read, decode and resize one photograph, as the pipeline's threads do."""
    picture = decode(Path(file).read_bytes())
    return {transform: apply_transform(picture, transform) for transform in transforms}


def seconds_decoding(files: list[str], transforms: Sequence[Transform]) -> float:
    """Return the seconds that decoding and resizing of all files take on all cores, keeping nothing."""
    started = time.perf_counter()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(lambda file: len(prepare(file, transforms)), files):
            pass
    return time.perf_counter() - started


def seconds_engines(engines: dict[Backbone, Engine], pixels: dict[Transform, NDArray[np.uint8]], n: int) -> float:
    """Return the seconds that `n` images take through every engine, from memory."""
    started = time.perf_counter()
    for backbone, engine in engines.items():
        ready = pixels[backbone.transform]
        for start in range(0, n, engine.batch_size):
            size = min(engine.batch_size, n - start)
            offset = start % (len(ready) - size + 1)
            engine.embed(ready[offset : offset + size])
    return time.perf_counter() - started


def measure(files: list[str], names: list[str], precision: str, rounds: int, *, random: bool) -> dict[str, list[float]]:
    """Return images a second of engines, decoding and `extract`, one number a round."""
    backbones = [get_backbone(name) for name in names]
    weights = {name: random_weights(0) for name in names} if random else find_weights(backbones, {})
    transforms = list({backbone.transform for backbone in backbones})
    some = [prepare(file, transforms) for file in files[:IN_MEMORY]]
    pixels = {transform: np.stack([each[transform] for each in some]) for transform in transforms}
    engines = {each: make_engine(each, weights[each.name], "auto", "cpu", precision) for each in backbones}
    seconds_engines(engines, pixels, IN_MEMORY)
    n = len(files)

    def extract_all() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return stackbone(files, names, Path(folder), random=random, precision=precision)

    sides: dict[str, Callable[[], float]] = {
        "engines": lambda: seconds_engines(engines, pixels, n),
        "decoding": lambda: seconds_decoding(files, transforms),
        "extract": extract_all,
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            rates[side].append(n / run())
    return rates


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sets = [(LITES, 1000, False), (PUBLISHED, 128, True)]
    if options.quick:
        sets, options.rounds = [("efficientnet_lite0", 200, False)], 1
    rows, figures = [], []
    for names, n, random in sets:
        files = list_photos(options.photos, n)
        for precision in ("fp32", "bf16"):
            rates = measure(files, names.split(","), precision, options.rounds, random=random)
            rate = {side: spread(found)["median"] for side, found in rates.items()}
            limit = 1 / (1 / rate["engines"] + 1 / rate["decoding"])
            each: dict[str, Any] = {"backbones": names, "n_images": n, "precision": precision, "rates": rates}
            figures.append({**each, "limit": limit})
            work = f"{names.replace(',', ', ')}; {n:,} photos; {precision}"
            numbers = [f"{r:.1f}" for r in (rate["engines"], rate["decoding"], limit, rate["extract"])]
            rows.append([work, *numbers, f"{rate['extract'] / rate['engines']:.0%}", f"{rate['extract'] / limit:.0%}"])
            print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["work", "engines alone", "decoding alone", "limit of both", "extract", "of engines", "of the limit"]
    report(f"Images a second, median of {options.rounds} rounds", header, rows, figures, options.json)


if __name__ == "__main__":
    main()
