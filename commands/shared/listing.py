"""The list of commands: modules of `commands` and its folders, and what other packages add; each is loaded when run.

Another package adds a command by an entry point, whose module has a docstring for the help, as ours have::

    [project.entry-points."stackbone.commands"]
    my-command = "my_package.my_module:command"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from stackbone.cache.errors import PluginError
from stackbone.cache.plugins import module_names
from stackbone.commands.shared.names import filled, names_of, registries_in
from stackbone.commands.shared.options import DebugOption, QuietOption

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_PACKAGE = _GROUP = "stackbone.commands"
_COMMAND = "command"  # the function that does the work
_SHARED = "shared"  # the one folder without commands: what they have in common


def own_commands() -> dict[str, str]:
    """Return the module of each command of ours by name, sorted: one of this package, or of a folder in it.

    A hyphen of a command is an underscore of its module.
    """
    folders = [_PACKAGE, *(f"{_PACKAGE}.{name}" for name in module_names(_PACKAGE, folders=True) if name != _SHARED)]
    found = {name.replace("_", "-"): f"{folder}.{name}" for folder in folders for name in module_names(folder)}
    return dict(sorted(found.items()))


def added_commands() -> dict[str, EntryPoint]:
    """Return the commands that other packages add, by name, sorted; ours cannot be replaced."""
    from importlib.metadata import entry_points  # takes a while to import

    ours = own_commands()
    found = sorted(entry_points(group=_GROUP), key=lambda each: each.name)
    return {each.name: each for each in found if each.name not in ours}


def summary(module: str) -> str:
    """Return the first line of a module's docstring without importing it, or '' where there is none."""
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except Exception:  # another package's code, which may raise anything; running the command says what
        return ""
    first = source.lstrip().split("\n", 1)[0].strip()
    return first.strip('"') if first.startswith('"""') else ""


class CommandGroup(TyperGroup):
    """Lists commands by name, and imports the one that is run."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own context, or click's
        """Return every name: ours, then those that other packages add."""
        return [*own_commands(), *added_commands()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
        """Import a command and return it, or None if there is none of this name."""
        ours = own_commands().get(cmd_name)
        if ours is not None:  # without a look at what other packages add, which takes time
            return _load(cmd_name, ours, _COMMAND)
        added = added_commands().get(cmd_name)
        if added is None:
            return None
        try:
            return _load(cmd_name, added.module, added.attr or _COMMAND)
        except Exception as exc:  # another package's code, which may raise anything
            package = added.dist.name if added.dist else "unknown"
            message = (
                f"the package {package} adds the command {cmd_name!r} ({_GROUP}: {added.value}) to Stackbone, and it "
                f"cannot be loaded ({type(exc).__name__}: {exc}). Update the package, or remove it with "
                f"`pip uninstall {package}`"
            )
            raise PluginError(message) from exc

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write the list of commands, of which none is imported."""
        ours = [(name, summary(module)) for name, module in own_commands().items()]
        added = [(name, summary(point.module)) for name, point in added_commands().items()]
        with formatter.section("Commands"):
            formatter.write_dl([*ours, *added])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        """Find the command that was typed; of a name that is unknown, say which is like it."""
        if args and args[0] not in own_commands():
            names: Any = dict.fromkeys(self.list_commands(ctx))
            self.commands = names  # that it may be like
        return super().resolve_command(ctx, args)


class _Command(TyperCommand):
    """A command whose help names what the registries hold."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        for parameter in self.params:
            parameter.help = filled(parameter.help or "")  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)


def _load(name: str, module: str, function: str) -> Any:  # noqa: ANN401 - as above
    loaded = import_module(module)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    command = getattr(loaded, function)
    _complete_choices(command)
    alone.command(name, cls=_Command, help=loaded.__doc__)(command)
    made: Any = typer.main.get_command(alone)
    made.params += _taken_anywhere()
    return made


def _complete_choices(function: Callable[..., None]) -> None:
    """Let a shell complete the values of options whose help names what a registry holds."""
    for hint in get_type_hints(function, include_extras=True).values():
        for option in getattr(hint, "__metadata__", ()):
            if isinstance(option, OptionInfo) and (registries := registries_in(option.help or "")):
                option.autocompletion = _completion(registries)


def _completion(registries: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a function that tells how a word that was begun may go on; of several, separated by commas, the last."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        names = [name for registry in registries for name in names_of(registry)]
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


def _taken_anywhere() -> list[Any]:
    """Return the options of every command, which `cli.main` acts on: here they are for its help and for completion."""
    alone = typer.Typer(add_completion=False)

    @alone.command()
    def _common(*, quiet: QuietOption = False, debug: DebugOption = False) -> None: ...

    return typer.main.get_command(alone).params
