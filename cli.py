"""The command line: ``stackbone``, ``python -m stackbone`` and, in a checkout, ``python cli.py``."""

from __future__ import annotations

import sys
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Annotated, NoReturn

if __name__ == "__main__":  # in a checkout: the rooms beside this file, whichever stackbone is installed

    class _Checkout:
        @staticmethod
        def find_spec(name: str, *_: object) -> object:
            own = name == "stackbone"
            return spec_from_file_location(name, Path(__file__).with_name("__init__.py")) if own else None

    sys.meta_path.insert(0, _Checkout)  # type: ignore[arg-type]

    from stackbone.commands.shared import interrupts

    interrupts.guard()  # before what follows, which takes a moment

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import be_quiet, out
from stackbone.commands.shared.listing import CommandGroup
from stackbone.commands.shared.options import DebugOption, QuietOption

app = typer.Typer(
    name="stackbone",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Embed images once with frozen pretrained backbones, then stack classifiers on the cached features.",
    epilog="To begin: `stackbone demo`; with your own photographs, one folder for each class: `stackbone extract "
    "photos/`, then `stackbone stack --cv 3 --report report.html`.",
)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 data or machine at fault, 2 wrong usage, 130 interrupted."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)  # behind it are names, whatever they look like
    asked = {word for word in words[:end] if word in _ANYWHERE}
    be_quiet(quiet="--quiet" in asked)
    arguments = [word for word in words[:end] if word not in asked] + words[end:]
    endings.run(lambda: app(args=arguments, prog_name="stackbone", standalone_mode=False), debug="--debug" in asked)


_ANYWHERE = ("--debug", "--quiet")


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the signature of a callback
    if asked:
        from importlib.metadata import version

        out.print(f"stackbone {version('stackbone')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: DebugOption = False,
    quiet: QuietOption = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """Take the options common to all commands; `main` acts on them, wherever they stand."""


if __name__ == "__main__":
    main()
