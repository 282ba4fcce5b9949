"""The wheel: one import name, everything in it, and at work far from the checkout among files named like our rooms."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.made.checkout import ROOT

pytest.importorskip("setuptools", minversion="77", reason="the dev extra brings what builds a wheel")

ROOMS = ("cache", "commands", "extract", "pipelines", "stack")
SOURCES = ("__init__.py", "__main__.py", "cli.py", *ROOMS)
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


def rooms_files() -> set[str]:
    """Return every file that belongs into the wheel, as its path below ``stackbone/``."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file()]
    files += [ROOT / name for name in SOURCES if name.endswith(".py")]
    return {file.relative_to(ROOT).as_posix() for file in files if file.suffix != ".pyc"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel, offline, from a copy: setuptools leaves files beside what it builds from."""
    source = tmp_path_factory.mktemp("source")
    for name in (*SOURCES, "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True, timeout=120)
    [file] = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own; what it depends on is in this environment."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a working folder with files and a folder that are named like our rooms, each of which is an error."""
    for name in ("extract.py", "stack.py", "cli.py", "commands.py"):
        (tmp_path / name).write_text("raise RuntimeError('a file of the user was taken for a part of Stackbone')\n")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "__init__.py").write_text("raise RuntimeError('so was a folder')\n")
    return tmp_path


def run(site: Path, cwd: Path, *words: str) -> str:
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_wheel_holds_stackbone_and_its_metadata_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
    tops = {name.split("/")[0] for name in names}
    assert tops == {"stackbone", next(top for top in tops if top.endswith(".dist-info"))}
    assert {name.removeprefix("stackbone/") for name in names if name.startswith("stackbone/")} == rooms_files()
    assert {"cache/FORMAT.md", "cache/hdf5/chunks.py", "commands/shared/console.py"} <= rooms_files()


def test_the_installed_package_imports_and_reads_its_data_files(site: Path, elsewhere: Path) -> None:
    data = sorted(name for name in rooms_files() if not name.endswith(".py"))
    assert {Path(name).name for name in data} >= {"FORMAT.md", "page.html", "page.css", "start.js", "sheet.css"}
    code = (
        "import stackbone as sb, sys; from importlib.resources import files\n"
        "assert not {'numpy', 'torch'} & set(sys.modules)\n"
        "print(sb.__file__, sb.FeatureStore.__module__, sb.extract.__name__, callable(sb.extract))\n"
        f"for name in {data}: print(len(files('stackbone').joinpath(name).read_bytes()))\n"
    )
    first, *sizes = run(site, elsewhere, sys.executable, "-c", code).splitlines()
    assert first == f"{site / 'stackbone' / '__init__.py'} stackbone.cache.store stackbone.extract True"
    assert [int(size) for size in sizes] == [(ROOT / name).stat().st_size for name in data]


@pytest.mark.parametrize("command", [["-m", "stackbone"], ["bin/stackbone"]])
def test_the_installed_command_works_among_files_named_like_our_rooms(
    site: Path, elsewhere: Path, command: list[str]
) -> None:
    words = [sys.executable, *(str(site / word) if "/" in word else word for word in command)]
    assert "\n  extract  " in run(site, elsewhere, *words, "--help")
    assert "--images" in run(site, elsewhere, *words, "demo", "--help")
    assert "group published:" in run(site, elsewhere, *words, "backbones")


def test_the_command_in_a_checkout_takes_the_rooms_beside_it(site: Path, elsewhere: Path) -> None:
    code = "import runpy, sys; sys.argv[0] = sys.argv.pop(1)\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "except SystemExit: print(sys.modules['stackbone'].__file__)\n"
    shown = run(site, elsewhere, sys.executable, "-c", code, str(ROOT / "cli.py"), "--version")
    assert shown.splitlines()[-1] == str(ROOT / "__init__.py")
