"""What an engine is: something that gives the features of a batch, and may compute one while its caller goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stackbone.extract.backbones.outputs import OutputForm


class Engine(Protocol):
    """Runs one backbone, for some of its outputs.

    Attributes
    ----------
    batch_size
        Images it takes at once with good use of its hardware.
    provenance
        Engine, device and library versions, as strings.
    is_bound_to_batch
        Whether the last bits of a row depend on how many images it is computed with.
    """

    batch_size: int
    provenance: dict[str, str]
    is_bound_to_batch: bool

    @property
    def forms(self) -> Sequence[OutputForm]:
        """What it gives for each output, in the order asked for."""
        ...

    def embed(self, pixels: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return (B, n_columns) float32 for each output, of pixels (B, H, W, 3) uint8.

        A row depends on its own image only.

        Raises
        ------
        MemoryError
            If so many images at once do not fit.
        """
        ...


@dataclass(frozen=True, eq=False)
class Computed:
    """What became of a batch.

    Attributes
    ----------
    features
        As of `Engine.embed`.
    seconds
        That the network took for it, whatever its caller did meanwhile.
    """

    features: Sequence[NDArray[np.float32]]
    seconds: float


@runtime_checkable
class RunsAhead(Protocol):
    """An engine that can compute a batch while its caller goes on.

    Attributes
    ----------
    runs_ahead
        Whether it does, as on a GPU.
    """

    runs_ahead: bool

    def launch(self, pixels: NDArray[np.uint8]) -> Callable[[], Computed]:
        """Start what `Engine.embed` does, and return what waits for it.

        Raises
        ------
        MemoryError
            If so many images at once do not fit: at once, not by what is returned.
        """
        ...
