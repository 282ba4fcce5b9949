"""Groups of options: fields of a dataclass become options of a command, which gets them back as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from stackbone.commands.shared.option_groups import changed, grouped, names


@dataclass(frozen=True)
class Size:
    """How large."""

    width: Annotated[int, typer.Option(min=1, help="Columns")] = 3
    deep_end: Annotated[float | None, typer.Option(help="Depth")] = None


@dataclass(frozen=True)
class Files:
    """Where to."""

    folder: Annotated[Path | None, typer.Option("--out", help="Folder")] = None
    plain: Annotated[bool | None, typer.Option("--plain/--no-plain", help="No colours")] = None
    also: Annotated[list[str] | None, typer.Option(help="More")] = None


def invoke(command: Callable[..., None], *words: str) -> str:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


@grouped
def _show(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="Word")],
    *,
    size: Size,
    often: Annotated[int, typer.Option(help="Times")] = 1,
    files: Files,
) -> None:
    """Show what came in."""
    typer.echo(f"{what} {often} {size} {files} {sorted(context.params)}")


def test_fields_are_options_and_come_back_as_one_group() -> None:
    shown = invoke(_show, "word", "--width", "5", "--out", "x", "--no-plain", "--also", "a", "--also", "b")
    assert shown.startswith(f"word 1 {Size(5)} {Files(Path('x'), plain=False, also=['a', 'b'])} ")
    assert "['also', 'deep_end', 'folder', 'often', 'plain', 'what', 'width']" in shown
    assert invoke(_show, "word", "--often", "2").startswith(f"word 2 {Size()} {Files()} ")


def test_help_lists_them_where_the_group_stands() -> None:
    helped = invoke(_show, "--help")
    order = [helped.index(option) for option in ("--width", "--deep-end", "--often", "--out", "--plain / --no-plain")]
    assert order == sorted(order)
    assert "Show what came in." in helped


def test_limits_of_a_field_hold() -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_show)
    assert CliRunner().invoke(app, ["word", "--width", "0"]).exit_code == 2


def test_the_signature_is_that_of_the_options() -> None:
    assert list(inspect.signature(_show).parameters) == [
        *("context", "what", "width", "deep_end", "often", "folder", "plain", "also"),
    ]


def test_two_groups_with_one_name_are_refused() -> None:
    def twice(*, size: Size, other: Size) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'width'"):
        grouped(twice)


def test_what_was_changed_is_said_as_it_is_typed() -> None:
    assert changed(Size(), Files()) == []
    assert changed(Size(deep_end=1.0), Files(folder=Path("x"), plain=False)) == [
        "--deep-end",
        "--out",
        "--plain/--no-plain",
    ]
    assert changed(Size(width=4)) == ["--width"]


def test_names_are_those_of_all_fields() -> None:
    assert names(Files, Size) == ["folder", "plain", "also", "width", "deep_end"]
