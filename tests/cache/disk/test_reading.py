"""What an index or an option names is read as it was meant, or not at all, and nothing is waited for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache import CacheError, CorruptFileError, sha256_file
from stackbone.cache.disk.reading import NotRegularError, open_regular, read_regular
from stackbone.cache.hdf5.opening import read_sha256
from stackbone.cache.records.division import parse_division


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@pytest.mark.parametrize("read", [open_regular, read_regular, sha256_file, read_sha256])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pipe", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("to-device", "is not a regular file"),
        ("to-nowhere", "is a link to a file that does not exist"),
        ("ring", "is a link that leads back to itself"),
    ],
)
def test_what_is_no_regular_file_is_neither_opened_nor_waited_for(
    tmp_path: Path, read: Callable[[Path], object], name: str, words: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-device").symlink_to("/dev/zero")
    (tmp_path / "to-nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    expected = CorruptFileError if read is read_sha256 else NotRegularError
    with pytest.raises(expected, match=words):
        read(tmp_path / name)


def test_a_file_that_is_gone_is_told_from_one_that_is_none(tmp_path: Path) -> None:
    for read in (open_regular, read_regular, sha256_file, read_sha256):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "gone")


@pytest.mark.parametrize(
    "division",
    [
        {"split": "a test; of $(quotes)"},
        {"cv": 3, "seed": 0, "fold": 1},
        {"cv": 3, "seed": 0, "fold": 3, "group_by": "auto", "rare": "keep", "task": "classification"},
        {"cv": 3, "seed": 0, "fold": 1, "inner": 5, "inner_splits": 5},
        {"split": "test", "inner": 1, "inner_splits": 2},
    ],
)
def test_a_division_as_it_is_written_is_taken(division: dict[str, object]) -> None:
    assert parse_division(division) == division


@pytest.mark.parametrize(
    "division",
    [
        {"cv": "2 ; curl evil", "seed": 0, "fold": 1},
        {"cv": 3, "seed": 0, "fold": 4},
        {"cv": 3, "seed": 0.5, "fold": 1},
        {"cv": True, "seed": 0, "fold": 1},
        {"cv": 10**30, "seed": 0, "fold": 1},
        {"cv": 3, "seed": 0, "fold": 1, "unknown": 1},
        {"cv": 3, "seed": 0, "fold": 1, "group_by": "auto; rm"},
        {"cv": 3, "seed": 0, "fold": 1, "inner": 6, "inner_splits": 5},
        {"cv": 3, "seed": 0, "fold": 1, "inner": 1},
        {"cv": 3, "seed": 0, "fold": 1, "inner": "1; rm", "inner_splits": 5},
        {"inner": 1, "inner_splits": 5},
        {"split": 3},
        {"split": "a", "cv": 3},
        [],
        "text",
    ],
)
def test_a_division_of_another_form_is_refused(division: object) -> None:
    with pytest.raises(CacheError, match="division"):
        parse_division(division)
