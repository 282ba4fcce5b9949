"""A path finds its file in whichever Unicode form either is written."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from stackbone.extract.datasets.folders.anchor import DiskNames
from tests.extract.datasets.folders.conftest import Photos

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "été/ü.jpg") for form in ("NFC", "NFD"))
MIXED = f"{COMPOSED.split('/')[0]}/{DECOMPOSED.split('/')[1]}"


@pytest.mark.parametrize("on_disk", [COMPOSED, DECOMPOSED, MIXED])
@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED, MIXED])
def test_either_form_finds_the_file(photos: Photos, on_disk: str, written: str) -> None:
    folder = photos(on_disk)
    names = DiskNames(folder)
    assert names.find(written) == on_disk
    assert names.find(str(folder / written)) == str(folder / on_disk)


@pytest.mark.parametrize("absent", ["b.jpg", "é.jpg", "été/b.jpg", "ö/ü.jpg"])
def test_what_is_not_there_stays_as_it_is_written(photos: Photos, absent: str) -> None:
    assert DiskNames(photos(COMPOSED)).find(absent) == absent


def test_the_form_that_is_written_wins_where_both_are_there(photos: Photos) -> None:
    folder = photos(COMPOSED, DECOMPOSED)
    assert [DiskNames(folder).find(name) for name in (COMPOSED, DECOMPOSED)] == [COMPOSED, DECOMPOSED]


def test_plain_names_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = DiskNames(tmp_path)
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("a folder was listed"))
    monkeypatch.setattr(os.path, "lexists", lambda *_: pytest.fail("a file was looked for"))
    assert names.find("a/b.jpg") == "a/b.jpg"
