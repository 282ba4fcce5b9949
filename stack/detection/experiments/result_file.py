"""All numbers of a detection experiment in one JSON file, for other programs and for `report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.progress import Progress
from stackbone.cache.text import to_json
from stackbone.stack.detection.experiments.experiment import DETECTION_FORMAT, DETECTION_VERSION, DetectionExperiment
from stackbone.stack.detection.experiments.run import run_detection
from stackbone.stack.detection.head import PRECISIONS
from stackbone.stack.experiments.result_file import not_a_result, read_recorded

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


def reproduce_detection(file: Path, store: FeatureStore, *, progress: Progress | None = None) -> DetectionExperiment:
    """Return the experiment of a result again: with what was kept of it, nothing is trained.

    Raises
    ------
    StackError
        As of `read_detection` and `run_detection`; also if the result is of a saved model that was tested, or the
        images or boxes are others now.
    CacheError
        If the cache lacks the dataset or is damaged.
    """
    told = read_detection(file)
    try:
        asked: dict[str, Any] = {
            "dataset": str(told["dataset"]),
            "backbones": [str(ids[0]) for ids in told["backbones"].values()],
            "heads": [str(name) for name in told["heads"]],
            "epochs": _setting(told["settings"], "epochs", None),
            "precision": _setting(told["settings"], "precision", PRECISIONS[0]),
            "cv": told["cv"],
            "split": told["split"],
            "group_by": told["group_by"],
            "near_duplicates": told["near_duplicates"],
            "seed": told["seed"],
            "dealing": told["dealing"],
        }
        n_boxes, images = told["n_boxes"], told["n_images"]
    except (KeyError, TypeError, AttributeError, IndexError) as exc:
        raise StackError(not_a_result(file, f"it lacks {exc}", WROTE)) from exc
    experiment = run_detection(store, **asked, progress=progress)
    if (experiment.annotated.n_boxes, experiment.n_images) != (n_boxes, images):
        message = (
            f"{file} is of {images} images with {n_boxes} boxes, and the dataset {experiment.dataset!r} has "
            f"{experiment.n_images} with {experiment.annotated.n_boxes} now. Run `stackbone detect --report FILE` for "
            "a report of what is there"
        )
        raise StackError(message)
    return experiment


def _setting(settings: Mapping[str, Mapping[str, Any]], name: str, usual: object) -> Any:  # noqa: ANN401 - as recorded
    """Return what was asked of the heads that have a setting; the usual value where nothing was."""
    return next((each[name] for each in settings.values() if name in each), usual)
