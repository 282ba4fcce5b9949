"""A worker as Ray runs it: a class that goes over as it is, finds the code of this run first, and hands on calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_ENVIRONMENT = ("STACKBONE_", "HF_")  # of variables that say where weights and converted networks lie


def actor_class(ray: Any, node: str, cores: int, gpus: float) -> Any:  # noqa: ANN401 - Ray's own types
    """Return what starts a worker on a node, with so many of its cores and GPUs.

    What it is given and returns are pickles, which are opened once the code of this run can be imported there.
    """
    entry = str(Path(__file__).resolve().parents[3] / "__init__.py")
    environment = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}

    class RemoteWorker:
        """Goes over by value, so it uses nothing of the modules around it."""

        def __init__(self, worker: bytes) -> None:
            import importlib.util
            import os
            import pickle
            import sys

            class Checkout:
                @staticmethod
                def find_spec(name: str, *_: object) -> object:
                    return importlib.util.spec_from_file_location(name, entry) if name == "stackbone" else None

            if os.path.isfile(entry):  # the same code as the run's, where it can be seen
                sys.meta_path.insert(0, Checkout)  # type: ignore[arg-type]
            os.environ.update(environment)
            self._worker = pickle.loads(worker)
            self._dumps = pickle.dumps

        def prepare(self, cores: int | None) -> bytes:
            from stackbone.cache.errors import StackboneError

            try:
                self._worker.prepare(cores)
            except StackboneError as exc:
                return self._dumps(str(exc))
            return self._dumps(None)

        def embed(self, order: bytes) -> bytes:
            import pickle

            return self._dumps(self._worker.embed(pickle.loads(order)))

        def progress(self) -> int:
            return int(self._worker.progress())

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
