"""Pages that commands write beside what they print: an audit's, several results', and their opening."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from tests.conftest import InProcess, MakeCache

LABELS = ["cat", "dog", "emu"] * 12


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache beside which commands run; its last image is a copy of its first."""
    return make_cache(tmp_path / "features", [*LABELS, "cat"], content=[*range(36), 0], noise=0.5)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses that the browser is told to open."""
    found: list[str] = []

    def open_in_browser(url: str) -> bool:
        found.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_in_browser)
    return found


def result(folder: Path, name: str, about: str, metric: str = "accuracy") -> Path:
    scores = [
        {"model": model, metric: {"mean": 0.8, "std": 0.01, "folds": [0.8, 0.79, 0.81 + 0.01 * place]}}
        for place, model in enumerate(("stack:oof", "concat"))
    ]
    content = {"format": "stackbone-result", "format_version": 1, "dataset": "photos", "n_images": 90, "cv": 3}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**content, "findings": {"stack": about}, "results": scores}))
    return file


def test_an_audit_is_written_as_a_page(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("audit", "--kinds", "copy", "--without-files", "--report", "audit.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the report is in audit.html" in done.stderr
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "1 finding in 36 images" in page
    assert "cat/36.jpg" in page


@pytest.mark.usefixtures("store")
def test_the_page_of_an_audit_is_opened_where_that_is_asked_for(
    tmp_path: Path, in_process: InProcess, opened: list[str]
) -> None:
    words = ("audit", "--kinds", "copy", "--report", "a b.html")
    assert in_process(*words, cwd=tmp_path).returncode == 0
    assert opened == []
    assert in_process(*words, "--open", cwd=tmp_path).returncode == 0
    assert opened == [(tmp_path / "a b.html").as_uri()]


@pytest.mark.usefixtures("store")
def test_without_a_browser_the_page_is_written_and_that_is_said(
    tmp_path: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    done = in_process("audit", "--kinds", "copy", "--report", "audit.html", "--open", cwd=tmp_path)
    assert done.returncode == 0
    assert "no browser could be opened; open audit.html by hand" in done.stderr
    assert (tmp_path / "audit.html").is_file()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "words", [("audit", "--kinds", "copy"), ("stack", "--cv", "3"), ("transfer", "--target", "photos")]
)
def test_opening_no_report_is_refused_before_the_work(
    tmp_path: Path, in_process: InProcess, opened: list[str], words: tuple[str, ...]
) -> None:
    done = in_process(*words, "--open", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "--open is for the report: add --report FILE" in done.stderr
    assert opened == []


def test_several_results_are_compared(tmp_path: Path, in_process: InProcess, opened: list[str]) -> None:
    files = [result(tmp_path, "first", "stack:oof"), result(tmp_path, "second", "concat")]
    done = in_process("report", *files, "--open", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "comparison.html"
    assert json.loads(done.stdout)["report"] == str(page)
    assert "second against first" in page.read_text(encoding="utf-8")
    assert opened == [page.as_uri()]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("first.json", "first.json"), 2, "name the same file"),
        (("first.json", "other.json"), 1, "different metrics"),
        (("first.json", "second.json", "--learning-curve"), 2, "has no use for --learning-curve"),
        (("first.json", "second.json", "--out", "first.json"), 2, "name the same file"),
        (("first.json", "none.json"), 1, "does not exist"),
    ],
)
def test_results_that_cannot_be_compared_are_refused(
    tmp_path: Path, in_process: InProcess, words: tuple[str, ...], code: int, said: str
) -> None:
    for name, metric in (("first", "accuracy"), ("second", "accuracy"), ("other", "macro_f1")):
        result(tmp_path, name, "stack:oof", metric)
    done = in_process("report", *words, cwd=tmp_path)
    assert done.returncode == code, done.stdout
    assert said in done.stderr
    assert (tmp_path / "first.json").read_text().startswith("{")
