"""What the commands print: tables, JSON and what to type next on standard output, progress and notes on error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import TaskID
    from typer import Context

_PIPE_WIDTH = 10_000  # a table in a pipe or a file is never cut
_LOG_EVERY_S = 60.0
_MOST_BARS = 20


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Exit without a complaint: the reader of our output, such as `head`, has seen enough."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
out = _Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, **_PLAIN)
err = _Console(stderr=True, **_PLAIN)


def can_draw() -> bool:
    """Return whether standard output is a terminal that shows what plots of text are made of."""
    return out.is_terminal and out.encoding.startswith("utf")


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], bold: int | None = None, *, whole: bool = False
) -> None:
    """Print columns, numbers to the right; too wide a table loses its last columns unless it must stay `whole`."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, title in enumerate(header):
        is_number = all(row[i] == "-" or row[i].lstrip("+-")[:1].isdigit() for row in rows)
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold" if i == bold else None)
    width = table.__rich_measure__(out, out.options.update(width=_PIPE_WIDTH)).maximum
    if whole and width > out.width:
        out.print(table, width=width)
    elif width > out.width and len(header) > 2:
        kept = len(header) - 1  # words give way first, then the single folds, all together
        while header[kept - 1].startswith("fold ") and header[kept].startswith("fold "):
            kept -= 1
        print_table(header[:kept], [row[:kept] for row in rows], bold)
    else:
        out.print(table)


def print_bars(title: str, counts: Mapping[str, int]) -> None:
    """Draw counts as bars, the largest first, on a terminal that can show them; elsewhere print nothing."""
    if not can_draw() or not counts:
        return
    named = sorted(counts.items(), key=lambda each: -each[1])
    names = min(max(len(name) for name, _ in named[:_MOST_BARS]), out.width // 3)
    room = max(1, min(out.width - names - 10, 60))
    out.print(f"\n{title}")
    for name, n in named[:_MOST_BARS]:
        eighths = round(8 * room * n / named[0][1])
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]
        out.print(f"  {name[:names]:<{names}} {bar.rstrip()} {n:,}")
    if len(named) > _MOST_BARS:
        out.print(f"  and {len(named) - _MOST_BARS:,} more")


def print_json(content: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON object."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


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
    """Yield a callback that draws a bar with rate and time left, or, without a terminal, logs a line a minute."""
    try:
        if err.is_terminal:
            with _bar() as show:
                yield show
        else:
            yield _log_line_a_minute()
    except KeyboardInterrupt:
        err.print(f"interrupted: {on_interrupt}")
        raise


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}
        drawn: dict[str, float] = {}

        def show(what: str, done: int, total: int) -> None:
            now = time.monotonic()
            if done != total and now - drawn.get(what, 0.0) < 0.1:
                return
            drawn[what] = now
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None, rate="")
            speed = bar.tasks[tasks[what]].speed
            bar.update(tasks[what], completed=done, total=total or None, rate=f"{speed:.1f}/s" if speed else "")

        yield show


def _log_line_a_minute() -> Callable[[str, int, int], None]:
    started: dict[str, float] = {}
    logged: dict[str, float] = {}

    def log(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = started.setdefault(what, now)
        if now - logged.setdefault(what, now) >= _LOG_EVERY_S and done:
            logged[what] = now
            rate = done / (now - began)
            left = timedelta(seconds=round((total - done) / rate))
            err.print(f"{what}: {done:,} of {total:,}, {rate:.1f}/s, {left} left")

    return log
