"""What a message tells to type is one word where it is one name, whatever the name holds."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackbone.cache import StackboneError
from stackbone.cache.text import typed
from stackbone.extract.backbones.ways_out import Problem, no_weights_message
from stackbone.extract.backbones.weights import parse_weights_options
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.steering_files.steered import read_steered
from tests.made.checkout import ROOT

NAMES = ["two words", "it's", "a; touch owned", "$(touch owned)", 'say "no"', "`id`", "a\nb", "-rf", "*"]
_ASKED = re.compile(r"(--[a-z-]+[ =]|`stackbone [a-z]+ |Type: stackbone [a-z]+ )$")
_QUOTES = {"typed"}
_SAFE = {
    "dataset.name",  # of letters, digits, '.', '_' and '-'
    *("self.cv", "self.seed", "self.inner_splits", "cv", "SAME_PICTURE", "n", "max", "tries", "','.join"),  # numbers
    *("side", "map_size", "fitting", "n_units", "_USUAL_FOLDS[0]"),  # numbers too
    *(
        "self.rare",
        "plain.model",
        "LOO",
        "LOGO",
        "typed_metric",
        "task",
        "elsewhere[0]",
        "BAR",
        "PYRAMID",
        "DEFAULT_HEAD",
        "LOCAL",
        "_PUBLISHED",
    ),  # words of ours
    *("data", "name", "asked", "table"),  # quoted a line above
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_word_to_a_shell(name: str) -> None:
    assert shlex.split(typed("extract", name, Path(name), 3)) == ["extract", name, str(Path(name)), "3"]


def _formatted(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each value that a text of a module holds right behind an option or a command, with its place."""
    for text in ast.walk(ast.parse(file.read_text())):
        if not isinstance(text, ast.JoinedStr):
            continue
        for before, value in zip(text.values, text.values[1:], strict=False):
            is_asked = isinstance(before, ast.Constant) and _ASKED.search(str(before.value))
            if is_asked and isinstance(value, ast.FormattedValue):
                called = value.value
                code = ast.unparse(called.func if isinstance(called, ast.Call) else called)
                yield f"{file.name}:{text.lineno}", code


def test_every_command_that_a_message_suggests_is_quoted_in_one_way() -> None:
    files = [
        file for room in ("cache", "commands", "extract", "stack") for file in sorted((ROOT / room).glob("**/*.py"))
    ]
    found = [each for file in files for each in _formatted(file)]
    assert len(found) >= 15
    assert [(place, code) for place, code in found if code not in _QUOTES | _SAFE] == []


def _labels_beside_a_file(folder: Path, name: str) -> list[str]:
    (folder / name).mkdir()
    (folder / name / "a.jpg").touch()
    return _asked(lambda: open_dataset(folder / name / "a.jpg", labels=folder / name / "t.csv"), "Type: stackbone ")


def _labels_that_are_no_table(folder: Path, name: str) -> list[str]:
    (folder / name).mkdir()
    (folder / f"{name}.txt").touch()
    return _asked(lambda: open_dataset(folder / name, labels=folder / f"{name}.txt"), "")


def _steering_that_is_absent(folder: Path, name: str) -> list[str]:
    return _asked(lambda: read_steered([folder / name]), "")


def _weights_that_are_absent(folder: Path, name: str) -> list[str]:
    return _asked(lambda: parse_weights_options([f"{name}={folder / name}"]), "")


def _backbones_without_weights(folder: Path, name: str) -> list[str]:
    del folder
    line = next(line for line in no_weights_message({name: Problem("none")}).splitlines() if "=FILE" in line)
    return shlex.split(line[line.index("--weights ") :].replace(" (safetensors or a state dict)", ""))


def _asked(call: Callable[[], object], behind: str) -> list[str]:
    with pytest.raises(StackboneError) as caught:
        call()
    text = str(caught.value)
    if behind:
        return shlex.split(text.split(behind, 1)[1])
    option = next(option for option in ("--labels ", "--steering ", "--weights ") if option in text)
    words = text[text.index(option) :]
    quoted = re.match(rf"{option}((?:'[^']*'|\"'\"|[^\s:'])+)", words)
    assert quoted, text
    return shlex.split(quoted[1])


@pytest.mark.parametrize("name", ["two words", "it's", "a; touch owned", "$(touch owned)"])
@pytest.mark.parametrize(
    ("message", "words"),
    [
        (_labels_beside_a_file, ["extract", "{folder}/{name}", "--labels", "{folder}/{name}/t.csv"]),
        (_labels_that_are_no_table, ["{folder}/{name}.txt"]),
        (_steering_that_is_absent, ["{folder}/{name}"]),
        (_weights_that_are_absent, ["{name}"]),
        (_backbones_without_weights, ["--weights", "{name}=FILE"]),
    ],
)
def test_hostile_names_stay_one_word_each(
    tmp_path: Path, message: Callable[[Path, str], list[str]], words: list[str], name: str
) -> None:
    assert message(tmp_path, name) == [word.format(folder=tmp_path, name=name) for word in words]
