"""What a run over a cluster says when no node can do it."""

from __future__ import annotations

from collections.abc import Iterable

from stackbone.extract.embedding.cluster.placing import ClusterOptions


def too_small_message(options: ClusterOptions) -> str:
    """Return what is said where no node is large enough for a worker."""
    wanted = f"{options.gpus_per_worker or 0:g} GPUs and {options.cpus_per_worker or 1} cores"
    return (
        f"no node of the Ray cluster has {wanted} for a worker. Give other numbers, such as --gpus-per-worker 0 "
        "--cpus-per-worker 1"
    )


def nobody_message(reasons: Iterable[str], waited_seconds: float) -> str:
    """Return what is said where every node is left out, for these reasons, or no worker started in a time."""
    why = (
        "; ".join(dict.fromkeys(reasons)) or f"no worker could start within {waited_seconds:.0f} s: its cores are taken"
    )
    return f"no node of the Ray cluster can work: {why}. What was committed is kept; run again, or leave --ray out"
