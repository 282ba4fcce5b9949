"""A digest is the file's, now; an unchanged file is not read, a changed one always is."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import Digests, FileDigests, FileStamps, list_digests, sha256_file
from stackbone.cache.disk import digest as digest_module
from tests.made.checkout import ROOT

OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files written just now count as old: a test cannot set a change time, nor wait for it to age."""
    monkeypatch.setattr(digest_module, "_RACY_NS", -3_600_000_000_000)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path whose content is read."""
    paths: list[str] = []

    def sha256(path: str) -> bytes:
        paths.append(path)
        return sha256_file(path)

    monkeypatch.setattr(digest_module, "sha256_file", sha256)
    return paths


def first_listing(paths: list[str]) -> FileDigests:
    return list_digests(paths, {}, np.zeros((0, 32), np.uint8), FileStamps(np.zeros((0, 4), np.int64)))


def next_listing(paths: list[str], old_paths: list[str], old: FileDigests) -> FileDigests:
    return list_digests(paths, {path: i for i, path in enumerate(old_paths)}, old.digests, old.stamps)


def plain(paths: list[str]) -> Digests:
    digests = [hashlib.sha256(Path(path).read_bytes()).digest() for path in paths]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000]):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(rng.bytes(size))
        paths.append(str(path))
    return paths


def test_digests_are_those_of_hashlib(files: list[str]) -> None:
    listing = first_listing(files)
    np.testing.assert_array_equal(listing.digests, plain(files))
    assert listing.n_hashed == len(files)
    assert listing.reasons == [""] * len(files)
    assert sha256_file(files[-1]) == plain(files)[-1].tobytes()


def test_unchanged_files_are_not_read_again(files: list[str], reads: list[str]) -> None:
    old = first_listing(files)
    assert sorted(reads) == sorted(files)
    reads.clear()
    again = next_listing(files[::-1], files, old)
    assert (reads, again.n_hashed) == ([], 0)
    np.testing.assert_array_equal(again.digests, old.digests[::-1])
    np.testing.assert_array_equal(again.stamps.values, old.stamps.values[::-1])


def test_paths_may_be_relative_to_a_folder(files: list[str], reads: list[str]) -> None:
    names, root = [Path(path).name for path in files], str(Path(files[0]).parent)
    old = list_digests(names, {}, np.zeros((0, 32), np.uint8), FileStamps(np.zeros((0, 4), np.int64)), root=root)
    np.testing.assert_array_equal(old.digests, plain(files))
    reads.clear()
    again = list_digests(names, {name: i for i, name in enumerate(names)}, old.digests, old.stamps, root=root)
    assert reads == []
    np.testing.assert_array_equal(again.digests, old.digests)


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def _touch(path: Path) -> None:
    os.utime(path, ns=(OLD_NS, OLD_NS))


def _rewrite_with_the_old_mtime(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def _replace_by_another_file(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(bytes(path.stat().st_size))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [_grow, _touch, _rewrite_with_the_old_mtime, _replace_by_another_file])
def test_only_the_changed_file_is_read_again(
    files: list[str], reads: list[str], change: Callable[[Path], None]
) -> None:
    old = first_listing(files)
    reads.clear()
    time.sleep(0.02)  # beyond the tick of the kernel's clock: within it, see the racy tests
    change(Path(files[3]))
    again = next_listing(files, files, old)
    assert reads == [files[3]]
    np.testing.assert_array_equal(again.digests, plain(files))


def test_other_inode_with_the_same_times_is_read_again(files: list[str], reads: list[str]) -> None:
    old = first_listing(files)
    reads.clear()
    old.stamps.values[2, 3] += 1
    next_listing(files, files, old)
    assert reads == [files[2]]


def test_file_changed_within_the_clocks_tick_of_hashing_is_read_again(
    files: list[str], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_module, "_RACY_NS", 3_000_000_000)
    old = first_listing(files)  # written less than 3 s ago
    assert (old.stamps.values[:, 0] == -1).all()
    reads.clear()
    content = bytearray(Path(files[2]).read_bytes())
    content[0] ^= 1
    Path(files[2]).write_bytes(content)
    now = digest_module.read_stamps(files)[0].values
    old.stamps.values[:, 1:] = now[:, 1:]  # as if the clock had not ticked in between
    again = next_listing(files, files, old)
    assert sorted(reads) == sorted(files)
    np.testing.assert_array_equal(again.digests, plain(files))


@pytest.mark.parametrize(("age_s", "racy"), [(-5.0, True), (0.0, True), (2.9, True), (3.1, False), (60.0, False)])
def test_stamps_count_as_racy_while_younger_than_three_seconds(
    files: list[str], monkeypatch: pytest.MonkeyPatch, *, age_s: float, racy: bool
) -> None:
    monkeypatch.setattr(digest_module, "_RACY_NS", 3_000_000_000)
    youngest = max(max(os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns) for path in files[:1])
    monkeypatch.setattr(time, "time_ns", lambda: youngest + int(age_s * 1e9))
    assert (first_listing(files[:1]).stamps.values[0, 0] == -1) == racy


def test_file_that_changes_while_the_others_are_hashed_is_read_again(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_then_read(path: str) -> bytes:
        if path == files[1]:
            time.sleep(0.02)
            Path(path).write_bytes(b"y")
        return sha256_file(path)

    monkeypatch.setattr(digest_module, "sha256_file", change_then_read)
    old = first_listing(files)
    monkeypatch.setattr(digest_module, "sha256_file", sha256_file)
    again = next_listing(files, files, old)
    assert again.n_hashed == 1
    np.testing.assert_array_equal(again.digests, plain(files))


def _absent(_path: Path) -> None:
    pass


def _broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path.relative_to(Path.cwd())))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_absent, "No such file"),
        (_broken_link, "No such file"),
        (_link_loop, "symbolic links"),
        (_fifo, "is not a regular file"),
        (_device, "is not a regular file"),
        (_folder, "is not a regular file"),
        (_socket, "is not a regular file"),
    ],
)
def test_what_cannot_be_read_has_a_reason_and_does_not_hang(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "odd")
    listing = first_listing([files[0], str(tmp_path / "odd"), files[1]])
    assert reason in listing.reasons[1]
    assert not listing.digests[1].any()
    assert listing.stamps.values[1, 0] == -1
    np.testing.assert_array_equal(listing.digests[[0, 2]], plain(files[:2]))


@pytest.mark.parametrize("name", ["nul\0.jpg", "\ud800.jpg", "x" * 5000])
def test_name_that_no_file_can_have_has_a_reason(files: list[str], name: str) -> None:
    listing = first_listing([files[0], name])
    assert listing.reasons[0] == ""
    assert listing.reasons[1]


def test_file_that_could_not_be_read_is_tried_again(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Its stamps are unchanged on the next run, by another user or over a network that is back.
    def fail(path: str) -> bytes:
        if path == files[2]:
            raise PermissionError(13, "Permission denied", path)
        return sha256_file(path)

    monkeypatch.setattr(digest_module, "sha256_file", fail)
    old = first_listing(files)
    assert old.reasons == ["", "", "Permission denied", "", "", "", ""]
    monkeypatch.setattr(digest_module, "sha256_file", sha256_file)
    again = next_listing(files, files, old)
    assert (again.n_hashed, again.reasons) == (1, [""] * len(files))
    np.testing.assert_array_equal(again.digests, plain(files))


_AS_NOBODY = """
import os, sys
import numpy as np
from stackbone.cache import FileStamps, list_digests

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print(list_digests(sys.argv[1:], {}, np.zeros((0, 32), np.uint8), FileStamps(np.zeros((0, 4), np.int64))).reasons)
"""


def test_unreadable_file_has_a_reason() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders let nobody else in
        path = Path(folder, "secret.jpg")
        path.write_bytes(b"x")
        path.chmod(0)
        path.parent.chmod(0o755)
        run = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=True,
        )
    assert run.stdout.strip() == "['Permission denied']"


def test_name_that_is_not_utf8_is_read_and_remembered(tmp_path: Path, reads: list[str]) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\n.jpg")
    Path(path).write_bytes(b"image")
    old = first_listing([path])
    assert old.digests[0].tobytes() == hashlib.sha256(b"image").digest()
    reads.clear()
    assert next_listing([path], [path], old).n_hashed == len(reads) == 0


def test_times_beyond_64_bits_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]) -> None:
    path = str(tmp_path / "future.jpg")
    Path(path).write_bytes(b"image")
    real = os.stat

    class Stat:
        st_mode, st_size, st_ctime_ns = 0o100644, 5, OLD_NS
        st_mtime_ns = 11_000_000_000 * 10**9  # the year 2318, which some file systems can hold
        st_ino = (1 << 64) - 1

    monkeypatch.setattr(os, "stat", lambda each, **kw: Stat() if each == path else real(each, **kw))
    old = first_listing([path])
    assert old.reasons == [""]
    assert old.stamps.values[0, 3] == -1
    reads.clear()
    assert next_listing([path], [path], old).n_hashed == len(reads) == 0


def test_progress_counts_the_files_to_hash(files: list[str]) -> None:
    old = first_listing(files[:4])
    calls: list[tuple[int, int]] = []
    list_digests(
        files,
        {path: i for i, path in enumerate(files[:4])},
        old.digests,
        old.stamps,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_list_is_nothing() -> None:
    listing = first_listing([])
    assert listing.digests.shape == (0, 32)
    assert listing.stamps.values.shape == (0, 4)


def test_stamps_are_alike_where_nothing_tells_that_a_file_changed() -> None:
    """A size of -1 proves nothing: of a file that had changed just before it was hashed, the rest decides."""
    old = FileStamps(np.array([[9, 1, 2, 3], [9, 1, 2, 3], [-1, 1, 2, 3], [-1, 1, 2, 3], [-1, -1, -1, -1]]))
    now = FileStamps(np.array([[9, 1, 2, 3], [8, 1, 2, 3], [8, 1, 2, 3], [8, 1, 5, 3], [-1, -1, -1, -1]]))
    assert old.alike(now).tolist() == [True, False, True, False, False]
    assert old.unchanged(now).tolist() == [True, False, False, False, False]
