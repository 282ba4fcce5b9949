"""Every prediction of an evaluation, image by image, as a table that other programs read."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np

from cache import UsageError
from cache.files import make_folder, write_atomically
from stack.evaluate import WITHOUT
from stack.experiment import Experiment
from stack.scores import Prediction
from stack.targets import TargetPrediction

_PARQUET_ADVICE = "writing Parquet needs pyarrow. Run `pip install 'stackbone[parquet]'`, or name a .csv file"


def write_predictions(experiment: Experiment, file: Path) -> None:
    """Write what every model said of every image that it had not seen.

    One row for each model, fold and test image: ``path``, ``image_sha256`` (hex), ``label``, ``fold`` (from 1),
    ``model``, ``predicted``, and for classification the score of each class in a column ``score:CLASS``: its
    probability, or, of a linear SVM, its decision value.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    file : Path
        Ending in ``.csv`` or ``.parquet``.

    Raises
    ------
    UsageError
        If the ending is another, or Parquet cannot be written here.
    CacheError
        If the file cannot be written.
    """
    check_prediction_file(file)
    columns = _columns(experiment)
    if file.suffix == ".parquet":
        content = _parquet(columns)
    else:
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        content = memoryview(text.getvalue().encode(errors="surrogateescape"))
    make_folder(file.absolute().parent)
    write_atomically(file, content)


def check_prediction_file(file: Path) -> None:
    """Raise `UsageError` unless predictions can be written to such a file here."""
    if file.suffix not in (".csv", ".parquet"):
        message = f"predictions are written as .csv or .parquet, and {file} is neither: name such a file"
        raise UsageError(message)
    if file.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - asked before the work, not after it
        except ImportError as exc:
            raise UsageError(_PARQUET_ADVICE) from exc


def _columns(experiment: Experiment) -> dict[str, list[object]]:
    joined = experiment.joined
    classes = [str(name) for name in np.unique(joined.labels)] if experiment.task == "classification" else []
    names = ["path", "image_sha256", "label", "fold", "model", "predicted", *(f"score:{name}" for name in classes)]
    columns: dict[str, list[object]] = {name: [] for name in names}
    digests = [digest.tobytes().hex() for digest in joined.digests]
    paths = joined.paths
    found: dict[str, list[Prediction] | list[TargetPrediction]] = {**experiment.evaluation.predictions}
    for model, predictions in found.items():
        if model.startswith(WITHOUT):
            continue
        for number, (fold, prediction) in enumerate(zip(experiment.folds, predictions, strict=True), start=1):
            columns["path"] += [paths[row] for row in fold.test]
            columns["image_sha256"] += [digests[row] for row in fold.test]
            columns["label"] += [str(joined.labels[row]) for row in fold.test]
            columns["fold"] += [number] * len(fold.test)
            columns["model"] += [model] * len(fold.test)
            if isinstance(prediction, Prediction):
                columns["predicted"] += [classes[code] for code in prediction.scores.argmax(axis=1)]
                shown = np.exp(prediction.scores) if prediction.probability else prediction.scores
                for name, scores in zip(classes, shown.T, strict=True):
                    columns[f"score:{name}"] += scores.tolist()
            elif isinstance(prediction, TargetPrediction):
                columns["predicted"] += [float(value) for value in prediction.values]
    return columns


def _parquet(columns: dict[str, list[object]]) -> memoryview:
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    readable = {_utf8(name): [_utf8(each) for each in values] for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(readable), sink)
    return memoryview(sink.getvalue())


def _utf8(value: object) -> object:
    """Return a value with the bytes of a name that are not UTF-8 written as escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
