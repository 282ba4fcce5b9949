"""The list of commands and the help of each: found by listing a folder, quick, and true to what there is."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from stackbone.commands import stack, steer
from stackbone.commands.shared.embedding.dataset_options import DatasetOptions
from stackbone.commands.shared.experiment_options import (
    CrossValidationOptions,
    GivenFoldOptions,
    ModelOptions,
    ShotOptions,
)
from stackbone.commands.shared.listing import own_commands, summary
from stackbone.commands.shared.names import REGISTRIES, filled, names_of
from stackbone.commands.shared.options import FoldOptions
from stackbone.commands.shared.report_output import PageOptions
from stackbone.commands.shared.training_options import MethodOptions, TrainingOptions
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.methods.method import RECIPES
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.learners.recipes import recipe_rows
from stackbone.stack.learners.registry import meta_learners
from stackbone.stack.metrics.metrics import METRICS, typed_metric
from stackbone.stack.tasks.registry import TASKS
from tests.conftest import InProcess
from tests.made.checkout import CLI, ROOT
from tests.made.commands import run_command
from tests.made.plugin import install_plugin

COMMANDS = (
    *("audit", "backbones", "cluster", "compact", "compare-backbones", "demo", "detect", "evaluate", "export"),
    "extract",
    *("forget", "inspect", "plan", "predict", "relabel", "report", "search", "similar", "stack", "steer", "suggest"),
    *("transfer", "verify"),
)


def run(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(filter(None, [str(path or ""), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, str(CLI), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": search, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_module_of_the_folder_is_a_command_and_no_other() -> None:
    """Adding a command is a decision: it stays."""
    assert tuple(own_commands()) == COMMANDS
    files = [file for file in (ROOT / "commands").glob("**/*.py") if "shared" not in file.parts]
    assert {file.stem.replace("_", "-") for file in files} == {"--init--", *COMMANDS}


def test_the_list_of_commands_says_what_each_does_in_one_line(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = dict(re.findall(r"^  ([a-z-]+) {2,}(\S.*)$", done.stdout.split("Commands:")[1], re.MULTILINE))
    assert listed == {name: summary(own_commands()[name]) for name in COMMANDS}
    assert all(10 < len(text) < 70 and text.endswith(".") for text in listed.values()), "90 columns show it whole"


def test_the_list_of_commands_imports_none_of_them(tmp_path: Path) -> None:
    code = (
        "import sys; from stackbone import cli; sys.argv = ['stackbone', *sys.argv[1:]]\n"
        "try: cli.main()\n"
        "except SystemExit: from stackbone.commands.shared.listing import own_commands\n"
        "print('\\n', *(set(own_commands().values()) & set(sys.modules)))\n"
    )
    for arguments, imported in (["--help"], []), (["inspect", "--help"], ["stackbone.commands.upkeep.inspect"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1].split() == imported


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help_in_plain_words(
    command: str, tmp_path: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = in_process(command, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: stackbone {command} ")
    assert summary(own_commands()[command]) in done.stdout
    assert "{" not in done.stdout.split("Options:")[1], "a name in braces is filled in"
    options = re.findall(r"^  (--[a-z-]+)(.*\n(?: {6,}\S.*\n)*)", done.stdout, re.MULTILINE)
    assert options
    assert [option for option, text in options if not re.search(r" {2,}[A-Za-z]", text)] == []


@pytest.mark.parametrize("registry", REGISTRIES)
def test_help_names_what_the_registries_hold(registry: str) -> None:
    module, constant = REGISTRIES[registry]
    assert names_of(registry) == tuple(getattr(import_module(module), constant))
    assert filled(f"Choices: {{{registry}}} (or none)") == f"Choices: {', '.join(names_of(registry))} (or none)"


def test_help_names_what_folders_hold() -> None:
    assert names_of("methods") == tuple(RECIPES)
    assert names_of("tasks") == tuple(TASKS)
    assert names_of("meta_learners") == tuple(meta_learners("classification"))
    assert names_of("regression_meta_learners") == tuple(meta_learners("regression"))
    of_labels = {each.name for each in METRICS.values() if each.task == "multilabel"}
    assert {name.replace("-", "_") for name in names_of("multilabel_metrics")} == of_labels
    assert names_of("recipes") == tuple(recipe_rows())
    assert names_of("heads") == tuple(name for name in TASKS["classification"].heads if name != "lr")
    assert names_of("backbones") == tuple(BACKBONES)


def test_a_registry_that_is_not_there_is_no_silent_gap() -> None:
    with pytest.raises(KeyError, match="colours"):
        filled("Choices: {colours}")


@pytest.mark.parametrize(("word", "task"), [("metrics", "classification"), ("regression_metrics", "regression")])
def test_metrics_are_listed_as_they_are_typed_in_the_order_of_their_registry(word: str, task: str) -> None:
    assert list(names_of(word)) == [typed_metric(each) for each in METRICS.values() if each.task == task]
    places = [each.place for each in METRICS.values() if each.task == task]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("group", "place", "arguments", "renamed"),
    [
        (DatasetOptions, "stackbone.extract.datasets.dataset", "open_dataset", {"dataset": "name"}),
        (FoldOptions, "stackbone.stack.experiments.run", "run_experiment", {}),
        (CrossValidationOptions, "stackbone.stack.experiments.run", "run_experiment", {}),
        (GivenFoldOptions, "stackbone.stack.experiments.run", "run_experiment", {}),
        (ShotOptions, "stackbone.stack.experiments.run", "run_experiment", {}),
        (
            ModelOptions,
            "stackbone.stack.evaluation.options",
            "stack_options",
            {"meta_scores": "scores", "meta_combine": "combine", "inner_cv": "inner_splits", "recipe": "task"},
        ),
        (PageOptions, "stackbone.stack.report.context", "ReportOptions", {"jobs": "n_jobs"}),
        (TrainingOptions, "stackbone.extract.steering.options", "SteerOptions", {}),
    ],
)
def test_options_have_the_defaults_of_the_functions_that_they_are_for(
    group: type[FoldOptions], place: str, arguments: str, renamed: dict[str, str]
) -> None:
    parameters = inspect.signature(getattr(import_module(place), arguments)).parameters
    checked = 0
    for each in fields(group):
        found = parameters.get(renamed.get(each.name, each.name))
        if found is not None and each.name != "recipe":
            assert each.default == found.default, each.name
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("command", [stack.command, steer.command])
def test_inner_folds_are_as_many_by_default_as_the_divisions_have(command: Callable[..., None]) -> None:
    assert inspect.signature(command).parameters["inner_cv"].default == INNER_FOLDS


def test_options_of_single_methods_are_those_that_the_methods_have() -> None:
    recipes = import_module("stackbone.extract.methods.method").RECIPES
    every = MethodOptions(rank=1, alpha=1, targets="qkv", value_bias=True, prompts=1, shallow=True, blocks=1)
    assert set(every.given()) == {
        name
        for recipe in recipes.values()
        for name, option in recipe.options.items()
        if not option.flag.startswith("--method-option")  # of steerings that an earlier version made
    }
    assert MethodOptions(rank=3).given() == {"rank": 3}


THEIRS = {
    "stackbone.backbones": (
        "from dataclasses import replace\n"
        "from stackbone.extract.backbones.backbone import BACKBONES as OURS\n"
        "THEIRS = replace(OURS['resnet50'], name='their_thing')\n"
    ),
    "stackbone.methods": (
        "from dataclasses import replace\n"
        "from stackbone.extract.methods.lora.recipe import RECIPE\n"
        "THEIRS = replace(RECIPE, name='their_thing')\n"
    ),
    "stackbone.meta_learners": (
        "from stackbone.stack.learners.meta.lr import LEARNER\n"
        "class Theirs(type(LEARNER)):\n    name = 'their_thing'\n"
        "THEIRS = Theirs()\n"
    ),
}


@pytest.mark.parametrize(
    ("group", "command", "option"),
    [
        ("stackbone.backbones", "extract", "--backbones"),
        ("stackbone.methods", "steer", "--method"),
        ("stackbone.meta_learners", "stack", "--meta"),
    ],
)
def test_help_names_what_other_packages_add(tmp_path: Path, group: str, command: str, option: str) -> None:
    def help_of(path: Path) -> str:
        done = run_command(command, "--help", cwd=tmp_path, path=path)
        assert done.returncode == 0, done.stderr
        text = re.search(rf"^  {option} .*\n(?: {{6,}}\S.*\n)*", done.stdout, re.MULTILINE)
        return text[0] if text else ""

    sound = install_plugin(tmp_path / "sound", "theirs", THEIRS[group], {group: "THEIRS"})
    assert "their_thing" in help_of(sound)
    broken = install_plugin(tmp_path / "broken", "theirs", "1 / 0", {group: "THEIRS"})
    assert "their_thing" not in help_of(broken)
    assert {"extract": "resnet50", "steer": "toast-lite", "stack": "svm"}[command] in help_of(broken)


HELLO = '''
    """Greet somebody.

    More words.
    """
    import typer


    def command(name: str = "you", loud: bool = False) -> None:
        typer.echo(f"hello {name}" + "!" * loud)
'''


def test_another_package_adds_a_command(tmp_path: Path) -> None:
    path = install_plugin(tmp_path / "site", "hello", HELLO, {"stackbone.commands": "command"})
    install_plugin(tmp_path / "site", "stack", HELLO, {"stackbone.commands": "command"})
    listed = run("--help", cwd=tmp_path, path=path)
    assert re.search(r"^  hello +Greet somebody\.$", listed.stdout, re.MULTILINE)
    assert listed.stdout.count("\n  stack ") == 1, "ours cannot be replaced"
    helped = run("hello", "--help", cwd=tmp_path, path=path)
    assert ("Greet somebody." in helped.stdout, "--loud" in helped.stdout) == (True, True)
    assert run("hello", "--name", "world", "--loud", cwd=tmp_path, path=path).stdout == "hello world!\n"
    assert "Greet" not in run("stack", "--help", cwd=tmp_path, path=path).stdout
    assert "did you mean 'hello'?" in run("helo", cwd=tmp_path, path=path).stderr.lower()


@pytest.mark.parametrize("source", ["import no_such_module\n", "1 / 0\n", "def other() -> None: ...\n"])
def test_a_broken_command_of_another_package_breaks_no_other(tmp_path: Path, source: str) -> None:
    path = install_plugin(tmp_path / "site", "broken", source, {"stackbone.commands": "command"})
    assert run("--help", cwd=tmp_path, path=path).returncode == 0
    assert run("stack", "--help", cwd=tmp_path, path=path).returncode == 0
    done = run("broken", cwd=tmp_path, path=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        "the package broken adds the command 'broken' (stackbone.commands: broken:command) to Stackbone" in done.stderr
    )
    assert "`pip uninstall broken`" in done.stderr
    assert "Traceback" not in done.stderr
