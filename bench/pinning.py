"""What it costs to bind OpenVINO's threads to cores, beside threads that decode: `extract` before and after.

Both ways take turns in one process, on the same photographs: every engine alone on pixels in memory, decoding alone,
and `extract` into an empty cache. Told are processor seconds of all threads, which other programs on the machine
disturb far less than the clock, and seconds by the clock. No pipeline can take fewer than engines, decoding and the
start of the engines together: of that limit, ``extract`` reaches the share shown.
``python bench/pinning.py [--quick] [--json FILE] [--photos FOLDER] [--precision bf16] [--images N] [--rounds N]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from extract_speed import LITES, list_photos, stackbone
from pipeline import prepare, seconds_decoding, seconds_engines

from machine import add_folder, arguments, report, spread
from stackbone.extract import find_weights, get_backbone
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.engines import engine as engine_module
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import make_engine

WAYS = {"bound to cores (before)": True, "free (now)": False}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "a folder of JPEG files")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.images, options.rounds = 48, 1
    files = list_photos(options.photos, options.images)
    backbones = [get_backbone(name) for name in LITES.split(",")]
    weights = find_weights(backbones, {})
    transforms = list({backbone.transform for backbone in backbones})
    some = [prepare(file, transforms) for file in files[:64]]
    pixels = {transform: np.stack([each[transform] for each in some]) for transform in transforms}
    found: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    for _ in range(options.rounds):
        for way, is_bound in WAYS.items():
            engine_module.OPENVINO_SETTINGS["ENABLE_CPU_PINNING"] = is_bound
            engines: dict[Backbone, Engine] = {}

            def start(engines: dict[Backbone, Engine] = engines) -> None:
                for each in backbones:
                    engines[each] = make_engine(each, weights[each.name], "openvino", "cpu", options.precision)

            def whole() -> None:
                with tempfile.TemporaryDirectory() as folder:
                    stackbone(files, LITES.split(","), Path(folder), random=False, precision=options.precision)

            sides: dict[str, Callable[[], object]] = {
                "start": start,
                "engines": lambda engines=engines: seconds_engines(engines, pixels, len(files)),  # type: ignore[misc]
                "decoding": lambda: seconds_decoding(files, transforms),
                "extract": whole,
            }
            for side, run in sides.items():
                clock, processor = time.perf_counter(), time.process_time()
                run()
                processor, clock = time.process_time() - processor, time.perf_counter() - clock
                found[way].setdefault(side, []).append(processor)
                found[way].setdefault(f"{side}, by the clock", []).append(clock)
                print(f"{way}\t{side}\t{processor:.2f}\t{clock:.2f}", file=sys.stderr, flush=True)
    rows = []
    for way, sides_found in found.items():
        middle = {side: spread(each)["median"] for side, each in sides_found.items()}
        limit = middle["start"] + middle["engines"] + middle["decoding"]
        numbers = [middle[side] for side in ("start", "engines", "decoding", "extract")]
        cells = [f"{each:.2f}" for each in numbers]
        rows.append([way, *cells, f"{limit / middle['extract']:.0%}", f"{middle['extract, by the clock']:.1f}"])
    header = ["OpenVINO's threads", "start", "engines alone", "decoding alone", "extract", "limit / extract"]
    title = f"Processor seconds for {len(files)} photographs, {LITES}, {options.precision}; {options.rounds} rounds"
    report(title, [*header, "extract by the clock, s"], rows, found, options.json)


if __name__ == "__main__":
    main()
