"""Every prediction of an evaluation, image by image, as a table that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import UsageError
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.disk.output_file import write_output
from stackbone.stack.evaluation.evaluate import WITHOUT
from stackbone.stack.experiments.experiment import Experiment

_PARQUET_ADVICE = (
    "writing Parquet needs pyarrow, which is not installed. Run `pip install 'stackbone[parquet]'`, or name a .csv file"
)


def write_predictions(experiment: Experiment, file: Path) -> None:
    """Write what every model predicted for every image that it had not seen.

    One row for each model, fold and test image: ``path``, ``image_sha256`` (hex), ``label``, ``fold`` (from 1),
    ``model``, ``predicted``, and for classification the score of each class in a column ``score:CLASS``: its
    probability, or, of a linear SVM, its decision value. Text in CSV is guarded against spreadsheets, see
    `cache.csv_text`; in Parquet it is exact.

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
    check_prediction_file(file)
    content = _parquet(_chunks(experiment)) if file.suffix == ".parquet" else _csv(_chunks(experiment))
    write_output(file, content)


def check_prediction_file(file: Path) -> None:
    """Raise `UsageError` unless predictions can be written to such a file here."""
    if file.suffix not in (".csv", ".parquet"):
        message = f"predictions can be written as .csv or .parquet, and {file} is neither: choose one of these endings"
        raise UsageError(message)
    if file.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - asked before the work, not after it
        except ImportError as exc:
            raise UsageError(_PARQUET_ADVICE) from exc


def _chunks(experiment: Experiment) -> Iterator[dict[str, list[Any]]]:
    """Yield the table's columns for each model and fold."""
    joined = experiment.joined
    classes = [str(name) for name in experiment.truth.classes]
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
            if not classes:
                chunk["predicted"] = prediction.scores.tolist()
            else:
                chunk["predicted"] = [classes[code] for code in prediction.scores.argmax(axis=1)]
                shown = np.exp(prediction.scores) if prediction.probability else prediction.scores
                chunk |= {f"score:{name}": each.tolist() for name, each in zip(classes, shown.T, strict=True)}
            yield chunk


def _csv(chunks: Iterator[dict[str, list[Any]]]) -> memoryview:
    parts = []
    for number, chunk in enumerate(chunks):
        rows = zip(*chunk.values(), strict=True)
        parts.append(csv_lines(rows if number else [tuple(chunk), *rows]).encode(errors="backslashreplace"))
    return memoryview(b"".join(parts))


def _parquet(chunks: Iterator[dict[str, list[Any]]]) -> memoryview:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    sink = pyarrow.BufferOutputStream()
    writer = None
    for chunk in chunks:
        table = pyarrow.table({_utf8(name): [_utf8(each) for each in values] for name, values in chunk.items()})
        writer = writer or ParquetWriter(sink, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return memoryview(sink.getvalue())


def _utf8(value: Any) -> Any:  # noqa: ANN401 - text, or what stays as it is
    """Return a value with the bytes of a name that are not UTF-8 written as escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
