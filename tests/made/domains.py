"""Two made domains: classes that lie to each other alike, seen by two cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.method import HIDDEN, Domains

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]


def two_domains(
    *,
    n_source: int = 240,
    n_target: int = 180,
    n_test: int = 300,
    dim: int = 12,
    n_classes: int = 3,
    shown: int = 0,
    shift: float = 1.5,
    stretch: float = 2.0,
    apart: float = 3.0,
    seed: int = 0,
) -> tuple[Domains, Floats, Codes]:
    """Return two domains, and test images of the target with their labels.

    Columns of the target are stretched by up to `stretch` and moved by up to `shift` standard deviations; `shown`
    labels of each class are seen.
    """
    rng = np.random.default_rng(seed)
    centres = apart / np.sqrt(2) * np.linalg.qr(rng.normal(size=(dim, dim)))[0][:n_classes]
    factors, moves = rng.uniform(1, stretch, dim), rng.uniform(-shift, shift, dim)

    def draw(n: int) -> tuple[NDArray[np.float64], Codes]:
        codes = np.arange(n) % n_classes
        return centres[codes] + rng.normal(size=(n, dim)), codes

    source, source_codes = draw(n_source)
    target, target_codes = draw(n_target)
    test, test_codes = draw(n_test)
    labels = np.full(n_target, HIDDEN)
    for code in range(n_classes):
        own = np.flatnonzero(target_codes == code)[:shown]
        labels[own] = code
    domains = Domains(
        source.astype(np.float32),
        source_codes,
        (target * factors + moves).astype(np.float32),
        labels,
        n_classes,
        seed,
    )
    return domains, (test * factors + moves).astype(np.float32), test_codes


def changed(domains: Domains, **fields: Any) -> Domains:  # noqa: ANN401 - any field of them
    """Return domains of which some fields are others; nothing that was computed of the old ones is kept."""
    names = ("source", "source_labels", "target", "target_labels", "n_classes", "seed")
    return Domains(**{name: fields.get(name, getattr(domains, name)) for name in names})


def accuracy(probabilities: NDArray[np.float64], codes: Codes) -> float:
    """Return the share of images whose likeliest class is theirs."""
    return float((probabilities.argmax(axis=1) == codes).mean())
