"""The way of pixels to a device and of features back: on a GPU beside its work, so that it waits for neither."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Staging:
    """Copies between NumPy's memory and a device.

    On a GPU they go through pinned memory, which alone is copied while the processor goes on: pixels on a stream of
    their own, so that a batch arrives while the one before is computed, features on that of the network. Torch keeps
    pinned memory for the next batch, and gives none out again before its copy has ended.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._arriving = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def to_device(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the same (B, H, W, 3) uint8 on the device, where they may still be on their way."""
        if self._arriving is None:
            return torch.from_numpy(pixels).to(self._device)
        pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        pinned.copy_(torch.from_numpy(pixels))
        with torch.cuda.stream(self._arriving):
            batch = pinned.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._arriving)
        batch.record_stream(computing)  # or its memory would be given out while the network still reads it
        return batch

    def stopwatch(self) -> Callable[[], Callable[[], float]]:
        """Start counting what the device computes from here on.

        Called, what is returned stops that, and returns what gives the seconds: of a GPU between two marks among its
        work, for which it waits, so that work before them and times without any do not count.
        """
        if self._arriving is None:
            started = time.perf_counter()

            def stop_clock() -> Callable[[], float]:
                seconds = time.perf_counter() - started
                return lambda: seconds

            return stop_clock
        first = self._mark()

        def stop() -> Callable[[], float]:
            last = self._mark()

            def seconds() -> float:
                last.synchronize()
                milliseconds: float = first.elapsed_time(last)
                return milliseconds / 1000

            return seconds

        return stop

    def _mark(self) -> torch.cuda.Event:
        mark = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        mark.record(torch.cuda.current_stream(self._device))
        return mark

    def from_device(self, features: Sequence[Tensor]) -> Callable[[], list[NDArray[np.float32]]]:
        """Return what waits for features, and gives them: until it is called, the device may still be at work."""
        if self._arriving is None:
            found = [each.cpu().numpy() for each in features]
            return lambda: found
        pinned = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in features]
        for here, there in zip(pinned, features, strict=True):
            here.copy_(there, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> list[NDArray[np.float32]]:
            done.synchronize()
            return [each.numpy() for each in pinned]

        return wait
