"""All numbers of an experiment in one JSON file, for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackbone.cache import StackError
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.text import from_json, to_json
from stackbone.stack.experiments.against.image_answers import image_answers
from stackbone.stack.experiments.experiment import RESULT_FORMAT, RESULT_VERSION, Experiment

WROTE = "`stackbone stack --result FILE`"
"""The command that writes results, in a message."""

IMAGES = "images"
"""Key of what a result tells of single images; results of versions before it was known lack it."""

N_TESTED = "n_tested"
"""Key of how many images each fold tested, those of all repeats; results of versions before it was known lack it."""

_MOST_BYTES = 1 << 30


def write_result(experiment: Experiment, file: Path) -> None:
    """Write `Experiment.to_dict` to a file, whole or not at all.

    Beside these numbers it holds how many images each fold tested, and what the model said of each tested image, see
    `ImageAnswers`. Its ``format`` is ``stackbone-result``; ``format_version`` grows with any change that a reader must
    know of. A number that is not finite is null.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    tested = [len(fold.test) for fold in experiment.folds]
    content = {**experiment.to_dict(), N_TESTED: tested, IMAGES: image_answers(experiment).to_dict()}
    write_output(file, to_json(content, indent=2).encode() + b"\n")


def read_result(file: Path) -> dict[str, Any]:
    """Return the JSON object that `write_result` wrote.

    Raises
    ------
    StackError
        If the file does not exist, is not a result, or has a newer version.
    """
    return read_recorded(file, {RESULT_FORMAT: RESULT_VERSION})


def read_recorded(file: Path, versions: Mapping[str, int], wrote: str = WROTE) -> dict[str, Any]:
    """Return the JSON object of a result.

    Parameters
    ----------
    file : Path
        The file.
    versions : mapping of str to int
        The formats that are meant, each with its newest version that is known.
    wrote : str
        The command that writes them.

    Raises
    ------
    StackError
        If the file does not exist, is no such result, or has a newer version.
    """
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        message = f"the result {file} {found}. Name a file that {wrote} wrote"
        raise StackError(message)
    try:
        content = from_json(read_regular(file, _MOST_BYTES))
    except OSError as exc:
        message = f"the result {file} cannot be read: {exc.strerror or exc}. Check its permissions"
        raise StackError(message) from exc
    except ValueError as exc:
        raise StackError(not_a_result(file, f"it is not JSON ({exc})", wrote)) from exc
    if not isinstance(content, dict) or content.get("format") not in list(versions):
        raise StackError(not_a_result(file, f"its format is not {' or '.join(map(repr, versions))}", wrote))
    version, newest = content.get("format_version"), versions[content["format"]]
    if not isinstance(version, int) or version < 1:
        raise StackError(not_a_result(file, f"its format version is {version!r}", wrote))
    if version > newest:
        message = (
            f"the result {file} has format version {version}, and this Stackbone reads up to {newest}. "
            "Update Stackbone to use it; nothing is wrong with the file"
        )
        raise StackError(message)
    return content


def not_a_result(file: Path, found: str, wrote: str = WROTE) -> str:
    """Return the message for a file that is not what a command, by default `stack`, writes."""
    return f"{file} is not a valid result: {found}. Name a file that {wrote} wrote"
