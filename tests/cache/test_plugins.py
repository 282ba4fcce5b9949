"""Plug-ins are found by listing a folder and by entry points, and one that cannot be used is named with its package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from stackbone.cache.errors import PluginError, StackboneError
from stackbone.cache.plugins import Plugins, module_names
from tests.made.plugin import install_plugin

KIND = "class Thing:\n    def __init__(self, name, rank=0):\n        self.name, self.rank = name, rank\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a package `ours_made` of three modules, and a `Thing`; forget afterwards what was imported of them."""
    package = tmp_path / "ours" / "ours_made"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / "ours" / "made_kind.py").write_text(KIND)
    monkeypatch.syspath_prepend(tmp_path / "ours")
    before = set(sys.modules)
    for module, declared in {
        "pear": "Thing('pear', 3)",
        "apple": "(Thing('apple', 2), Thing('apricot', 9))",
        "fig": "[Thing('fig', 1)]",
    }.items():
        (package / f"{module}.py").write_text(f"from made_kind import Thing\nTHINGS = {declared}\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("made_kind", "ours_made", "theirs")):
            del sys.modules[name]


def things(order: str = "", package: str = "ours_made", module: str = "") -> Plugins:  # type: ignore[type-arg]
    from made_kind import Thing  # type: ignore[import-not-found]

    key = (lambda each: getattr(each, order)) if order else None
    return Plugins(Thing, "stackbone.made_things", package, "THINGS", module=module, order=key)


def add(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, source: str, name: str = "THINGS") -> None:
    monkeypatch.syspath_prepend(install_plugin(folder / package, package, source, {"stackbone.made_things": name}))


def test_modules_are_listed_without_being_imported(folder: Path) -> None:
    assert module_names("ours_made") == ["apple", "fig", "pear"]
    assert "ours_made.fig" not in sys.modules


def test_each_module_declares_one_or_several(folder: Path) -> None:
    found = things()
    assert list(found) == ["apple", "apricot", "fig", "pear"]
    assert (len(found), found["apricot"].rank, found.get("plum"), "plum" in found) == (4, 9, None, False)
    assert list(things("rank")) == ["fig", "apple", "pear", "apricot"]


def test_nothing_is_imported_before_it_is_asked_for(folder: Path) -> None:
    found = things()
    assert not any(name.startswith("ours_made.") for name in sys.modules)
    assert found["fig"].rank == 1


def test_folders_declare_through_one_of_their_modules(folder: Path) -> None:
    inner = folder / "ours" / "ours_made_too" / "plum"
    inner.mkdir(parents=True)
    for each in (inner, inner.parent):
        (each / "__init__.py").touch()
    (inner / "recipe.py").write_text("from made_kind import Thing\nTHINGS = Thing('plum')\n")
    (inner.parent / "shared.py").write_text("raise RuntimeError\n")
    assert module_names("ours_made_too") == ["shared"]
    assert module_names("ours_made_too", folders=True) == ["plum"]
    assert list(things(package="ours_made_too", module="recipe")) == ["plum"]


def test_other_packages_add_theirs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder, monkeypatch, "theirs_b", "from made_kind import Thing\nTHINGS = Thing('kiwi', 4)\n")
    add(folder, monkeypatch, "theirs_a", "from made_kind import Thing\nTHINGS = (Thing('lime'), Thing('date'))\n")
    assert list(things()) == ["apple", "apricot", "fig", "pear", "lime", "date", "kiwi"]
    assert list(things("rank"))[-2:] == ["kiwi", "apricot"]
    assert things()["kiwi"].rank == 4


def test_what_is_not_ours_tells_its_package_and_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder, monkeypatch, "theirs_v", "from made_kind import Thing\nTHINGS = Thing('kiwi', 4)\n")
    found = things()
    assert found.package_of("fig") is None
    name, version = found.package_of("kiwi") or ("", "")
    assert name == "theirs_v"
    assert version == metadata.version("theirs_v")
    with pytest.raises(KeyError):
        found.package_of("plum")


def test_a_name_of_ours_needs_no_other_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder, monkeypatch, "theirs_c", "raise RuntimeError\n")
    assert things()["fig"].rank == 1
    assert "theirs_c" not in sys.modules


@pytest.mark.parametrize(
    ("package", "source", "name", "problem"),
    [
        ("theirs_d", "import no_such_module\n", "THINGS", r"cannot be imported \(ModuleNotFoundError: No module named"),
        ("theirs_e", "THINGS = 1 / 0\n", "THINGS", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("theirs_f", "OTHER = 1\n", "THINGS", r"cannot be imported \(AttributeError: "),
        ("theirs_g", "THINGS = 'plum'\n", "THINGS", r"names a str, expected one made_kind\.Thing or a tuple of them"),
        ("theirs_h", "THINGS = (3,)\n", "THINGS", r"names a int, expected one made_kind\.Thing"),
        ("theirs_i", "from made_kind import Thing\nTHINGS = Thing(4)\n", "THINGS", r"names a Thing, expected one"),
        ("theirs_j", "from made_kind import Thing\nTHINGS = Thing('fig')\n", "THINGS", r"'fig', a name that Stackbone"),
        (
            "theirs_k",
            "from made_kind import Thing\nTHINGS = (Thing('plum'), Thing('plum'))\n",
            "THINGS",
            r"'plum', a name that the package theirs_k has already",
        ),
    ],
)
def test_one_that_cannot_be_used_is_named_with_the_way_to_remove_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, source: str, name: str, problem: str
) -> None:
    add(folder, monkeypatch, package, source, name)
    with pytest.raises(PluginError, match=problem) as found:
        list(things())
    assert f"the package {package} adds {package!r} (stackbone.made_things: {package}:THINGS)" in str(found.value)
    assert str(found.value).endswith(f"or remove it with `pip uninstall {package}`")
    assert issubclass(PluginError, StackboneError)


def test_two_packages_of_one_name_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("theirs_l", "theirs_m"):
        add(folder, monkeypatch, package, "from made_kind import Thing\nTHINGS = Thing('plum')\n")
    with pytest.raises(PluginError, match=r"theirs_m adds .* 'plum', a name that the package theirs_l has already"):
        things()["plum"]


def test_a_module_of_ours_that_declares_something_else_is_a_fault_of_ours(folder: Path) -> None:
    (folder / "ours" / "ours_made" / "rock.py").write_text("THINGS = 3\n")
    with pytest.raises(TypeError, match=r"ours_made\.rock declares 3, which is not a Thing"):
        list(things())
