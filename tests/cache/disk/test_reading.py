"""What an index or an option names is read as it was meant, or not at all, and nothing is waited for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache import CacheError, CorruptFileError, ImageError, sha256_file
from stackbone.cache.disk.reading import ListedFile, NotRegularError, open_regular, read_regular
from stackbone.cache.hdf5.opening import read_sha256
from stackbone.cache.records.division import parse_division
from stackbone.extract.containers.reading import read_listed_image


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_the_bytes_that_were_listed_are_read_below_the_root_by_a_link_and_by_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    for path in ("a.jpg", "link.jpg", str(tmp_path / "a.jpg")):
        assert read_listed_image(ListedFile(str(tmp_path), path, digest(b"picture"))) == b"picture"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("changed.jpg", "changed since"),
        ("gone.jpg", "No such file"),
        ("pipe.jpg", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (".", "not a regular file"),
        ("../private.jpg", "leads out"),
        ("sub/../../private.jpg", "leads out"),
        ("huge.jpg", "over the limit"),
    ],
)
def test_what_is_not_what_was_listed_is_refused(tmp_path: Path, path: str, words: str) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (tmp_path / "private.jpg").write_bytes(b"picture")
    (root / "changed.jpg").write_bytes(b"another")
    os.mkfifo(root / "pipe.jpg")
    with (root / "huge.jpg").open("wb") as file:
        file.truncate(1 << 42)  # sparse
    with pytest.raises(ImageError, match=words):
        read_listed_image(ListedFile(str(root), path, digest(b"picture")))


def test_an_image_that_was_never_read_is_not_read_now(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="when it was listed"):
        read_listed_image(ListedFile(str(tmp_path), "a.jpg", bytes(32)))


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
