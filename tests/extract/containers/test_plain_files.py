"""An image that an index names is read as it was meant, or not at all, and nothing is waited for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from stackbone.cache import ImageError
from stackbone.cache.disk.reading import ListedFile
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
