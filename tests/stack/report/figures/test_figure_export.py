"""Figures as files: real ones, drawn by a real browser, and errors that say what to install."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from made_report import made_report
from stackbone.cache import CacheError, StackboneError, StackError, UsageError
from stackbone.stack.report.figures.export import export_figures
from stackbone.stack.report.figures.style import Figure

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def few_figures() -> dict[str, Figure]:
    """Return figures of models, confusions and classes."""
    figures = made_report(names=["<b>x</b>", "y", "z"]).figures()
    return {name: figures[name] for name in ("scores", "confusion", "per_class")}


@pytest.mark.slow
def test_each_figure_becomes_a_vector_and_a_pixel_file(tmp_path: Path) -> None:
    pytest.importorskip("kaleido", reason="no kaleido: run `pip install kaleido`")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium or Chrome: install one (Debian and Ubuntu: `apt install chromium`)")
    folder = tmp_path / "made" / "figures"
    files = export_figures(few_figures(), folder)
    names = [f"{name}.{kind}" for name in ("scores", "confusion", "per_class") for kind in ("svg", "png")]
    assert files == [folder / name for name in names]
    root = ElementTree.parse(folder / "confusion.svg").getroot()
    assert root.get("width") == "960"
    assert "<b>x</b>" in "".join(root.itertext())
    width, height = struct.unpack(">II", (folder / "scores.png").read_bytes()[16:24])
    assert (width, height) == (1800, 2 * (96 + 6 * 34))


def _drawn(job: dict[str, Any]) -> None:
    Path(job["path"]).write_bytes(f"a drawing of {Path(job['path']).name}".encode() * 100)


def _draw_all(jobs: list[dict[str, Any]], **_: object) -> None:
    for job in jobs:
        _drawn(job)


def _draw_and_be_interrupted(jobs: list[dict[str, Any]], **_: object) -> None:
    _drawn(jobs[0])
    Path(jobs[1]["path"]).touch()
    raise KeyboardInterrupt


def _draw_on_a_full_disk(jobs: list[dict[str, Any]], **_: object) -> None:
    Path(jobs[0]["path"]).touch()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _draw_one_empty(jobs: list[dict[str, Any]], **_: object) -> None:
    _draw_all(jobs)
    Path(jobs[-1]["path"]).write_bytes(b"")


@pytest.mark.parametrize("browser", [_draw_and_be_interrupted, _draw_on_a_full_disk, _draw_one_empty])
@pytest.mark.parametrize("there", [True, False])
def test_a_browser_that_ends_halfway_leaves_no_figure_and_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: object, *, there: bool
) -> None:
    kaleido = pytest.importorskip("kaleido", reason="no kaleido: run `pip install kaleido`")
    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", browser)
    if there:
        (tmp_path / "scores.svg").write_bytes(b"of before")
    with pytest.raises((KeyboardInterrupt, StackboneError)):
        export_figures(few_figures(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        {"scores.svg": b"of before"} if there else {}
    )


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write", "fsync"])
@pytest.mark.parametrize("at", [0, 3])
def test_a_disk_that_is_full_or_an_interrupt_halfway_leaves_whole_figures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, step: str, at: int
) -> None:
    kaleido = pytest.importorskip("kaleido", reason="no kaleido: run `pip install kaleido`")
    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", _draw_all)
    folder, done = tmp_path / "figures", []
    folder.mkdir()
    real = getattr(os, step)

    def ends(descriptor: int, *rest: object) -> object:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            done.append(descriptor)
            if len(done) > at:
                raise failure
        return real(descriptor, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(f"stackbone.cache.disk.files.os.{step}", ends)
        with pytest.raises((KeyboardInterrupt, CacheError)):
            export_figures(few_figures(), folder)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(written) == at
    assert all(content == f"a drawing of {name}".encode() * 100 for name, content in written.items())


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose from svg, png"):
        export_figures(few_figures(), tmp_path, formats=("gif",))


def test_without_kaleido_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(UsageError, match=r"pip install 'stackbone\[figures\]'"):
        export_figures(few_figures(), tmp_path)


def test_without_a_browser_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaleido = pytest.importorskip("kaleido", reason="no kaleido: run `pip install kaleido`")
    from kaleido.errors import ChromeNotFoundError

    def no_browser(*_: object, **__: object) -> None:
        raise ChromeNotFoundError

    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", no_browser)
    with pytest.raises(UsageError, match="apt install chromium"):
        export_figures(few_figures(), tmp_path)


def test_a_browser_that_fails_is_told_from_one_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaleido = pytest.importorskip("kaleido", reason="no kaleido: run `pip install kaleido`")

    def crash(*_: object, **__: object) -> None:
        message = "it crashed"
        raise RuntimeError(message)

    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", crash)
    with pytest.raises(StackError, match=r"could not draw .*it crashed"):
        export_figures(few_figures(), tmp_path)
