"""Plug-ins: what the modules of one of our folders declare, and what other people's packages add to it.

A module of such a folder declares one thing, or a tuple of them, under a name that the folder has in common. To add one
is to add a file. A package of somebody else's declares the same, and names it in an entry point of the folder's group::

    [project.entry-points."stackbone.backbones"]
    my_net = "my_package.my_module:BACKBONES"
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from stackbone.cache.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Named(Protocol):
    """Anything that says by which name users choose it."""

    @property
    def name(self) -> str:
        """As users type it; unique among its kind."""
        ...


_T = TypeVar("_T", bound=Named)


def module_names(package: str, *, folders: bool = False) -> list[str]:
    """Return the names of the modules in a package's folder, sorted; with `folders`, those of its sub-packages instead.

    None of them is imported.
    """
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in modules if module.ispkg == folders)


class Plugins(Mapping[str, _T], Generic[_T]):
    """Things of one kind by name, found when they are first asked for.

    A name of ours is looked up in our own folder alone; other packages are imported only to list everything, or to look
    up a name that is not ours.

    Parameters
    ----------
    kind
        Class that each must be an instance of.
    group
        Group of entry points by which other packages add theirs, such as ``stackbone.backbones``.
    package
        Our folder, as a dotted name; its modules may lie in sub-folders.
    declared
        Name under which each of its modules declares one, or a tuple of them, such as ``BACKBONES``.
    module
        Where each has a folder of its own in ours: the module in it that declares it, such as ``recipe``.
    order
        Sort key of the listing; by default ours come first, by module, then those of other packages.

    Raises
    ------
    PluginError
        When listed, if what another package adds cannot be imported, is of another kind, or has a name that is taken.
        The message names the package and how to remove it.
    """

    def __init__(
        self,
        kind: type[_T],
        group: str,
        package: str,
        declared: str,
        *,
        module: str = "",
        order: Callable[[_T], Any] | None = None,
    ) -> None:
        self._kind = kind
        self._group = group
        self._package = package
        self._declared = declared
        self._module = module
        self._order = order

    def __getitem__(self, name: str) -> _T:
        return self._ours[name] if name in self._ours else self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def our_names(self) -> list[str]:
        """Names of our own folder, whatever other packages add."""
        return list(self._ours)

    def package_of(self, name: str) -> tuple[str, str] | None:
        """Return name and version of the package that adds something; None for what is ours.

        Raises
        ------
        KeyError
            If there is nothing of that name.
        """
        if name in self._ours:
            return None
        self._all[name]
        return self._packages.get(name)

    @cached_property
    def _packages(self) -> dict[str, tuple[str, str]]:
        """By name of what another package adds: the package and its version; filled as `_all` is."""
        return {}

    @cached_property
    def _ours(self) -> dict[str, _T]:
        found: dict[str, _T] = {}
        for path in self._paths():
            for each in _several(getattr(importlib.import_module(path), self._declared)):
                if not isinstance(each, self._kind) or each.name in found:
                    message = (
                        f"{path} declares {each!r}, which is not a {self._kind.__name__} or has a name that is taken"
                    )
                    raise TypeError(message)
                found[each.name] = each
        return found

    def _paths(self) -> list[str]:
        """Return the modules of our folder that declare something: those in it, then those of its sub-folders."""
        folders = [f"{self._package}.{name}" for name in module_names(self._package, folders=True)]
        if self._module:
            return [f"{folder}.{self._module}" for folder in folders]
        return [f"{folder}.{name}" for folder in (self._package, *folders) for name in module_names(folder)]

    @cached_property
    def _all(self) -> dict[str, _T]:
        from importlib.metadata import entry_points

        found, origin = dict(self._ours), dict.fromkeys(self._ours, "Stackbone itself")
        for entry_point in sorted(entry_points(group=self._group), key=lambda each: (_package_of(each), each.name)):
            for each in self._load(entry_point):
                if each.name in found:
                    problem = f"it adds {each.name!r}, a name that {origin[each.name]} has already"
                    raise PluginError(_refusal(entry_point, problem))
                found[each.name] = each
                origin[each.name] = f"the package {_package_of(entry_point)}"
                dist = entry_point.dist
                self._packages[each.name] = (_package_of(entry_point), dist.version if dist else "unknown")
        order = self._order
        return found if order is None else dict(sorted(found.items(), key=lambda item: order(item[1])))

    def _load(self, entry_point: EntryPoint) -> list[_T]:
        try:
            things = _several(entry_point.load())
        except Exception as exc:  # another package's code, which may raise anything
            problem = f"it cannot be imported ({type(exc).__name__}: {exc})"
            raise PluginError(_refusal(entry_point, problem)) from exc
        for each in things:
            if not isinstance(each, self._kind) or not isinstance(each.name, str):
                wanted = f"{self._kind.__module__}.{self._kind.__name__}"
                problem = f"it names a {type(each).__name__}, expected one {wanted} or a tuple of them"
                raise PluginError(_refusal(entry_point, problem))
        return things


def _several(declared: Any) -> list[Any]:  # noqa: ANN401 - whatever was declared
    is_one = isinstance(declared, str) or not isinstance(declared, Iterable)
    return [declared] if is_one else list(declared)


def _package_of(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else "unknown"


def _refusal(entry_point: EntryPoint, problem: str) -> str:
    package = _package_of(entry_point)
    return (
        f"the package {package} adds {entry_point.name!r} ({entry_point.group}: {entry_point.value}) to Stackbone, "
        f"and {problem}. Update the package, or remove it with `pip uninstall {package}`"
    )
