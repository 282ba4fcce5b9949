"""Every prediction of an evaluation, image by image, as a table that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.stack.evaluation.evaluate import WITHOUT
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.tables.row_file import check_row_file, write_rows


def write_predictions(experiment: Experiment, file: Path) -> None:
    """Write what every model predicted for every image that it had not seen.

    One row for each model, fold and test image: ``path``, ``image_sha256`` (hex), ``label``, ``fold`` (from 1),
    ``model``, ``predicted``, and for classification the score of each class in a column ``score:CLASS``: its
    probability, or, of a linear SVM, its decision value. Several labels of an image have bars between them; several
    numbers have columns ``label:NAME`` and ``predicted:NAME``.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    file : Path
        Ending in ``.csv`` or ``.parquet``.

    Raises
    ------
    UsageError
        If the file has another ending, or Parquet cannot be written here.
    CacheError
        If the file cannot be written.
    """
    check_row_file("--predictions", file)
    write_rows(file, _chunks(experiment))


def _chunks(experiment: Experiment) -> Iterator[dict[str, list[Any]]]:
    """Yield the table's columns for each model and fold."""
    joined = experiment.joined
    columns, targets = experiment.truth.columns, experiment.truth.targets.tolist()
    paths, digests = joined.paths, joined.digests
    for model, predictions in experiment.evaluation.predictions.items():
        if model.startswith(WITHOUT):
            continue
        for number, (fold, prediction) in enumerate(zip(experiment.folds, predictions, strict=True), start=1):
            chunk: dict[str, list[Any]] = {
                "path": [paths[row] for row in fold.test],
                "image_sha256": [digests[row].tobytes().hex() for row in fold.test],
                "label": joined.labels[fold.test].tolist(),
                "fold": [number] * len(fold.test),
                "model": [model] * len(fold.test),
            }
            chunk["predicted"] = experiment.kind.say(prediction, columns)
            if targets:
                true = experiment.truth.values[fold.test]
                for kind, values in (("label", true), ("predicted", prediction.scores)):
                    chunk |= {f"{kind}:{name}": each.tolist() for name, each in zip(targets, values.T, strict=True)}
            elif columns:
                shown = np.exp(prediction.scores) if prediction.probability else prediction.scores
                chunk |= {f"score:{name}": each.tolist() for name, each in zip(columns, shown.T, strict=True)}
            yield chunk
