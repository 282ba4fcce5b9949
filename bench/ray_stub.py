"""A network that tells images apart by a few of their pixels, and in one worker of a cluster fails as it is told to.

For `ray_faults`: workers import it by its name, so this folder is to be on their path.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import POOLED
from stackbone.extract import open_dataset
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.embedding import run
from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.plan import EngineOptions
from stackbone.extract.embedding.report import ExtractReport
from stackbone.extract.embedding.spread.job import Job, find_job

DIM = 48
SECONDS_AN_IMAGE = 0.008
_EVERY = 56  # of 224 rows and columns of pixels: 4 x 4 of them, in three colours
_SHARED = 0x20000  # CLONE_NEWNS of Linux
_REC_PRIVATE, _BIND, _BIND_READ_ONLY = 0x44000, 0x1000, 0x1021  # of mount(2)


@dataclass(frozen=True)
class Fault:
    """What befalls one worker of a run.

    Attributes
    ----------
    kind
        ``none``, ``sleep``, ``stop``, ``full``, ``read-only`` or ``memory``.
    folder
        Where workers note that they work, and the one that is struck that it is.
    cache
        What it can no longer write to.
    after
        Batches that it computes before.
    """

    kind: str
    folder: Path
    cache: Path
    after: int = 0


class Stub:
    """The engine."""

    is_bound_to_batch = False
    batch_size, forms = 8, (OutputForm(POOLED, DIM),)

    def __init__(self, fault: Fault) -> None:
        self.provenance = {"engine": "stub"}
        self._fault, self._left = fault, fault.after
        (fault.folder / f"worker-{os.getpid()}").touch()

    def embed(self, pixels: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return (B, `DIM`) float32 of pixels (B, H, W, 3) uint8, or fail."""
        self._left -= 1
        if self._left < 0 and self._fault.kind != "none":
            self._strike()
        time.sleep(len(pixels) * SECONDS_AN_IMAGE)
        return [pixels[:, ::_EVERY, ::_EVERY].reshape(len(pixels), DIM).astype(np.float32) / np.float32(255)]

    def _strike(self) -> None:
        struck = self._fault.folder / "struck"
        try:
            struck.touch(exist_ok=False)
        except FileExistsError:  # another worker is, or this one was
            if self._fault.kind != "memory" or struck.read_text() != str(os.getpid()):
                return
        struck.write_text(str(os.getpid()))
        match self._fault.kind:
            case "sleep":
                while True:
                    time.sleep(3600)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "full":
                import resource

                _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
            case "read-only":
                _see_read_only(self._fault.cache)
            case "memory":
                np.ones(1 << 46, np.float32)


def _see_read_only(folder: Path) -> None:
    """Let this thread, which is the one that writes, see a folder as one that cannot be written to."""
    system, place = ctypes.CDLL(None, use_errno=True), str(folder).encode()
    calls = [
        partial(system.unshare, _SHARED),
        partial(system.mount, None, b"/", None, ctypes.c_ulong(_REC_PRIVATE), None),
        partial(system.mount, place, place, None, ctypes.c_ulong(_BIND), None),
        partial(system.mount, None, place, None, ctypes.c_ulong(_BIND_READ_ONLY), None),
    ]
    for call in calls:
        if call():
            message = f"the fault could not be made: {os.strerror(ctypes.get_errno())}"
            raise RuntimeError(message)


@dataclass(frozen=True, eq=False)
class StubJob(Job):
    """A job whose networks are stubs."""

    fault: Fault = Fault("none", Path(), Path())

    def embedders(self, to_fill: Mapping[str, Sequence[Filling]], report: Progress = silent) -> dict[str, Embedder]:
        """Return what fills feature sets, as of `Job`."""
        made = super().embedders(to_fill, report)
        for each in made.values():
            each.start = partial(Stub, self.fault)
        return made


def embed(photos: Path, fault: Fault, cluster: ClusterOptions | None) -> ExtractReport:
    """Embed a folder of photographs with the stub into the cache of a fault."""
    job = find_job("efficientnet_lite0", random_seed=0, on=EngineOptions())
    stubs = StubJob(**{each.name: getattr(job, each.name) for each in fields(Job)}, fault=fault)
    with patch.object(run, "find_job", lambda *_, **__: stubs):
        return run.extract(open_dataset(photos), store=FeatureStore(fault.cache), cluster=cluster)


def embed_as_head(photos: str, cache: str, address: str, folder: str) -> None:
    """Do the same on a cluster, with nothing that fails but what befalls this process."""
    embed(Path(photos), Fault("none", Path(folder), Path(cache)), ClusterOptions(address))
