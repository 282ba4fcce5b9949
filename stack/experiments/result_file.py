"""All numbers of an experiment in one JSON file, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackbone.cache import StackError
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.text import from_json, to_json
from stackbone.stack.experiments.experiment import RESULT_FORMAT, RESULT_VERSION, Experiment

_MOST_BYTES = 1 << 30


def write_result(experiment: Experiment, file: Path) -> None:
    """Write `Experiment.to_dict` to a file, whole or not at all.

    Its ``format`` is ``stackbone-result``; ``format_version`` grows with any change that a reader must know of.
    A number that is not finite is null.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    write_output(file, to_json(experiment.to_dict(), indent=2).encode() + b"\n")


def read_result(file: Path) -> dict[str, Any]:
    """Return the JSON object that `write_result` wrote.

    Raises
    ------
    StackError
        If the file does not exist, is not a result, or has a newer version.
    """
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        message = f"the result {file} {found}. Name a file that `stackbone stack --result FILE` wrote"
        raise StackError(message)
    try:
        content = from_json(read_regular(file, _MOST_BYTES))
    except OSError as exc:
        message = f"the result {file} cannot be read: {exc.strerror or exc}. Check its permissions"
        raise StackError(message) from exc
    except ValueError as exc:
        raise StackError(not_a_result(file, f"it is not JSON ({exc})")) from exc
    if not isinstance(content, dict) or content.get("format") != RESULT_FORMAT:
        raise StackError(not_a_result(file, f"its format is not {RESULT_FORMAT!r}"))
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise StackError(not_a_result(file, f"its format version is {version!r}"))
    if version > RESULT_VERSION:
        message = (
            f"the result {file} has format version {version}, and this Stackbone reads up to {RESULT_VERSION}. "
            "Update Stackbone to use it; nothing is wrong with the file"
        )
        raise StackError(message)
    return content


def not_a_result(file: Path, found: str) -> str:
    """Return the message for a file that is not what `write_result` writes."""
    return f"{file} is not a valid result: {found}. Name a file that `stackbone stack --result FILE` wrote"
