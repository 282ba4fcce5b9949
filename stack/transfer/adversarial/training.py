"""A head whose features tell classes and hide domains: training by gradient reversal.

One hidden layer sees standardised features. A linear layer tells the classes of labelled images from it, another small
network tells the domains of all images; on its way back to the hidden layer the gradient of the latter changes its
sign, so that the layer unlearns what tells the domains apart (Ganin et al. 2016, JMLR 17(59), 1-35).
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

EPOCHS = 30
BATCH = 128
"""Labelled images in a step, and as many of all images to tell domains by."""

MOST_REVERSED = 0.1
"""What a reversed gradient is scaled by in the end: of one hidden layer the paper tries .01 to 1."""

_HIDDEN, _DOMAIN_HIDDEN = 256, 64
_RATE, _DECAY, _DROPOUT = 1e-3, 1e-4, 0.5


@dataclass(frozen=True, eq=False)
class Head:
    """What was trained, without torch: ``relu(z @ hidden + hidden_bias) @ classes + class_bias``.

    Attributes
    ----------
    hidden : NDArray[np.float32]
        ``(dim, width)``.
    hidden_bias : NDArray[np.float32]
        ``(width,)``.
    classes : NDArray[np.float32]
        ``(width, n_classes)``.
    class_bias : NDArray[np.float32]
        ``(n_classes,)``.
    """

    hidden: Floats
    hidden_bias: Floats
    classes: Floats
    class_bias: Floats

    def decide(self, z: Floats) -> Floats:
        """Return ``(n, n_classes)`` decision values of ``(n, dim)`` standardised rows."""
        inner = np.maximum(z @ self.hidden + self.hidden_bias, 0)
        decision: Floats = inner @ self.classes + self.class_bias
        return decision


class _Reversal(torch.autograd.Function):
    """The identity, whose gradient changes its sign and is scaled."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale  # type: ignore[attr-defined] # torch's own way to hand it on
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None  # type: ignore[attr-defined] # as above


def reverse_gradient(x: Tensor, scale: float) -> Tensor:
    """Return x, so that what is learnt behind it is unlearnt before it, `scale` times as fast."""
    reversed_: Tensor = _Reversal.apply(x, scale)
    return reversed_


def train(
    rows: Floats, codes: Codes, both: Floats, domain: Codes, n_classes: int, seed: int, *, epochs: int = EPOCHS
) -> Head:
    """Train a head; the same arguments give the same head, on one thread whatever the caller's.

    Parameters
    ----------
    rows : NDArray[np.float32]
        ``(n, dim)`` labelled rows, standardised.
    codes : NDArray[np.int64]
        ``(n,)`` their class codes.
    both : NDArray[np.float32]
        ``(m, dim)`` rows of both domains, labelled or not.
    domain : NDArray[np.int64]
        ``(m,)`` 0 for the source, 1 for the target; each is drawn as often.
    n_classes : int
        Number of classes.
    seed : int
        Of weights, order and dropout.
    epochs : int
        Passes over the labelled rows.
    """
    # torch's own generator is one for all threads: fits side by side would draw each other's numbers.
    rng = np.random.default_rng(seed)
    layer = _linear(rows.shape[1], _HIDDEN, rng)
    classes = _linear(_HIDDEN, n_classes, rng)
    domains = nn.Sequential(_linear(_HIDDEN, _DOMAIN_HIDDEN, rng), nn.ReLU(), _linear(_DOMAIN_HIDDEN, 1, rng))
    with _ONE_THREAD:
        _run(layer, classes, domains, rows, codes, both, domain, rng, epochs)
    return Head(*(_array(each) for each in (layer.weight.T, layer.bias, classes.weight.T, classes.bias)))


class _OneThread:
    """While somebody trains, torch has one thread: sums then do not depend on the machine, nor fits wait for others.

    That number is one for the whole process, so that the last of several who train side by side puts it back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_num_threads()
            self._inside += 1
            torch.set_num_threads(1)  # of each thread that enters, too: OpenMP counts by thread

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_num_threads(self._before)


_ONE_THREAD = _OneThread()


def _linear(n_in: int, n_out: int, rng: np.random.Generator) -> nn.Linear:
    """Return a layer with weights as torch would draw them."""
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")  # not yet drawn
    bound = 1 / np.sqrt(n_in)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, (n_out, n_in))))
        layer.bias.copy_(torch.from_numpy(rng.uniform(-bound, bound, n_out)))
    return layer


def _run(
    layer: nn.Linear,
    classes: nn.Linear,
    domains: nn.Sequential,
    rows: Floats,
    codes: Codes,
    both: Floats,
    domain: Codes,
    rng: np.random.Generator,
    epochs: int,
) -> None:
    parameters = [weight for part in (layer, classes, domains) for weight in part.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    x, y, all_rows = torch.from_numpy(rows), torch.from_numpy(codes), torch.from_numpy(both)
    sides = [np.flatnonzero(domain == side) for side in (0, 1)]
    asked = torch.repeat_interleave(torch.tensor([0.0, 1.0]), BATCH // 2)

    def features(some: Tensor) -> Tensor:
        """Return the hidden layer, of whose values a half is left out."""
        inner = torch.relu(layer(some))
        kept = torch.from_numpy(rng.random(tuple(inner.shape)) >= _DROPOUT)
        return inner * kept / (1 - _DROPOUT)

    steps, done = epochs * -(-len(rows) // BATCH), 0
    for _ in range(epochs):
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            # From 0 on, so that the classifier of domains is right before it is listened to (equation 14).
            scale = MOST_REVERSED * (2 / (1 + np.exp(-10 * done / steps)) - 1)
            drawn = torch.from_numpy(np.concatenate([rng.choice(side, BATCH // 2) for side in sides]))
            own = torch.from_numpy(order[start : start + BATCH])
            loss = nn.functional.cross_entropy(classes(features(x[own])), y[own])
            said = domains(reverse_gradient(features(all_rows[drawn]), float(scale)))[:, 0]
            loss = loss + nn.functional.binary_cross_entropy_with_logits(said, asked)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
            optimiser.step()
            done += 1


def _array(weight: Tensor) -> Floats:
    array: Floats = np.ascontiguousarray(weight.detach().numpy())
    return array
