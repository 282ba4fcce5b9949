"""An interrupt ends a command with a line and 130, also while Python still loads libraries."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made.checkout import ROOT

INTERRUPTED_AT = """
import os, runpy, signal, sys
module, start, *arguments = sys.argv[1:]
def interrupt(event, details):
    if event == "import" and details[0] == module:
        os.kill(os.getpid(), signal.SIGINT)
sys.path.insert(0, os.path.dirname(start))
sys.argv = [start, *arguments]
sys.addaudithook(interrupt)
runpy.run_path(start, run_name="__main__")
"""


def heed_signals() -> None:
    """Undo what a shell or nohup that started the tests may have told their children to ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted_at(module: str, start: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTED_AT, module, str(ROOT / start), *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, preexec_fn=heed_signals
    )


@pytest.mark.parametrize("module", ["typer", "rich.console", "stackbone.commands.shared.listing"])
def test_an_interrupt_while_the_command_line_loads(tmp_path: Path, module: str) -> None:
    done = interrupted_at(module, "cli.py", "inspect", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: nothing was done\n"


@pytest.mark.parametrize("module", ["stackbone.cli", "typer", "rich.console"])
def test_an_interrupt_while_the_installed_command_loads(tmp_path: Path, module: str) -> None:
    (tmp_path / "stackbone").write_text("from stackbone.__main__ import main\nmain()\n")
    command = [sys.executable, "-c", INTERRUPTED_AT, module, str(tmp_path / "stackbone"), "inspect"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=heed_signals,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted: nothing was done\n")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("stackbone.extract", ["extract", "photos"]),
        ("stackbone.stack", ["stack"]),
        ("stackbone.cache.upkeep.summary", ["inspect"]),
        ("numpy", ["inspect"]),
        ("PIL", ["demo", "--folder", "place"]),
    ],
)
def test_an_interrupt_while_a_command_loads_its_room(tmp_path: Path, module: str, arguments: list[str]) -> None:
    done = interrupted_at(module, "cli.py", *arguments, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.rglob("*.h5")) == []


def test_a_shell_that_has_an_interrupt_ignored_is_obeyed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, "numpy", str(ROOT / "cli.py"), "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0
    assert done.stdout.startswith("stackbone ")
