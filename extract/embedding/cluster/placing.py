"""Where the workers of a run go: how many a node of a cluster takes, and with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WORKER_TIMEOUT = 600.0  # seconds: longer than a network takes to be converted, or to compute a batch
_ROUNDING = 1e-9  # a GPU holds five workers of 0.2


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster computes, and how it is divided.

    Attributes
    ----------
    address
        As of `cache.cluster.joining.joined`.
    gpus_per_worker
        GPUs of each worker; by default one on nodes that have any, and none on others.
    cpus_per_worker
        Cores of each worker; by default those of its node, divided among its workers.
    worker_timeout
        Seconds after which a worker that got nothing done is ended, and its images are given to others.
    """

    address: str
    gpus_per_worker: float | None = None
    cpus_per_worker: int | None = None
    worker_timeout: float = WORKER_TIMEOUT


@dataclass(frozen=True)
class Placing:
    """The workers of one node.

    Attributes
    ----------
    node
        Its id.
    n_workers
        How many it takes; 0 of one that is too small.
    cores, gpus
        Of each.
    """

    node: str
    n_workers: int
    cores: int
    gpus: float


def place_workers(nodes: Iterable[Mapping[str, Any]], options: ClusterOptions, device: str) -> list[Placing]:
    """Return the workers of each node that is alive.

    Parameters
    ----------
    nodes
        As `ray.nodes` tells them: ``NodeID``, ``Alive``, and ``Resources`` with numbers of ``CPU`` and ``GPU``.
    device
        Where networks are asked to run; on ``cpu`` no GPU is taken unless that is asked for.
    """
    alive = {each["NodeID"]: each["Resources"] for each in nodes if each["Alive"]}
    no_gpus = not any(each.get("GPU") for each in alive.values())
    found = []
    for node, resources in alive.items():
        n_cores, n_gpus = int(resources.get("CPU", 0)), float(resources.get("GPU", 0))
        gpus = options.gpus_per_worker
        if gpus is None:  # a node without any works with its cores, unless the device can only be a GPU
            gpus = 0.0 if device == "cpu" or no_gpus or (device == "auto" and n_gpus < 1) else 1.0
        n_by_gpu = int(n_gpus / gpus + _ROUNDING) if gpus else 1
        cores = options.cpus_per_worker or max(1, n_cores // max(1, n_by_gpu))
        n_by_core = n_cores // cores
        found.append(Placing(node, min(n_by_gpu, n_by_core) if gpus else n_by_core, cores, gpus))
    return found
