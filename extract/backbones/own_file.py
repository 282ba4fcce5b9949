"""Networks of the user's own from a file of Python: ``--backbone-module my.py:Net``.

The file is parsed to see how images are fed to it and what is in the key; it is run only when there is something to
embed. The class may say ``input_size``, ``crop_fraction``, ``crop_mode``, ``interpolation``, ``mean`` and ``std``, as
written-out values.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackbone.cache import FeatureSpec, UsageError
from stackbone.cache.choices import nearest
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.text import counted, printable, typed
from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform, check_own_name
from stackbone.extract.backbones.home import expanded
from stackbone.extract.backbones.own_module import PREFIX, OwnModule, check_own_input, is_own

OPTION = "--backbone-module"
_FORM = "[NAME=]FILE.py:CLASS, such as my.py:Net"
_NAMED = re.compile(r"([A-Za-z0-9_.]+)=(.+)", re.DOTALL)
_USUAL: Mapping[str, Any] = {
    "input_size": 224,
    "crop_fraction": 0.875,
    "crop_mode": "center",
    "interpolation": "bicubic",
    **IMAGENET,
}
_MOST_BYTES = 4 << 20


def parse_module_options(options: Sequence[str]) -> list[Backbone]:
    """Return the backbones that ``[NAME=]FILE.py:CLASS`` options declare; without NAME they are called by the class.

    Raises
    ------
    UsageError
        If an option has another form, its file cannot be read or parsed, declares no such class, or says of its input
        what cannot be; or if two have one name.
    """
    found: dict[str, Backbone] = {}
    for option in options:
        backbone = _parse(option)
        if backbone.name in found:
            message = f"{OPTION} makes {backbone.name} twice. Name one otherwise: {OPTION} {typed(f'NAME={option}')}"
            raise UsageError(message)
        found[backbone.name] = backbone
    return list(found.values())


def read_module(path: Path) -> bytes:
    """Return the bytes of a file of Python; `UsageError` if it cannot be read."""
    try:
        return read_regular(path, _MOST_BYTES)
    except OSError as exc:
        message = f"{OPTION}: {path} cannot be read ({exc.strerror or exc}). Expected {_FORM}"
        raise UsageError(message) from exc


def _parse(option: str) -> Backbone:
    named = _NAMED.fullmatch(option)
    name, place = (named[1], named[2]) if named else ("", option)
    file, separator, class_name = place.rpartition(":")
    path = expanded(file) if separator and file else None
    if path is None or not class_name.isidentifier():
        message = f"{OPTION} takes {_FORM}, not {option!r}"
        raise UsageError(message)
    content = read_module(path)
    declared = _declared(path, content, class_name)
    name = name or class_name
    check_own_name(name)
    own = OwnModule(class_name, hashlib.sha256(content).hexdigest(), path)
    settings = {**_USUAL, **_settings(path, declared)}
    size = settings["input_size"]
    transform = Transform(
        (size, size) if type(size) is int else _as_tuple(size),
        settings["crop_fraction"],
        settings["interpolation"],
        settings["crop_mode"],
    )
    mean, std = _as_tuple(settings["mean"]), _as_tuple(settings["std"])
    check_own_input(name, transform, mean, std)
    return Backbone(name, own.architecture, transform, mean, std, "model", hub="", own=own)


def _as_tuple(value: Any) -> Any:  # noqa: ANN401 - whatever the class says
    return tuple(value) if isinstance(value, list) else value


def _declared(path: Path, content: bytes, class_name: str) -> ast.ClassDef:
    """Return the class of a name from a file's source."""
    try:
        tree = ast.parse(content, str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        line = f"line {exc.lineno}: " if isinstance(exc, SyntaxError) and exc.lineno else ""
        message = f"{OPTION}: {path} is not Python ({line}{printable(getattr(exc, 'msg', None) or str(exc))})"
        raise UsageError(message) from exc
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if class_name in classes:
        return classes[class_name]
    if any(isinstance(node, ast.FunctionDef) and node.name == class_name for node in tree.body):
        problem = f"in {path}, {class_name} is a function. Name a class, a torch.nn.Module that needs no arguments"
    elif not classes:
        problem = f"{path} declares no class. Expected a torch.nn.Module called {class_name} at its top level"
    else:
        near = nearest(class_name, classes)
        meant = f"; did you mean {near!r}?" if near else ""
        listed = f"{counted(len(classes), 'class', 'classes')}: {', '.join(classes)}"
        problem = f"{path} declares no class {class_name} at its top level; it has {listed}{meant}"
    message = f"{OPTION}: {problem}"
    raise UsageError(message)


def _settings(path: Path, declared: ast.ClassDef) -> dict[str, Any]:
    """Return what a class says of its input."""
    found: dict[str, Any] = {}
    for node in declared.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            name = target.id if isinstance(target, ast.Name) else ""
            if name not in _USUAL:
                continue
            try:
                found[name] = ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as exc:
                message = (
                    f"{OPTION}: {path}, line {node.lineno}: write the value of {name} out, such as {_USUAL[name]!r}. "
                    "It is read before the file is run"
                )
                raise UsageError(message) from exc
    return found


def find_own(name: str, spec: FeatureSpec, modules: Sequence[Backbone]) -> Backbone:
    """Return the one among some networks of the user's own that made a feature set, under the set's name.

    Raises
    ------
    UsageError
        If none has the code that the spec names; the message says which code is wanted, and what to type.
    """
    found = [each for each in modules if each.own and each.own.architecture == spec.architecture]
    # Of several networks in memory with the same code, the one with these tensors.
    found.sort(key=lambda each: each.own is not None and each.own.weights != spec.weights)
    if found:
        return replace(found[0], name=name)
    class_name = spec.architecture.removeprefix(PREFIX).split(":", 1)[0]
    same = [each for each in modules if each.own and each.own.class_name == class_name]
    changed = "".join(f" {_place(each)} is not it: its code is {_code_of(each)}." for each in same)
    message = (
        f"the features of {name} were made by a network of one's own, the class {class_name}, whose code has the "
        f"digest {spec.architecture.rpartition(':')[2]}.{changed} Give that code, and its weights: "
        f"{OPTION} {typed(f'{name}=FILE.py:{class_name}')} --weights {typed(f'{name}=FILE')}; of a network that was in "
        "memory, in Python: modules=[Backbone.from_module(...)]"
    )
    raise UsageError(message)


def check_modules_are_used(modules: Sequence[Backbone], specs: Iterable[FeatureSpec]) -> None:
    """Raise `UsageError` if some networks of the user's own made none of the features that specs stand for."""
    wanted = {spec.architecture for spec in specs}
    for each in modules:
        if each.own and each.own.architecture not in wanted:
            theirs = ", ".join(sorted(each.rpartition(":")[2] for each in wanted if is_own(each)))
            found = f"theirs is {theirs}" if theirs else "none of them is by a network of one's own"
            message = (
                f"{_place(each)} made none of the features that are asked for: its code has the digest "
                f"{_code_of(each)}, and {found}. Give the code as it was, or leave it out"
            )
            raise UsageError(message)


def _place(backbone: Backbone) -> str:
    own = backbone.own
    return str(own.file) if own and own.file else f"the network {backbone.name} in memory"


def _code_of(backbone: Backbone) -> str:
    return backbone.own.sha256 if backbone.own else ""
