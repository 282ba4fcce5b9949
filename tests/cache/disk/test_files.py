"""A file appears whole or not at all, and only what dead writers left is cleaned away."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stackbone.cache import CacheError
from stackbone.cache.disk import files as files_module
from stackbone.cache.disk.files import (
    fsync_folder,
    lock_folder,
    make_folder,
    mark_folder,
    remove_abandoned,
    write_atomically,
)
from tests.made.checkout import ROOT

pytestmark = pytest.mark.usefixtures("waiting_for_the_disk")


def test_content_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    for content in (b"", b"one", memoryview(b"two and more"), os.urandom(3_000_000)):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


def test_file_gets_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file.h5", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file.h5").stat().st_mode) == 0o640


def test_reader_sees_the_old_or_the_new_content(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    contents = [bytes([i]) * 300_000 for i in range(2)]
    write_atomically(path, contents[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        write_atomically(path, contents[i % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)


def test_bytes_are_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        events.append("fsync folder" if is_folder else f"fsync {os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        events.append(f"rename to {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_atomically(tmp_path / "file.h5", b"12345")
    assert events == ["fsync 5 bytes", "rename to file.h5", "fsync folder"]


def test_new_folders_are_synced_into_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files_module, "fsync_folder", synced.append)
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3


def test_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CacheError, match=rf"{tmp_path}/file: .*Name another"):
            make_folder(path)


def test_writing_into_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="No such file"):
        write_atomically(tmp_path / "absent" / "file.h5", b"x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_failing_system_call_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")

    def fail(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(CacheError, match=rf"{path}: {os.strerror(number)}.*Free space"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.h5"]


def test_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file.h5", b"new")
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:7]))
    write_atomically(tmp_path / "file.h5", b"0123456789" * 10)
    assert (tmp_path / "file.h5").read_bytes() == b"0123456789" * 10


def test_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some network file systems answer EINVAL; a real failure (EIO) must still be heard.
    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    number = errno.EINVAL
    fsync_folder(tmp_path)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        fsync_folder(tmp_path)


_FULL = """
import os, resource, sys
from pathlib import Path
from stackbone.cache import CacheError
from stackbone.cache.disk.files import write_atomically

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_atomically(Path(sys.argv[1], "small.h5"), bytes(100_000))
try:
    write_atomically(Path(sys.argv[1], "large.h5"), bytes(100_001))
except CacheError as exc:
    print(exc)
print(sorted(os.listdir(sys.argv[1])))
"""


def test_real_file_size_limit_is_an_error_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    message, listing = run.stdout.splitlines()
    assert "large.h5: File too large" in message
    assert listing == "['small.h5']"


_STUCK_WRITER = """
import os, sys, time
from pathlib import Path
from stackbone.cache.disk.files import write_atomically

write = os.write

def write_half(descriptor, content):
    if len(content) < 1000:
        return write(descriptor, content)
    write(descriptor, content[: len(content) // 2])
    print("half", flush=True)
    time.sleep(60)

os.write = write_half
write_atomically(Path(sys.argv[1], "part-x.h5"), bytes(10_000))
"""


@contextmanager
def stuck_writer(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that has written half a file and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", _STUCK_WRITER, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"half\n"
        yield writer
        writer.kill()


def test_killed_writer_leaves_a_temporary_file_only_and_that_is_cleaned(tmp_path: Path) -> None:
    with stuck_writer(tmp_path) as writer:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".writing-")
    assert left.stat().st_size == 5000
    assert remove_abandoned(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("age_s", [0, 7 * 24 * 3600])
def test_temporary_file_of_a_living_writer_is_left_alone(tmp_path: Path, age_s: int) -> None:
    with stuck_writer(tmp_path):
        (left,) = tmp_path.iterdir()
        os.utime(left, (time.time() - age_s,) * 2)
        assert remove_abandoned(tmp_path) == 0
        assert list(tmp_path.iterdir()) == [left]


def test_a_mark_stays_as_long_as_it_is_held_and_goes_with_its_process(tmp_path: Path) -> None:
    with mark_folder(tmp_path) as mark:
        assert mark.is_file()
        assert remove_abandoned(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    script = "import os, sys; from pathlib import Path; from stackbone.cache.disk.files import mark_folder\n"
    script += "with mark_folder(Path(sys.argv[1])): os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT)
    assert len(list(tmp_path.iterdir())) == 1
    assert remove_abandoned(tmp_path) == 1


def test_a_folder_that_cannot_be_marked_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(CacheError, match=r"could not write to .*absent: No such file"), mark_folder(absent):
        pass


def test_other_files_are_never_cleaned(tmp_path: Path) -> None:
    for name in ("part-x.h5", "writing-x", ".hidden", "x.writing-"):
        (tmp_path / name).touch()
    (tmp_path / ".writing-folder").mkdir()
    (tmp_path / ".writing-link").symlink_to("part-x.h5")
    assert remove_abandoned(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 6
    assert remove_abandoned(tmp_path / "absent") == 0
    assert remove_abandoned(tmp_path / "part-x.h5") == 0


@pytest.mark.parametrize(("age_s", "removed"), [(3600, 0), (25 * 3600, 1)])
def test_age_decides_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: int, removed: int
) -> None:
    def no_locks(*_args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / ".writing-x"
    path.touch()
    os.utime(path, (time.time() - age_s,) * 2)
    assert remove_abandoned(tmp_path) == removed
    write_atomically(tmp_path / "file.h5", b"x")
    assert (tmp_path / "file.h5").read_bytes() == b"x"


def test_writer_whose_file_was_cleaned_away_writes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On another machine, or between creating and locking, the file looks like a dead writer's.
    fsync = os.fsync
    cleaned: list[Path] = []

    def clean_then_fsync(descriptor: int) -> None:
        for path in tmp_path.glob(".writing-*"):
            if len(cleaned) < 2:
                path.unlink()
                cleaned.append(path)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", clean_then_fsync)
    write_atomically(tmp_path / "file.h5", b"content")
    assert len(set(cleaned)) == 2
    assert (tmp_path / "file.h5").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["file.h5"]


def test_writer_whose_file_is_always_cleaned_away_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(_descriptor: int) -> None:
        for path in tmp_path.glob(".writing-*"):
            path.unlink()

    monkeypatch.setattr(os, "fsync", clean)
    with pytest.raises(CacheError, match="No such file"):
        write_atomically(tmp_path / "file.h5", b"content")


def test_cleaning_beside_writers_costs_them_nothing(tmp_path: Path) -> None:
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            remove_abandoned(tmp_path)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for i in range(300):
            write_atomically(tmp_path / f"{i}.h5", b"content")
    finally:
        done.set()
        cleaner.join()
    assert len(os.listdir(tmp_path)) == 300


_LOCKER = """
import sys, time
from pathlib import Path
from stackbone.cache.disk.files import lock_folder

with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_folder_lock_is_freed_by_the_death_of_its_holder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _LOCKER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        threading.Timer(0.2, holder.kill).start()
        with lock_folder(tmp_path):
            assert holder.wait() == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


def test_fsync_is_the_systems_here() -> None:
    assert os.fsync.__module__ == os.replace.__module__  # not a stand-in's
