"""Fused or plain attention in training on this machine: one step of TOAST, and of the ViT itself, in fp32 and bf16.

``extract.steering.mixed_precision`` chooses by these figures. Networks with random weights: the small ViT of
bench/toast.py (32 images of 32 pixels), and the first four blocks of ViT-B (8 images of 224 pixels).
``python bench/attention.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any

from machine import arguments, report

SMALL = {"img_size": 32, "patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 3, "num_classes": 0}
BASE = {"img_size": 224, "patch_size": 16, "embed_dim": 768, "depth": 4, "num_heads": 12, "num_classes": 0}
NETWORKS = {"small ViT": (SMALL, 32), "4 blocks of ViT-B": (BASE, 8)}


def make_step(settings: dict[str, int], n_images: int, *, toast: bool, fused: bool, bf16: bool) -> Callable[[], None]:
    """Return a function that runs one forward and backward pass."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from stackbone.extract.methods.toast.module import ToastViT

    vit = VisionTransformer(**settings)
    for block in vit.blocks:
        block.attn.fused_attn = fused
    network: Any = ToastViT(vit) if toast else vit
    network.train()
    side = settings["img_size"]
    images = torch.randn(n_images, 3, side, side).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            features = network(images)
        features.float().square().mean().backward()
        network.zero_grad()

    return step


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    networks = {"small ViT": NETWORKS["small ViT"]} if options.quick else NETWORKS
    rows, figures = [], {}
    for (name, (settings, n_images)), toast in product(networks.items(), (False, True)):
        sides = list(product((False, True), (True, False)))  # bf16, fused
        steps = [make_step(settings, n_images, toast=toast, fused=fused, bf16=bf16) for bf16, fused in sides]
        seconds: list[list[float]] = [[] for _ in sides]
        for number in range((3 if options.quick else options.rounds) + 1):
            for step, found in zip(steps, seconds, strict=True):
                started = time.perf_counter()
                step()
                if number:  # the first warms up
                    found.append(time.perf_counter() - started)
        medians = [1000 * statistics.median(found) for found in seconds]
        title = f"{'TOAST on ' if toast else ''}{name}, {n_images} images"
        figures[title] = medians
        rows.append([title, *(f"{each:.0f}" for each in medians), f"{medians[2] / medians[3]:.2f}"])
    header = [
        "a training step, ms",
        "fp32, fused",
        "fp32, plain",
        "bf16, fused",
        "bf16, plain",
        "bf16: plain is faster by",
    ]
    report("attention in training", header, rows, figures, options.json)


if __name__ == "__main__":
    main()
