"""What the commands print: text, JSON and what to type next on standard output, progress and notes on error.

All text goes through `printable`: most of it comes from files, and a terminal obeys what is in it. A reader that goes
away, such as ``head``, ends nothing: work goes on without a word, and a file that was asked for is written. Where
nothing can be printed for another reason, the rest of the work is done all the same, and `finish` says so at the end.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console

from stackbone.cache.errors import StackboneError
from stackbone.cache.progress import Pace, silent
from stackbone.cache.text import printable, to_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typer import Context

_PIPE_WIDTH, _PIPE_HEIGHT = 10_000, 100  # a table in a pipe or a file is never cut
_LEAST_WIDTH = 20  # of a terminal: COLUMNS=0 says nothing about it
_UNKNOWN_SIZE = (80, 25)  # of a terminal that says 0
_DUMB_TERMINALS = ("dumb", "unknown")
_LOG_EVERY_S = 60.0
_MOST_BARS = 20


class OutputError(StackboneError):
    """Standard output cannot be written to."""


class _Console(Console):
    """A console that shows text as it is, and outlives the stream it writes to."""

    failure: OSError | None = None
    is_quiet = False
    """Whether what is neither a result nor a fault, such as progress, goes unsaid: ``--quiet``."""

    bar: Progress | None = None
    """A bar that the other stream may draw on the same terminal: it gives way to what is printed."""

    _is_end_told = False

    def print(self, *texts: Any, **options: Any) -> None:  # noqa: ANN401 - as rich declares it
        """Print printable text, or what rich draws."""
        shown = [printable(text) if isinstance(text, str) else text for text in texts]
        if self.bar:
            self.bar.stop()
        self._guarded(lambda: super(_Console, self).print(*shown, **options))
        if self.bar:
            self.bar.start()

    def note(self, text: str) -> None:
        """Print what is good to know, and neither a result nor a fault, unless the console is to be quiet."""
        if not self.is_quiet:
            self.print(text)

    def write(self, text: str) -> None:
        """Write text for programs as it is; on a terminal, printable."""
        if self.is_terminal:
            for line in text.rstrip("\n").split("\n"):
                self.print(line)
        else:
            self._guarded(lambda: _write(self.file, text))

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - as rich declares it
        """Write what was held back; a progress bar writes so alone, to a terminal that may be closed by now."""
        self._guarded(lambda: super(_Console, self).__exit__(*error))

    def tell_end(self, sentence: str) -> None:
        """Say why a command ends early, unless that was said before."""
        if not self._is_end_told:
            self.print(sentence)
        self._is_end_told = True

    def flush(self) -> None:
        """Hand on what was printed."""
        self._guarded(lambda: self.file.flush())

    def on_broken_pipe(self) -> None:
        """Go on in silence: the reader of our output, such as `head`, has seen enough."""
        self._silence()

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BrokenPipeError:
            self._silence()
        except OSError as exc:
            self.failure = self.failure or exc
            self._silence()

    def _silence(self) -> None:
        """Let what is printed from now on, and what a buffer still holds, go nowhere."""
        del self._buffer[:]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def _write(stream: IO[str], text: str) -> None:
    stream.write(text)
    stream.flush()


def _environment() -> dict[str, str]:
    """Return the environment with a terminal's size where it is one, and only there.

    Rich takes ``COLUMNS=0`` at its word, and a dumb terminal for one of 80 columns unless the environment says more.
    """
    sizes = ("COLUMNS", "LINES")
    found = {name: text for name, text in os.environ.items() if name not in sizes or _is_size(name, text)}
    is_dumb = found.get("TERM", "").lower() in _DUMB_TERMINALS
    return _terminal_size() | found if is_dumb else found


def _terminal_size() -> dict[str, str]:
    """Return the size of the terminal that a standard stream is, as an environment has it; none if none is one."""
    for descriptor in (1, 2, 0):
        with suppress(OSError):
            columns, lines = os.get_terminal_size(descriptor)
            return {"COLUMNS": str(columns or _UNKNOWN_SIZE[0]), "LINES": str(lines or _UNKNOWN_SIZE[1])}
    return {}


def _is_size(name: str, text: str) -> bool:
    least = _LEAST_WIDTH if name == "COLUMNS" else 1
    return text.isascii() and text.isdecimal() and len(text) < 6 and least <= int(text) <= _PIPE_WIDTH


_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
_PLAIN["_environ"] = _environment()
_is_on_screen = sys.stdout is not None and sys.stdout.isatty()
out = _Console(
    width=None if _is_on_screen else _PIPE_WIDTH, height=None if _is_on_screen else _PIPE_HEIGHT, **_PLAIN
)  # both or neither: rich heeds no width alone where `FORCE_COLOR` meets a dumb terminal
err = _Console(stderr=True, **_PLAIN)


def be_quiet(*, quiet: bool) -> None:
    """Let both streams tell results and faults alone, or all."""
    out.is_quiet = err.is_quiet = quiet


def finish() -> None:
    """Raise `OutputError` if something could not be printed on standard output."""
    out.flush()
    err.flush()
    if out.failure is not None:
        message = (
            f"could not write to standard output: {out.failure.strerror or out.failure}. Everything else was done; "
            "send the output elsewhere and run again: what was computed is kept"
        )
        raise OutputError(message)


class LogPrinter(logging.Handler):
    """Prints what libraries and rooms log, as printable as all else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        err.print(self.format(record))


def can_draw() -> bool:
    """Return whether standard output is a terminal that shows what plots of text are made of."""
    return out.is_terminal and out.encoding.startswith("utf")


def print_bars(title: str, counts: Mapping[str, int]) -> None:
    """Draw counts as bars, the largest first, on a terminal that can show them; elsewhere print nothing."""
    if not can_draw() or not counts:
        return
    named = sorted(((printable(name), n) for name, n in counts.items()), key=lambda each: -each[1])
    names = min(max(len(name) for name, _ in named[:_MOST_BARS]), out.width // 3)
    room = max(1, min(out.width - names - 10, 60))
    out.print()
    out.print(title)
    for name, n in named[:_MOST_BARS]:
        eighths = round(8 * room * n / named[0][1])
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]
        out.print(f"  {name[:names]:<{names}} {bar.rstrip()} {n:,}")
    if len(named) > _MOST_BARS:
        out.print(f"  and {len(named) - _MOST_BARS:,} more")


def print_json(content: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON object."""
    out.write(to_json(content, indent=2) + "\n")


def as_given(context: Context, *names: str) -> list[str]:
    """Return those of a command's options that were typed, as words for the command to type next."""
    words: list[str] = []
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is not None and source.name == "COMMANDLINE":
            value = context.params[option.name]
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [option.opts[0], str(each)]
    return words


@contextmanager
def progress(on_interrupt: str = "nothing was changed") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback that draws a bar with rate and time left, or, where none can be drawn, logs a line a minute."""
    try:
        if err.is_quiet:
            yield silent
        elif err.is_interactive:  # a dumb terminal cannot move back over what was drawn
            with _bar() as show:
                yield show
        else:
            yield _log_line_a_minute()
    except KeyboardInterrupt:
        err.tell_end(f"interrupted: {on_interrupt}")
        raise


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}
        drawn: dict[str, float] = {}
        paces: dict[str, Pace] = {}

        def show(what: str, done: int, total: int) -> None:
            now = time.monotonic()
            pace = paces.setdefault(what, Pace())
            pace.report(now, done, total)
            if done != total and now - drawn.get(what, 0.0) < 0.1:
                return
            drawn[what] = now
            if what not in tasks:
                tasks[what] = bar.add_task(printable(what), total=total or None, pace="")
            bar.update(tasks[what], completed=done, total=total or None, pace=f"{pace.rate()} {pace.left()}")

        out.bar = bar
        try:
            yield show
        finally:
            out.bar = None


def _log_line_a_minute() -> Callable[[str, int, int], None]:
    paces: dict[str, Pace] = {}
    logged: dict[str, float] = {}

    def log(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        pace = paces.setdefault(what, Pace())
        pace.report(now, done, total)
        if now - logged.setdefault(what, now) >= _LOG_EVERY_S and done:
            logged[what] = now
            err.print(", ".join(filter(None, [f"{what}: {done:,} of {total:,}", pace.rate(), pace.left()])))

    return log
