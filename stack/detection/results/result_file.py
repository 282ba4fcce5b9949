"""All numbers of a detection experiment in one JSON file, for other programs and for `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackbone.cache.disk.output_file import write_output
from stackbone.cache.text import to_json
from stackbone.stack.detection.records.experiment import DETECTION_FORMAT, DETECTION_VERSION, DetectionExperiment
from stackbone.stack.experiments.result_file import read_recorded

WROTE = "`stackbone detect --result FILE`"
"""The command that writes results, in a message."""


def write_detection(experiment: DetectionExperiment, file: Path) -> None:
    """Write `DetectionExperiment.to_dict` to a file, whole or not at all.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    write_output(file, to_json(experiment.to_dict(), indent=2).encode() + b"\n")


def read_detection(file: Path) -> dict[str, Any]:
    """Return the JSON object that `write_detection` wrote.

    Raises
    ------
    StackError
        If the file does not exist, is not such a result, or has a newer version.
    """
    return read_recorded(file, {DETECTION_FORMAT: DETECTION_VERSION}, WROTE)
