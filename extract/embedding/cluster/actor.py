"""A worker as Ray runs it: a class that goes over as it is, finds the code of this run first, and hands on calls."""

from __future__ import annotations

from typing import Any

from stackbone.cache.cluster.code import bring_code


def actor_class(ray: Any, node: str, cores: int, gpus: float) -> Any:  # noqa: ANN401 - Ray's own types
    """Return what starts a worker on a node, with so many of its cores and GPUs.

    What it is given and returns are pickles, which are opened once the code of this run can be imported there.
    """
    install = bring_code()

    class RemoteWorker:
        """Goes over by value, so it uses nothing of the modules around it."""

        def __init__(self, worker: bytes) -> None:
            import pickle

            self._dumps = pickle.dumps
            self._reason = install()
            if self._reason is None:
                self._worker = pickle.loads(worker)

        def prepare(self, cores: int | None, slot: int) -> bytes:
            if self._reason is not None:
                return self._dumps(self._reason)
            from stackbone.cache.errors import StackboneError

            try:
                self._worker.prepare(cores, slot)
            except StackboneError as exc:
                return self._dumps(str(exc))
            return self._dumps(None)

        def embed(self, order: bytes) -> bytes:
            import pickle

            return self._dumps(self._worker.embed(pickle.loads(order)))

        def progress(self) -> tuple[int, int]:
            return self._worker.progress()  # type: ignore[no-any-return]

        def stop(self) -> None:
            self._worker.stop()

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return ray.remote(RemoteWorker).options(
        num_cpus=cores,
        num_gpus=gpus,
        max_concurrency=2,  # so that it answers while it embeds
        max_restarts=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )
