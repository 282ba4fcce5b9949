"""How close each backbone comes to what the machine can compute: GFLOP/s against a measured matrix-product peak.

The peak is the fastest of several square matrix products in the same precision, by torch or OpenVINO on all cores. A
backbone's operations are counted by torch's own counter (a multiply-add is two); its speed is that of the engine that
`auto` picks, on batches in memory. ``python bench/roofline.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from machine import arguments, report, spread
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, get_backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.engine import make_engine
from stackbone.extract.engines.graphs import import_openvino
from stackbone.extract.engines.network import build_network

PRECISIONS = ("fp32", "bf16")


def matrix_peak(precision: str, rounds: int) -> float:
    """Return the largest GFLOP/s of square matrix products, by the faster of torch and OpenVINO."""
    best = 0.0
    for n in (512, 1024, 2048):
        for product in (_torch_product(n, precision), _openvino_product(n, precision)):
            product()
            for _ in range(5 * rounds):
                started = time.perf_counter()
                product()
                best = max(best, 2e-9 * n**3 / (time.perf_counter() - started))
    return best


def _torch_product(n: int, precision: str) -> Callable[[], object]:
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    a, b = torch.rand(n, n).to(dtype), torch.rand(n, n).to(dtype)
    return lambda: torch.mm(a, b)


def _openvino_product(n: int, precision: str) -> Callable[[], object]:
    openvino = import_openvino()
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    a = ops.parameter([n, n], np.float32)
    product = ops.matmul(a, ops.constant(rng.random((n, n), np.float32)), transpose_a=False, transpose_b=False)
    settings = {"INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision], "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(openvino.Model([product], [a]), "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(rng.random((n, n), np.float32)))
    return lambda: request.infer()


def operations(backbone: Backbone) -> float:
    """Return the GFLOP that one image costs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    height, width = backbone.transform.input_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_network(backbone, random_weights(0))(torch.zeros((1, height, width, 3), dtype=torch.uint8))
    return float(counter.get_total_flops() * 1e-9)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--backbones", default=",".join(BACKBONES), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = ["efficientnet_lite0", "resnet50"] if options.quick else options.backbones.split(",")
    rounds = 1 if options.quick else options.rounds
    rng = np.random.default_rng(0)
    rows, figures = [], {}
    peaks = {precision: matrix_peak(precision, rounds) for precision in PRECISIONS}
    for name in names:
        backbone = get_backbone(name)
        cost = operations(backbone)
        figures[name] = {"gflop_per_image": cost}
        cells = [f"{cost:.2f}"]
        for precision in PRECISIONS:
            engine = make_engine(backbone, random_weights(0), "auto", "cpu", precision)
            pixels = rng.integers(0, 256, (engine.batch_size, *backbone.transform.input_size, 3), np.uint8)
            engine.embed(pixels)
            rates = []
            for _ in range(rounds):
                started, done = time.perf_counter(), 0
                while time.perf_counter() - started < 2:
                    engine.embed(pixels)
                    done += len(pixels)
                rates.append(done / (time.perf_counter() - started))
            rate = spread(rates)["median"]
            figures[name][precision] = rate
            cells += [f"{rate:.1f}", f"{rate * cost:.0f}", f"{rate * cost / peaks[precision]:.0%}"]
        rows.append([name, *cells])
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["backbone", "GFLOP an image"]
    header += [f"{precision} {what}" for precision in PRECISIONS for what in ("images/s", "GFLOP/s", "of the peak")]
    title = f"Matrix-product peak: {peaks['fp32']:.0f} GFLOP/s in fp32, {peaks['bf16']:.0f} in bf16"
    report(title, header, rows, {"peaks": peaks, "backbones": figures}, options.json)


if __name__ == "__main__":
    main()
