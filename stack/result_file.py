"""All numbers of an experiment in one JSON file, for other programs."""

from __future__ import annotations

import json
from pathlib import Path

from cache.files import make_folder, write_atomically
from stack.experiment import Experiment


def write_result(experiment: Experiment, file: Path) -> None:
    """Write `Experiment.to_dict` to a file, whole or not at all.

    Its ``format`` is ``stackbone-result``; ``format_version`` grows with any change that a reader must know of.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    make_folder(file.absolute().parent)
    write_atomically(file, json.dumps(experiment.to_dict(), indent=2, allow_nan=False).encode() + b"\n")
