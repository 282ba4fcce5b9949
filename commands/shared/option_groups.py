"""Options that belong together, declared once as the fields of a frozen dataclass and taken by several commands.

A command that is decorated with `grouped` names such a class in its signature, and gets an instance::

    @grouped
    def command(data: ..., listing: DatasetOptions, *, as_json: JsonOption = False) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from typing import Annotated, Any, get_origin, get_type_hints

from typer.models import OptionInfo


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes each field of its groups of options as an option of its own.

    Raises
    ------
    ValueError
        If two of a command's groups have a field of the same name.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[Parameter] = []
    groups: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(kind := hints[name]) and isinstance(kind, type):
            groups[name] = kind
            parameters += _parameters(kind)
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    def run(**given: Any) -> None:  # noqa: ANN401 - as typer parsed them
        made = {
            name: kind(**{each.name: given.pop(each.name) for each in fields(kind)}) for name, kind in groups.items()
        }
        command(**made, **given)

    run.__doc__ = command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def changed(*groups: object) -> list[str]:
    """Return the options of some groups that are not at their defaults, as they are typed."""
    return [
        _flag(type(group), each.name)
        for group in groups
        for each in fields(group)  # type: ignore[arg-type]
        if getattr(group, each.name) != each.default
    ]


def names(*groups: type[Any]) -> list[str]:
    """Return the names of all fields of some groups."""
    return [each.name for group in groups for each in fields(group)]


def _parameters(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]


def _flag(group: type[Any], name: str) -> str:
    hint = get_type_hints(group, include_extras=True)[name]
    declared = [
        word
        for each in (hint.__metadata__ if get_origin(hint) is Annotated else ())
        if isinstance(each, OptionInfo)
        for word in (each.default, *(each.param_decls or ()))
        if isinstance(word, str) and word.startswith("--")
    ]
    return declared[0] if declared else f"--{name.replace('_', '-')}"
