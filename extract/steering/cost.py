"""What trainings will cost here, measured before the first begins."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.steering.options import SteerOptions
from stackbone.extract.steering.starting_point import StartingPoint

_STEPS = 3  # the first also allocates what the others use again


def estimate_seconds(
    backbone: Backbone, weights: Weights, options: SteerOptions, n_images: Sequence[int], *, device: str = "auto"
) -> float:
    """Return about how many seconds trainings on so many images each take at most, none of them stopping early.

    A few steps are taken on pixels of one grey, and nothing is kept. Reading the images and validating are not in it.

    Raises
    ------
    UsageError
        If the method does not take the backbone.
    """
    n_training = [max(1, round(n * (1 - options.validation))) for n in n_images]
    n_steps = sum(options.epochs * -(-n // options.batch_size) for n in n_training)
    return n_steps * _seconds_of_a_step(backbone, weights, options, min(max(n_training), options.batch_size), device)


def _seconds_of_a_step(backbone: Backbone, weights: Weights, options: SteerOptions, n: int, device: str) -> float:
    import torch

    from stackbone.extract.steering.mixed_precision import mixed_precision
    from stackbone.extract.steering.training_run import prepare

    prepared = prepare(backbone, weights, options, StartingPoint(), device)
    network = prepared.network.train()
    pixels = torch.full((n, *backbone.transform.input_size, 3), 128, dtype=torch.uint8, device=prepared.device)
    seconds = []
    for _ in range(_STEPS):
        started = time.perf_counter()
        with mixed_precision(prepared.device, prepared.autocast):
            loss = network(pixels).float().square().mean()
        loss.backward()
        float(loss.detach())  # a GPU is waited for
        seconds.append(time.perf_counter() - started)
    return min(seconds)
