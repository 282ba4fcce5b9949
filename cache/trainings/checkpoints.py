"""How far a training run has come, in a file beside its result: the same command resumes from there.

Layout: safetensors whose metadata hold ``stackbone-checkpoint``, JSON of ``run`` (which run it is of), ``facts`` and
``sha256`` over both and all tensors. It is rewritten after every epoch, whole or not at all, and removed at the
end. No generator's state is in it, since every draw of a training run depends on its seed and its epoch alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import CacheError, RemoteError, UsageError
from stackbone.cache.places.place import Place
from stackbone.cache.tensor_file import checksum, parse_tensors, read_content, write_tensors

_METADATA = "stackbone-checkpoint"
_log = logging.getLogger(__name__)

Tensors = Mapping[str, NDArray[np.float32]]


def checkpoint_path(out: Path) -> Path:
    """Return the path of the checkpoint of a run whose result will be `out`."""
    return out.with_name(f"{out.name}.partial")


def save_checkpoint(path: Place, run: str, facts: Mapping[str, Any], tensors: Tensors) -> None:
    """Write how far a run has come.

    Parameters
    ----------
    run
        Fingerprint of its options, images and backbone.
    facts
        JSON-able.
    tensors
        float32.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    described = {"run": run, "facts": dict(facts), "sha256": _checksum(run, facts, tensors)}
    write_tensors(path, tensors, {_METADATA: json.dumps(described)})


def try_checkpoint(path: Place, run: str, facts: Mapping[str, Any], tensors: Tensors) -> bool:
    """Do as `save_checkpoint`, and return whether it could: where not, say that the training goes on without."""
    try:
        save_checkpoint(path, run, facts, tensors)
    except (CacheError, UsageError) as exc:
        _log.warning("how far the training has come is not kept, so that it cannot be taken up again: %s", exc)
        return False
    return True


def load_checkpoint(path: Place, run: str) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]] | None:
    """Return the facts and tensors of a run's checkpoint; None, and a warning that says why, if it is not usable.

    Raises
    ------
    RemoteError
        If it is on a server that cannot be asked.
    """
    try:
        header, tensors = parse_tensors(read_content(path))
        described = json.loads(header[_METADATA])
        sound = described["sha256"] == _checksum(described["run"], described["facts"], tensors)
    except FileNotFoundError:
        return None
    except RemoteError:  # a server that cannot be asked: there may well be a sound one
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        warn_unsound(path)
        return None
    if described["run"] != run:
        _log.warning("%s is of a run with other options, images or another backbone. The training starts over", path)
        return None
    return described["facts"], tensors


def warn_unsound(path: Place) -> None:
    """Say that a checkpoint is not used, and what follows."""
    _log.warning("%s is not a sound checkpoint; it may have been damaged. The training starts over", path)


def remove_checkpoint(path: Place) -> None:
    """Remove a checkpoint whose run is finished."""
    with contextlib.suppress(OSError):  # it does no harm where it lies: the finished result is asked first
        path.unlink()


def _checksum(run: str, facts: Mapping[str, Any], tensors: Tensors) -> str:
    return checksum([json.dumps([run, facts], sort_keys=True)], tensors)
