"""How a command ends: with a sentence and an exit code, whatever came in its way.

0 done; 1 the data or the machine is at fault; 2 wrong usage; 130 interrupted. Only ``--debug`` shows a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from stackbone.cache.disk.output_file import check_output
from stackbone.cache.errors import StackboneError, UsageError, says_memory_is_full
from stackbone.commands.shared import interrupts
from stackbone.commands.shared.console import LogPrinter, err, finish

_ClickError: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)  # typer's own copy of click's, or click's
_NO_MEMORY = (
    "bad_alloc",
    "failed to map segment",
    "not enough memory",
    "start new thread",
)
_INTERRUPTED = 130
_ENDING_SIGNALS = [  # a scheduler ends a job by one, a closed terminal by the other, which Windows does not have
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_MEMORY_ADVICE = (
    "What was committed is kept. Use fewer backbones or images at a time, do fewer things at once where the command "
    "has an option for it, or give the process more memory"
)


def run(command: Callable[[], object], *, debug: bool) -> NoReturn:
    """Run a command to its end and exit.

    Parameters
    ----------
    command
        Returns its exit code, or anything else for 0.
    debug
        Show a traceback with an error.
    """
    _open_streams()
    logging.basicConfig(handlers=[LogPrinter()], level=logging.WARNING, format="%(message)s")
    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        interrupts.release()
        code = command()
        finish()
    except typer.Abort as exc:
        err.tell_end("aborted: nothing was done")
        code = _INTERRUPTED if isinstance(exc.__context__, KeyboardInterrupt) else 1
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except _ClickError as exc:
        code = _show_usage(exc)
    except Exception as exc:
        if debug:
            raise
        for line in f"error: {explain(exc)}".split("\n"):
            err.print(line)
        code = exc.exit_code if isinstance(exc, StackboneError) else 1
    if code == _INTERRUPTED:  # typer makes an exit code of an interrupt, too
        err.tell_end("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def check_outputs(files: Mapping[str, Path | None]) -> None:
    """Refuse, before the work, files that cannot be written, or that would replace one another.

    Parameters
    ----------
    files
        By the option that names them; None where it was not given.

    Raises
    ------
    UsageError
        If one is a folder, a device or a pipe, or two are the same file.
    """
    seen: dict[str, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        check_output(file)
        other = seen.setdefault(os.path.realpath(file), option)
        if other != option:
            message = f"{other} and {option} name the same file, {file}: give each its own"
            raise UsageError(message)


def exit_if_too_many_failed(n_failed: int, n_images: int, allowed: float, kept: str) -> None:
    """End the command with exit code 1 if more than a share of its images failed, saying what is kept all the same."""
    if n_failed / max(1, n_images) > allowed:
        share = f"{n_failed:,} of {n_images:,} images failed, more than the {allowed:.2%} that --max-failed allows"
        err.print(f"error: {share}; {kept}")
        raise typer.Exit(1)


class Outputs:
    """Files to be written one after another: where one cannot be, the next is written all the same.

    Used as a context manager, it raises the first error when all had their turn.
    """

    def __init__(self) -> None:
        self._errors: list[StackboneError] = []

    def __enter__(self) -> Outputs:
        """Begin."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Raise the first error, after printing the others."""
        for each in self._errors[1:]:
            err.print(f"error: {each}")
        if self._errors:
            raise self._errors[0]

    @contextlib.contextmanager
    def file(self, *said: str) -> Iterator[None]:
        """Write one file, and say so in these lines."""
        try:
            yield
        except StackboneError as exc:
            self._errors.append(exc)
            return
        for line in said:
            err.note(line)


def explain(exc: Exception) -> str:
    """Return what to say about an error: what was found, and what to do next."""
    if isinstance(exc, StackboneError):
        return str(exc)
    text = str(exc) or type(exc).__name__
    if _is_out_of_memory(exc):
        return f"there is not enough memory ({text}). {_MEMORY_ADVICE}"
    if isinstance(exc, OSError):
        if _has_lost_its_folder():
            return "the folder that this command was started in is gone. Change to another folder and run it again"
        where = f" ({exc.filename})" if exc.filename else ""
        return f"the system refused: {exc.strerror or text}{where}. What was committed is kept; fix this and run again"
    if isinstance(exc, ImportError):
        return f"a library cannot be loaded: {text}. Install Stackbone again, in an environment of its own"
    return (
        f"unexpected {type(exc).__name__}: {text}. This is a bug in Stackbone; what was committed is kept. "
        "Run the command again with --debug and report what it shows"
    )


def _open_streams() -> None:
    """Put a stream in the place of each that was closed, so that no file of ours gets its number.

    What is written to a closed output fails as it should: its place is taken by a file that is open for reading.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Commit what is computed, as after Ctrl-C; a second signal must not cut that short.

    A terminal that closes sends one to each process, and its shell sends another to each of its jobs.
    """
    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) == _interrupt:
            signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Whole(io.StringIO):
    """Takes text as it is: from what goes to no terminal, click leaves out what would colour one."""

    def isatty(self) -> bool:
        return True


def _show_usage(exc: Exception) -> int:
    """Print what click says of wrong usage; return its exit code."""
    text = _Whole()
    exc.show(text)  # type: ignore[attr-defined]
    for line in text.getvalue().rstrip().split("\n"):
        err.print(line)
    return UsageError.exit_code


def _is_out_of_memory(exc: BaseException | None) -> bool:
    """Return whether an error, or one that it came of, is a lack of memory: libraries fail again as they clean up."""
    while exc is not None:
        said = str(exc).lower()
        by_system = isinstance(exc, OSError) and exc.errno == errno.ENOMEM
        if says_memory_is_full(exc) or by_system or any(word in said for word in _NO_MEMORY):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _has_lost_its_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False
