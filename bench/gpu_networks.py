"""Faster ways to run a network on a GPU than the engine's, for `bench/gpu.py`: whether one of them pays.

Each is given the same uint8 pixels, which lie on the device already, and computes in bf16 by autocast, as the engine
does. What cannot run on a device, or here, is shown with its reason.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from machine import medians_in_turns
from stackbone.extract.backbones.backbone import get_backbone
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines.network import build_outputs

Run = Callable[[], object]

BATCH = 64  # the engine's own


def seconds_of(run: Run, device: str, seconds: float) -> float:
    """Return the seconds of one call, of as many as take about so long, after one that is not counted."""
    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    run()
    wait()
    started, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - started < seconds:
        for _ in range(4):
            run()
        wait()
        calls += 4
    return (time.perf_counter() - started) / calls


def seconds_or_nan(run: Run, device: str, seconds: float) -> float:
    """Return the same, or nan where the way fails, such as for want of memory beside the others: these go on."""
    try:
        return seconds_of(run, device, seconds)
    except Exception as exc:  # as `faster_ways` has it
        print(_reason(exc), file=sys.stderr)
        return math.nan


def _reason(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0][:60]


def _ratio(rate: float, first: float) -> str:
    return "-" if math.isnan(first) else f"{rate / first:.2f}x"


def eager(network: Any, batch: Any, device: str) -> Run:  # noqa: ANN401 - torch's own, which is imported late
    """Return the way of the engine."""
    import torch

    def run() -> object:
        with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16):
            return network(batch)

    return run


def searched(network: Any, batch: Any, device: str) -> Run:  # noqa: ANN401 - see `eager`
    """Return the same where cuDNN tries its algorithms for each shape first."""
    import torch

    plain = eager(network, batch, device)

    def run() -> object:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return plain()

    return run


def graphed(network: Any, batch: Any, device: str) -> Run:  # noqa: ANN401 - see `eager`
    """Return the same as one CUDA graph, which costs a launch and not one for each layer."""
    import torch

    plain = eager(network, batch, device)
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(3):
            plain()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        plain()
    return graph.replay


def compiled(network: Any, batch: Any, device: str) -> Run:  # noqa: ANN401 - see `eager`
    """Return the same by ``torch.compile``."""
    import torch

    return eager(torch.compile(network), batch, device)


WAYS = {
    "eager, as the engine": (eager, 1),
    "eager, batches four times as large": (eager, 4),
    "cuDNN's search": (searched, 1),
    "CUDA graph": (graphed, 1),
    "torch.compile": (compiled, 1),
}


def faster_ways(
    names: tuple[str, ...], device: str, seconds: float, allows: Callable[[str], bool], rounds: int, *, quick: bool
) -> tuple[list[list[str]], dict[str, Any]]:
    """Return rows and figures of every way of some backbones; of a quick run, of those that need no compiler.

    Each is measured for so many seconds in all rounds together, in which the ways that run here take turns.
    """
    import torch

    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    for name in names:
        backbone = get_backbone(name)
        network = build_outputs(backbone, random_weights(0), ["pooled"]).to(device)
        ready: dict[str, tuple[int, Run]] = {}
        for way, (make, times) in WAYS.items():
            if (quick and make is compiled) or not allows(f"{way} of {name}"):
                continue
            n = (8 if quick else BATCH) * times
            try:
                batch = torch.randint(0, 256, (n, *backbone.transform.input_size, 3), dtype=torch.uint8, device=device)
                made = make(network, batch, device)
                seconds_of(made, device, 0.0)
            except Exception as exc:  # a way that fails here is one of the things to be found out
                rows.append([name, way, "-", _reason(exc)])
                continue
            ready[way] = n, made
        each_s = [partial(seconds_or_nan, made, device, seconds / rounds) for _, made in ready.values()]
        taken = medians_in_turns(each_s, rounds)
        own = {way: n / one for (way, (n, _)), one in zip(ready.items(), taken, strict=True)}
        first = next(iter(own.values()), math.nan)
        for way, rate in own.items():
            cells = ["-", "failed in a later round"] if math.isnan(rate) else [f"{rate:,.0f}", _ratio(rate, first)]
            rows.append([name, way, *cells])
            print("\t".join(rows[-1]), file=sys.stderr, flush=True)
        own = {way: rate for way, rate in own.items() if not math.isnan(rate)}
        figures[name] = own
    return rows, figures
