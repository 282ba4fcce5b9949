"""What a GPU does: networks, the pipeline around them, and the solvers of `stack`.

It is meant to take under eight minutes, which no GPU has shown yet: nothing is begun that would not end within
``--seconds`` if it took as long as the longest item before it. What is left out is said. Parts, in this order:

- ``peak``: the fastest of several square matrix products, in each precision;
- ``engines``: images a second of each published backbone and of three ViTs, on batches in memory, with the share of
  that peak which their operations come to, and how far their features are from those of torch on the CPU in fp32;
- ``solvers``: seconds of logistic regressions, on the GPU and on the CPU, from small ones to 100,000 rows x 4,096
  columns x 1,000 classes, where the GPU begins to pay, and how far the two answers are from each other;
- ``pipeline``: `extract` from JPEG files to committed shards, against its engines alone;
- ``faster``: the same of some with larger batches, cuDNN's own search, CUDA graphs and ``torch.compile``, none of which
  the engine uses: whether it should.

``python bench/gpu.py [--device cuda] [--part NAMES] [--seconds N] [--quick] [--json FILE]``. With ``--quick``
everything is small, measured once, and a CPU will do: then both sides of a comparison are that CPU. Else rates and
seconds are medians of three rounds in which the sides of a comparison take turns, but for the largest solver.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gpu_networks import faster_ways, seconds_of
from gpu_solvers import measure_solvers
from numpy.typing import NDArray
from PIL import Image
from roofline import operations

from machine import arguments, describe_machine, medians_in_turns, report, write_figures
from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.backbones.backbone import Backbone, get_backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.engine import TorchEngine

NETWORKS = ("resnet50", "vgg19", "inception_v3", "xception", "vit_base", "clip_vit_large", "dinov2_base")
QUICK_NETWORKS = ("efficientnet_lite0", "resnet50")
PIPELINES = ("efficientnet_lite0,efficientnet_lite1,efficientnet_lite2", "resnet50", "vit_base")
TRIED = ("efficientnet_lite0", "resnet50", "vit_base")
PARTS = ("peak", "engines", "solvers", "pipeline", "faster")
ROUNDS = 3
WEIGHTS = random_weights(0)

Rows = list[list[str]]


class Clock:
    """How much of the time that was allowed is left."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._begun: float | None = None
        self._longest = 0.0
        self.left_out: list[str] = []

    def allows(self, what: str) -> bool:
        """Return whether there is time for something as long as the longest so far, and note what there is none for."""
        now = time.monotonic()
        if self._begun is not None:
            self._longest = max(self._longest, now - self._begun)
        self._begun = now if now + self._longest < self._until else None
        if self._begun is not None:
            return True
        self.left_out.append(what)
        return False


def precisions_of(device: str) -> tuple[str, ...]:
    """Return the precisions that torch's engine has on a device."""
    return ("fp32", "bf16", "fp16") if device.startswith("cuda") else ("fp32", "bf16")


def matrix_peak(device: str, precision: str, sizes: tuple[int, ...]) -> float:
    """Return the largest TFLOP/s of square matrix products on a device."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    best = 0.0
    for n in sizes:
        a, b = (torch.rand(n, n, device=device).to(dtype) for _ in range(2))
        seconds = seconds_of(partial(torch.mm, a, b), device, 0.3)
        best = max(best, 2e-12 * n**3 / seconds)
    return best


def rate_of(engine: TorchEngine, pixels: NDArray[np.uint8], seconds: float) -> float:
    """Return images a second of an engine with one batch under way while the next is handed over, as `extract` does."""
    engine.embed(pixels)
    waiting = engine.launch(pixels)
    started, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - started < seconds:
        upcoming = engine.launch(pixels)
        waiting()
        waiting, done = upcoming, done + len(pixels)
    waiting()
    return (done + len(pixels)) / (time.perf_counter() - started)


def noise(backbone: Backbone, n: int) -> NDArray[np.uint8]:
    """Return made pixels, (n, H, W, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (n, *backbone.transform.input_size, 3), np.uint8)


def differences(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest relative difference of a row."""
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


def measure_engines(
    names: tuple[str, ...], device: str, peaks: dict[str, float], seconds: float, rounds: int, clock: Clock
) -> tuple[Rows, dict[str, Any]]:
    """Return rows and figures of every backbone in every precision, each measured so long in all rounds together."""
    rows: Rows = []
    figures: dict[str, Any] = {}
    for name in names:
        if not clock.allows(name):
            continue
        backbone = get_backbone(name)
        cost = operations(backbone) / 1000
        few = noise(backbone, 4)
        expected = TorchEngine(backbone, WEIGHTS, "cpu").embed(few)[0]
        figures[name] = {"tflop_per_image": cost}
        cells = [name, f"{1000 * cost:.2f}"]
        engines = {each: TorchEngine(backbone, WEIGHTS, device, each) for each in precisions_of(device)}
        pixels = {each: fitting_pixels(engine, backbone) for each, engine in engines.items()}
        measures = [partial(rate_of, engines[each], pixels[each], seconds / rounds) for each in engines]
        rates = dict(zip(engines, medians_in_turns(measures, rounds), strict=True))
        for precision, rate in rates.items():
            far = differences(engines[precision].embed(few)[0], expected)
            share = rate * cost / peaks[precision] if precision in peaks else float("nan")
            n = len(pixels[precision])
            figures[name][precision] = {"images_per_s": rate, "of_peak": share, "difference": far, "batch": n}
            cells += [f"{rate:,.0f}", f"{share:.0%}", f"{far:.0e}"]
        rows.append(cells)
        print("\t".join(cells), file=sys.stderr, flush=True)
    return rows, figures


def fitting_pixels(engine: TorchEngine, backbone: Backbone) -> NDArray[np.uint8]:
    """Return made pixels for as many images as the engine takes at once, or fewer that fit into the memory."""
    size = engine.batch_size
    while True:
        pixels = noise(backbone, size)
        try:
            engine.embed(pixels)
        except MemoryError:
            if size == 1:
                raise
            size //= 2
        else:
            return pixels


def made_photos(folder: Path, n: int) -> list[str]:
    """Write photographs of nothing, JPEG files of 500 x 375 pixels in many colours, and return their paths."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(n):
        small = random.integers(0, 256, (24, 32, 3), np.uint8)
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(str(path))
    return paths


def rate_alone(engines: list[tuple[TorchEngine, NDArray[np.uint8]]]) -> float:
    """Return images a second of engines one after another, each on its pixels."""
    return 1 / sum(1 / rate_of(engine, pixels, 1.0) for engine, pixels in engines)


def rate_whole(names: str, device: str, files: list[str], precision: str) -> float:
    """Return images a second of `extract` into an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        store, started = FeatureStore(Path(folder) / "features"), time.perf_counter()
        options: dict[str, Any] = {"random_seed": 0, "precision": precision, "engine": "torch", "device": device}
        extract(open_dataset(files), names, store, **options)
        return len(files) / (time.perf_counter() - started)


def measure_pipeline(
    device: str, sets: tuple[str, ...], files: list[str], precision: str, rounds: int, clock: Clock
) -> tuple[Rows, list[dict[str, Any]]]:
    """Return rows and figures of `extract` against its engines alone."""
    rows: Rows = []
    figures: list[dict[str, Any]] = []
    for names in sets:
        if not clock.allows(f"pipeline of {names}"):
            continue
        backbones = [get_backbone(name) for name in names.split(",")]
        engines = [TorchEngine(each, WEIGHTS, device, precision) for each in backbones]
        ready = [(engine, fitting_pixels(engine, each)) for engine, each in zip(engines, backbones, strict=True)]
        measures = [partial(rate_alone, ready), partial(rate_whole, names, device, files, precision)]
        alone, whole = medians_in_turns(measures, rounds)
        figures.append({"backbones": names, "precision": precision, "engines": alone, "extract": whole})
        rows.append([names.replace(",", ", "), precision, f"{alone:,.0f}", f"{whole:,.0f}", f"{whole / alone:.0%}"])
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    return rows, figures


def main() -> None:
    """Measure and print."""
    import torch

    parser = arguments(__doc__ or "")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="as torch names it")
    parser.add_argument("--part", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=400.0, help="within which what is begun is expected to end")
    options = parser.parse_args()
    device, parts, clock = options.device, options.part.split(","), Clock(options.seconds)
    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else "no GPU: the CPU stands in for it"
    figures: dict[str, Any] = {"device": device, "card": card, "cuda": torch.version.cuda}
    print(f"{device}: {card}", file=sys.stderr)
    quick, each, rounds = options.quick, 0.3 if options.quick else 2.0, 1 if options.quick else ROUNDS
    peaks: dict[str, float] = {}
    if "peak" in parts:
        sizes = (256, 512) if quick else (2048, 4096, 8192)
        peaks = {precision: matrix_peak(device, precision, sizes) for precision in precisions_of(device)}
        figures["peak_tflops"] = peaks
        told = ", ".join(f"{peak:,.2f} TFLOP/s in {precision}" for precision, peak in peaks.items())
        print(f"\n{card}: {told}")
    tables: list[tuple[str, list[str], Callable[[], tuple[Rows, Any]]]] = []
    if "engines" in parts:
        header = ["backbone", "GFLOP an image"]
        header += [f"{p} {what}" for p in precisions_of(device) for what in ("images/s", "of the peak", "difference")]
        names = QUICK_NETWORKS if quick else NETWORKS
        tables.append(("engines", header, lambda: measure_engines(names, device, peaks, each, rounds, clock)))
    if "solvers" in parts:
        header = ["rows", "columns", "classes", "GPU, s", "CPU, s", "times faster", "steps", "coefficients", "outputs"]
        tables.append(("solvers", header, lambda: measure_solvers(device, clock.allows, rounds, quick=quick)))
    if "pipeline" in parts:
        header = ["backbones", "precision", "engines alone", "extract", "of the engines"]
        tables.append(("pipeline", header, lambda: _pipelines(device, options, rounds, clock)))
    if "faster" in parts:
        header = ["backbone", "way", "images/s", "against the engine"]
        tried = TRIED[:1] if quick else TRIED
        tables.append(("faster", header, lambda: faster_ways(tried, device, each, clock.allows, rounds, quick=quick)))
    for part, header, measure in tables:
        rows, figures[part] = measure()
        report(f"{part}: {card}", header, rows, None, None)
    if clock.left_out:
        print(f"\nleft out, for want of time: {', '.join(clock.left_out)}")
    figures["left_out"] = clock.left_out
    if options.json:
        write_figures(f"{card}; {describe_machine()['processor']}", figures, options.json)


def _pipelines(device: str, options: Any, rounds: int, clock: Clock) -> tuple[Rows, list[dict[str, Any]]]:  # noqa: ANN401
    sets, n = (PIPELINES[:1], 64) if options.quick else (PIPELINES, 2000)
    with tempfile.TemporaryDirectory() as folder:
        files = made_photos(Path(folder), n)
        rows: Rows = []
        figures: list[dict[str, Any]] = []
        for precision in ("fp32", "bf16"):
            own_rows, own = measure_pipeline(device, sets, files, precision, rounds, clock)
            rows, figures = rows + own_rows, figures + own
        return rows, figures


if __name__ == "__main__":
    main()
