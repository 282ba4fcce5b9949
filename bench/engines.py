"""Images a second of every engine on every backbone, on batches in memory: the table behind ``--engine auto``.

Run it on a quiet machine: ``python bench/engines.py [--quick] [--json FILE]``. Weights are random (their values do not
change the time), input is random noise. Engines take turns, several rounds, and medians are shown.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report, spread
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, get_backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.engine import make_engine
from stackbone.extract.engines.network import build_network

Run = Callable[[NDArray[np.uint8]], object]
_WEIGHTS = random_weights(0)


def stackbone(engine: str, precision: str) -> Callable[[Backbone], Run]:
    """Return a maker of the project's own engines."""
    return lambda backbone: make_engine(backbone, _WEIGHTS, engine, "cpu", precision).embed


def plain_torch(backbone: Backbone) -> Run:
    """Return eager PyTorch as notebooks run it: contiguous, fp32."""
    import torch

    network = build_network(backbone, _WEIGHTS).to(memory_format=torch.contiguous_format)

    def run(pixels: NDArray[np.uint8]) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(pixels))

    return run


def compiled_torch(backbone: Backbone) -> Run:
    """Return ``torch.compile`` with freezing (Inductor's constant folding), fp32."""
    import torch
    import torch._inductor.config as inductor

    inductor.freezing = True
    network = torch.compile(build_network(backbone, _WEIGHTS))

    def run(pixels: NDArray[np.uint8]) -> object:
        with torch.no_grad():
            return network(torch.from_numpy(pixels))

    return run


def onnx_runtime(backbone: Backbone) -> Run:
    """Return ONNX Runtime's CPU provider on a graph that torch exports, fp32."""
    import onnxruntime
    import torch

    height, width = backbone.transform.input_size
    pixels = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/network.onnx"
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and takes every model here
        torch.onnx.export(
            build_network(backbone, _WEIGHTS),
            (pixels,),
            file,
            input_names=["pixels"],
            dynamic_axes={"pixels": {0: "batch"}},
            dynamo=False,
        )
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"pixels": batch})[0]


CONTENDERS: dict[str, Callable[[Backbone], Run]] = {
    "torch, plain fp32": plain_torch,
    "torch engine fp32": stackbone("torch", "fp32"),
    "torch.compile fp32": compiled_torch,
    "ONNX Runtime fp32": onnx_runtime,
    "openvino engine fp32": stackbone("openvino", "fp32"),
    "torch engine bf16": stackbone("torch", "bf16"),
    "openvino engine bf16": stackbone("openvino", "bf16"),
}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--backbones", default=",".join(BACKBONES), help="comma-separated")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", default="", help="contenders to leave out, comma-separated")
    options = parser.parse_args()
    names = ["efficientnet_lite0"] if options.quick else options.backbones.split(",")
    contenders = {
        k: v
        for k, v in CONTENDERS.items()
        if k not in options.without.split(",") and not (options.quick and k.startswith(("torch.compile", "ONNX")))
    }

    figures: dict[str, dict[str, dict[str, float]]] = {}
    rows = []
    for name in names:
        rates = measure(get_backbone(name), contenders, options.batch_size, options.rounds)
        figures[name] = {contender: spread(found) for contender, found in rates.items() if found}
        plain = figures[name]["torch, plain fp32"]["median"]
        cells = [
            f"{figures[name][c]['median']:.1f} ({figures[name][c]['median'] / plain:.1f}x)"
            if c in figures[name]
            else "-"
            for c in contenders
        ]
        rows.append([name, *cells])
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    title = f"Images a second, batches of {options.batch_size} in memory, median of {options.rounds} rounds"
    report(title, ["backbone", *contenders], rows, figures, options.json)


def measure(
    backbone: Backbone, contenders: dict[str, Callable[[Backbone], Run]], batch_size: int, rounds: int
) -> dict[str, list[float]]:
    """Return images a second of each contender, one number a round; none where it does not run."""
    height, width = backbone.transform.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, height, width, 3), np.uint8)
    runs: dict[str, Run] = {}
    for name, make in contenders.items():
        try:
            runs[name] = make(backbone)
            runs[name](pixels)
        except Exception as exc:  # an engine that is not installed, or refuses a model, is left out by name
            print(f"{backbone.name}: {name} does not run: {type(exc).__name__}: {exc}"[:300], file=sys.stderr)
            runs.pop(name, None)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(_rate(run, pixels))
    return rates


def _rate(run: Run, pixels: NDArray[np.uint8], seconds: float = 2.0) -> float:
    run(pixels)
    started, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        run(pixels)
        done += len(pixels)
    return done / elapsed


if __name__ == "__main__":
    main()
