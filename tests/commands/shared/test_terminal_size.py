"""How wide the terminal is taken to be: as wide as it says, whatever kind of terminal it is."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

SAY = "from stackbone.commands.shared.console import out, err; print(out.width, err.width, err.is_interactive)"
SIZES = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_INTERACTIVE")


def said(environment: dict[str, str], columns: int, *, piped: bool = False) -> list[str]:
    """Return the widths that the two streams take, and whether progress is drawn, in a terminal of some columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in SIZES}
    child = subprocess.Popen(
        [sys.executable, "-c", SAY],
        stdin=theirs,
        stdout=subprocess.PIPE if piped else theirs,
        stderr=theirs,
        env=plain | environment,
    )
    os.close(theirs)
    try:
        text = child.communicate(timeout=60)[0] if piped else line_from(ours)
        assert child.wait(timeout=60) == 0
    finally:
        os.close(ours)
    return text.decode().split()


def line_from(terminal: int) -> bytes:
    """Return what a terminal shows up to the end of its first line: it comes in pieces."""
    text = b""
    while not text.endswith(b"\n"):
        text += os.read(terminal, 1000)
    return text


@pytest.mark.parametrize("term", ["dumb", "unknown", "xterm-256color"])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_is_as_wide_as_it_says(term: str, columns: int) -> None:
    assert said({"TERM": term}, columns) == [str(columns)] * 2 + [str(term == "xterm-256color")]


@pytest.mark.parametrize(
    ("environment", "columns", "width"),
    [({"COLUMNS": "150"}, 60, 150), ({"COLUMNS": "0"}, 60, 60), ({"LINES": "10"}, 200, 200), ({}, 0, 80)],
)
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_the_environment_comes_first_where_it_names_a_size(
    term: str, environment: dict[str, str], columns: int, width: int
) -> None:
    assert said({"TERM": term, **environment}, columns)[:2] == [str(width)] * 2


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_a_pipe_is_never_narrow(environment: dict[str, str]) -> None:
    assert said(environment, 60, piped=True)[0] == "10000"
