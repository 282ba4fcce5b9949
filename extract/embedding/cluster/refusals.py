"""What a run over a cluster says when no node can do it."""

from __future__ import annotations

from collections.abc import Iterable

from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.cluster.state import ClusterRun


def too_small_message(options: ClusterOptions) -> str:
    """Return what is said where no node is large enough for a worker."""
    wanted = f"{options.gpus_per_worker or 0:g} GPUs and {options.cpus_per_worker or 1} cores"
    return (
        f"no node of the Ray cluster has {wanted} for a worker. Give other numbers, such as --gpus-per-worker 0 "
        "--cpus-per-worker 1"
    )


def nobody_message(run: ClusterRun, waited_seconds: float) -> str:
    """Return what is said where every node is left out, or no worker got ready in a time."""
    reasons = [*dict.fromkeys(run.left_out.values())]
    rest = run.ever_taking - run.left_out.keys()
    if gone := rest - run.taking:
        reasons.append(f"{_names(run, gone)} left it, and no other joined within {waited_seconds:.0f} s")
    if unready := rest & run.taking:
        reasons.append(
            f"no worker got ready within {waited_seconds:.0f} s on {_names(run, unready)}, where others may have taken "
            "the cores, or files may not answer"
        )
    why = "; ".join(reasons)
    return f"no node of the Ray cluster can work: {why}. What was committed is kept; run again, or leave --ray out"


def _names(run: ClusterRun, nodes: Iterable[str]) -> str:
    return ", ".join(sorted({run.name(each) for each in nodes}))
