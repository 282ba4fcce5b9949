"""What the documents name is there: files, modules and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.made.checkout import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "cache" / "FORMAT.md", *sorted((ROOT / "docs").glob("*.md"))]
_PLACE = re.compile(r"`((?:bench|cache|commands|docs|extract|stack|tests)/[A-Za-z0-9_./-]*)`")
_MADE_UP = re.compile(r"[A-Z]{3,}")  # NAME and the like stand for what a reader writes


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = set(_PLACE.findall(document.read_text(encoding="utf-8")))
    places = [place for place in named if not _MADE_UP.search(place.replace("FORMAT.md", ""))]
    assert [place for place in places if not (ROOT / place).exists() and not (ROOT / f"{place}.py").exists()] == []
