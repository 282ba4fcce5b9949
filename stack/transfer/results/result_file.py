"""All numbers of a transfer in one JSON file, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackbone.cache.disk.output_file import write_output
from stackbone.cache.text import to_json
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.results.verdict import verdict


def transfer_result(experiment: TransferExperiment) -> dict[str, Any]:
    """Return `TransferExperiment.to_dict` with the verdict on each setting beside its scores."""
    found = experiment.to_dict()
    verdicts = [verdict(experiment, each).to_dict() for each in experiment.scores]
    settings = [{**one, "verdict": said} for one, said in zip(found["settings"], verdicts, strict=True)]
    return {**found, "settings": settings}


def write_transfer(experiment: TransferExperiment, file: Path) -> None:
    """Write `transfer_result` to a file, whole or not at all.

    Its ``format`` is ``stackbone-transfer``; ``format_version`` grows with any change that a reader must know of.
    A number that is not finite is null.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    write_output(file, to_json(transfer_result(experiment), indent=2).encode() + b"\n")
