"""Tar and zip archives are read as they are stored, whole or up to where they are damaged."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import ImageError
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.errors import Malformed
from stackbone.extract.containers.container import Member
from stackbone.extract.containers.hashing import InsideContainers
from stackbone.extract.containers.kinds import tar as tar_module
from stackbone.extract.containers.opening import open_container
from stackbone.extract.containers.order import by_container, in_stored_order
from stackbone.extract.containers.place import split_place
from stackbone.extract.containers.reading import read_image, read_listed_image
from stackbone.extract.containers.tars import window
from tests.made.archives import KINDS, add, write_archive

every_kind = pytest.mark.parametrize("extension", KINDS)


def contents(n: int = 12) -> dict[str, bytes]:
    """Return members out of the order of their names, some of long names and in other scripts."""
    rng = np.random.default_rng(0)
    names = [f"{'猫' if i % 3 else 'cat'}/{'long' * 40 if i % 5 == 0 else ''}{(i * 7) % n:04d}.jpg" for i in range(n)]
    return {name: rng.bytes(int(rng.integers(1, 30_000))) for name in names}


def members(place: Path) -> tuple[list[Member], str]:
    """Return what an archive lists, and what is wrong with it."""
    found: list[Member] = []
    try:
        with closing(open_container(str(place))) as container:
            for member in container.members():
                found.append(member)
    except Malformed as exc:
        return found, str(exc)
    return found, ""


def read_into(read: dict[str, bytes], place: Path) -> None:
    with closing(open_container(str(place))) as container:
        for name, content in container.stream(None):
            read[name] = content


@every_kind
def test_members_come_in_their_order_with_their_sizes_and_bytes(tmp_path: Path, extension: str) -> None:
    made = contents()
    file = write_archive(tmp_path / f"photos{extension}", made)
    with closing(open_container(str(file))) as container:
        assert [(each.name, each.size, each.problem) for each in container.members()] == [
            (name, len(content), "") for name, content in made.items()
        ]
        assert list(container.stream(None)) == list(made.items())
        wanted = set(list(made)[3::4])
        assert list(container.stream(wanted)) == [(name, made[name]) for name in made if name in wanted]
        for name in sorted(made, reverse=True):
            assert container.read(name) == made[name]
        with pytest.raises(ImageError, match="no such member"):
            container.read("dog.jpg")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read_as_pythons_own_library_reads_it(tmp_path: Path, form: int) -> None:
    made = {
        "a.jpg": b"",
        "b" * 96 + ".jpg": b"1" * 511,
        "d" * 90 + "/" + "e" * 90 + ".jpg": b"2" * 512,
        "c.jpg": b"3" * 513,
    }
    made |= {} if form == tarfile.USTAR_FORMAT else {"f" * 300 + ".jpg": b"4", "ä/猫.jpg": b"5"}
    file = tmp_path / "photos.tar"
    common = {"comment": "of all"} if form == tarfile.PAX_FORMAT else {}
    with tarfile.open(file, "w", format=form, pax_headers=common) as tar:
        for name, content in made.items():
            add(tar, name, content, mode=0o600, mtime=1_700_000_000, uname="somebody")
            add(tar, f"{name}.d", type=tarfile.DIRTYPE)
    with tarfile.open(file) as tar, closing(open_container(str(file))) as container:
        expected = [(each.name, each.size) for each in tar if each.isreg()]
        assert [(each.name, each.size) for each in container.members()] == expected
        assert dict(container.stream(None)) == made


@every_kind
def test_members_can_be_read_while_they_are_listed(tmp_path: Path, extension: str) -> None:
    made = contents()
    file = write_archive(tmp_path / f"photos{extension}", made)
    first = next(iter(made))
    with closing(open_container(str(file))) as container:
        for member, name in zip(container.members(), made, strict=True):
            assert member.name == name
            assert container.read(first) == made[first]


@every_kind
def test_names_are_made_plain_and_those_that_lead_out_are_not_taken(tmp_path: Path, extension: str) -> None:
    rows = [("./a//b/./1.jpg", b"1"), ("/etc/2.jpg", b"2"), ("../3.jpg", b"3"), ("a/../../4.jpg", b"4")]
    found, fault = members(write_archive(tmp_path / f"photos{extension}", rows))
    assert [(each.name, each.problem) for each in found[:2]] == [("a/b/1.jpg", ""), ("etc/2.jpg", "")]
    assert [each.problem for each in found[2:]] == ["a name that leads out of the archive"] * 2
    assert fault == ""


@pytest.mark.filterwarnings("ignore:Duplicate name")
@every_kind
def test_the_first_of_two_members_of_one_name_is_taken(tmp_path: Path, extension: str) -> None:
    rows = [("1.jpg", b"first"), ("2.jpg", b"other"), ("./1.jpg", b"second")]
    file = write_archive(tmp_path / f"photos{extension}", rows)
    found, _ = members(file)
    assert [each.problem for each in found] == ["", "", "the name of a member before it"]
    with closing(open_container(str(file))) as container:
        assert container.read("1.jpg") == b"first"
        assert list(container.stream(None)) == rows[:2]


def test_links_devices_and_sparse_files_in_a_tar_are_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "photos.tar"
    with tarfile.open(file, "w") as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        add(tar, "1.jpg", b"image")
        add(tar, "2.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "3.jpg", type=tarfile.LNKTYPE, linkname="1.jpg")
        add(tar, "4.jpg", type=tarfile.FIFOTYPE)
        add(tar, "5.jpg", b"last")
    found, fault = members(file)
    assert [(each.name, each.problem) for each in found] == [
        ("1.jpg", ""),
        ("2.jpg", "a link inside the archive"),
        ("3.jpg", "a link inside the archive"),
        ("4.jpg", "not a file: a pipe or a device"),
        ("5.jpg", ""),
    ]
    assert fault == ""
    with pytest.raises(ImageError, match="none that can be read"):
        read_image(f"{file}/2.jpg", bytes(32))


@pytest.mark.parametrize("extension", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("share", [0.3, 0.75, 0.97])
def test_of_a_tar_that_was_cut_what_is_whole_is_read(tmp_path: Path, extension: str, share: float) -> None:
    made = contents()
    file = write_archive(tmp_path / f"photos{extension}", made)
    whole = file.read_bytes()
    size = len(whole) if extension != ".tar" else whole.rstrip(b"\0").__len__()
    file.write_bytes(whole[: int(share * size)])
    read: dict[str, bytes] = {}
    with pytest.raises(Malformed, match=r"cut|damaged"):
        read_into(read, file)
    assert list(read) == list(made)[: len(read)]
    assert all(made[name] == content for name, content in read.items())
    assert len(read) < len(made)
    listed, fault = members(file)
    assert fault
    # The last one may be listed, since its header is whole; reading it says what is wrong.
    assert [each.name for each in listed[: len(read)]] == list(read)


def test_a_tar_without_the_mark_of_its_end_may_have_been_cut(tmp_path: Path) -> None:
    made = {"1.jpg": b"x" * 512, "2.jpg": b"y" * 512}
    file = write_archive(tmp_path / "photos.tar", made)
    file.write_bytes(file.read_bytes()[:2048])  # just behind the second member
    found, fault = members(file)
    assert [each.name for each in found] == ["1.jpg", "2.jpg"]
    assert fault == "it ends after '2.jpg' without the mark of an end, as one does that was cut"


def test_a_damaged_header_in_a_tar_is_said_and_what_comes_before_is_read(tmp_path: Path) -> None:
    made = {f"{i}.jpg": bytes([i]) * 700 for i in range(5)}
    file = write_archive(tmp_path / "photos.tar", made)
    damaged = bytearray(file.read_bytes())
    at = damaged.index(b"3.jpg")
    damaged[at : at + 5] = b"\xff" * 5
    file.write_bytes(damaged)
    found, fault = members(file)
    assert [each.name for each in found] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "what comes after '2.jpg' is no header of a member" in fault
    digest = sha256(made["1.jpg"]).digest()
    assert read_image(f"{file}/1.jpg", digest) == made["1.jpg"]
    with pytest.raises(ImageError, match="no header of a member"):
        read_image(f"{file}/4.jpg", digest)


def test_a_member_of_a_zip_that_is_damaged_is_passed_over_and_says_why(tmp_path: Path) -> None:
    made = {f"{i}.jpg": os.urandom(500) for i in range(4)}
    file = write_archive(tmp_path / "photos.zip", made)
    content = bytearray(file.read_bytes())
    content[content.index(made["2.jpg"])] ^= 1
    file.write_bytes(content)
    with closing(open_container(str(file))) as container:
        assert [name for name, _ in container.stream(None)] == ["0.jpg", "1.jpg", "3.jpg"]
        with pytest.raises(ImageError, match="CRC"):
            container.read("2.jpg")
    found = dict(InsideContainers(str(tmp_path)).digests("photos.zip", [f"photos.zip/{name}" for name in made]))
    assert found["photos.zip/3.jpg"] == sha256(made["3.jpg"]).digest()
    assert "CRC" in str(found["photos.zip/2.jpg"])


def test_encrypted_members_of_a_zip_are_said_to_be_so(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "photos.zip", {"1.jpg": b"secret"})
    content = bytearray(file.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    file.write_bytes(content)
    found, _ = members(file)
    assert [each.problem for each in found] == ["encrypted; unpack the archive with its password"]


@pytest.mark.parametrize("extension", [".zip", ".tar", ".tar.gz"])
def test_what_is_no_archive_is_malformed(tmp_path: Path, extension: str) -> None:
    for content in (b"", b"not an archive at all", b"\x1f\x8b\x08" + bytes(60)):
        file = tmp_path / f"photos{extension}"
        file.write_bytes(content)
        assert members(file)[1].startswith(("it is no", "its compressed bytes end too early"))


@every_kind
def test_of_an_archive_that_is_damaged_at_random_nothing_but_its_fault_is_said(tmp_path: Path, extension: str) -> None:
    made = contents(5)
    file = write_archive(tmp_path / f"photos{extension}", {name: content[:200] for name, content in made.items()})
    whole, rng = file.read_bytes(), np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at : at + int(rng.integers(1, 4))] = rng.bytes(int(rng.integers(0, 4)))
        file.write_bytes(damaged[: int(rng.integers(1, len(damaged)))] if rng.random() < 0.3 else damaged)
        members(file)
        with suppress(Malformed):
            read_into({}, file)
        for name in made:
            with suppress(ImageError):
                read_image(f"{file}/{name}", bytes(32))


def test_a_member_that_would_unpack_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.png", bytes(100 << 20))
        archive.writestr("2.png", b"small")
    found, _ = members(file)
    assert "as archive bombs do" in found[0].problem
    assert found[1].problem == ""
    with closing(open_container(str(file))) as container:
        assert list(container.stream(None)) == [("2.png", b"small")]


def test_a_compressed_tar_that_would_unpack_without_end_is_left_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_module, "_MOST_UNPACKED", 1 << 20)
    file = tmp_path / "bomb.tar.gz"
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        add(tar, "0.jpg", b"small")
        add(tar, "1.jpg", bytes(8 << 20))
        add(tar, "2.jpg", b"small")
    file.write_bytes(gzip.compress(raw.getvalue()))
    found, fault = members(file)
    assert [each.name for each in found] == ["0.jpg"]
    assert "as archive bombs do" in fault


def test_a_compressed_file_is_unpacked_once_though_threads_read_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "_BLOCK_BYTES", 1000)
    made = contents(60)
    file = write_archive(tmp_path / "photos.tar.gz", made)
    starts = []
    seek = gzip.GzipFile.seek

    def counted(file: gzip.GzipFile, at: int, whence: int = 0) -> int:
        starts.append(at)
        return seek(file, at, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", counted)
    monkeypatch.setattr(window, "_KEPT_BLOCKS", 200)
    with closing(open_container(str(file))) as container:
        names = list(made)
        container.read(names[0])  # lists the members first, so that it begins anew once
        for first in range(0, len(names), 4):
            for name in reversed(names[first : first + 4]):
                assert container.read(name) == made[name]
    assert starts == [0]


# --- images, wherever they lie -----------------------------------------------------------------------------


@every_kind
def test_an_image_is_read_by_its_place_if_its_bytes_are_those_that_were_listed(tmp_path: Path, extension: str) -> None:
    made = contents()
    write_archive(tmp_path / f"photos{extension}", made)
    for name, content in made.items():
        file = ListedFile(str(tmp_path), f"photos{extension}/{name}", sha256(content).digest())
        assert read_listed_image(file) == content
    with pytest.raises(ImageError, match="changed since"):
        read_image(f"{tmp_path}/photos{extension}/{name}", bytes(31) + b"1")


def test_an_archive_that_is_replaced_is_opened_anew(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "photos.tar", {"1.jpg": b"old"})
    assert read_image(f"{file}/1.jpg", sha256(b"old").digest()) == b"old"
    new = write_archive(tmp_path / "new.tar", {"0.jpg": bytes(2000), "1.jpg": b"new"})
    new.replace(file)
    assert read_image(f"{file}/1.jpg", sha256(b"new").digest()) == b"new"
    file.unlink()
    with pytest.raises(ImageError, match=r"No such file|Not a directory"):
        read_image(f"{file}/1.jpg", sha256(b"new").digest())


def test_a_folder_that_is_named_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cats.tar").mkdir()
    (tmp_path / "cats.tar" / "1.jpg").write_bytes(b"cat")
    assert split_place(str(tmp_path), "cats.tar/1.jpg") is None
    assert read_image(f"{tmp_path}/cats.tar/1.jpg", sha256(b"cat").digest()) == b"cat"
    write_archive(tmp_path / "cats.tar" / "dogs.zip", {"2.jpg": b"dog"})
    assert split_place(str(tmp_path), "cats.tar/dogs.zip/2.jpg") == (f"{tmp_path}/cats.tar/dogs.zip", "2.jpg")
    assert split_place(str(tmp_path), "cats.tar/dogs.zip") is None


@every_kind
def test_many_threads_read_many_archives_at_once(tmp_path: Path, extension: str) -> None:
    made = contents(20)
    places = [str(write_archive(tmp_path / f"{i}{extension}", made)) for i in range(6)]
    wanted = [(f"{place}/{name}", content) for name, content in made.items() for place in places]
    barrier = threading.Barrier(8)

    def read(part: int) -> None:
        barrier.wait()
        for place, content in wanted[part::8]:
            assert read_image(place, sha256(content).digest()) == content

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))


def test_images_of_an_archive_come_as_they_are_stored_and_others_stay(tmp_path: Path) -> None:
    made = contents()
    write_archive(tmp_path / "b.tar", made)
    (tmp_path / "c.tar").write_bytes(b"damaged")
    paths = sorted(["a.jpg", "c.tar/x.jpg", "d.jpg", *(f"b.tar/{name}" for name in made), "b.tar/gone.jpg"])
    order = [paths[i] for i in in_stored_order(range(len(paths)), lambda i: f"{tmp_path}/{paths[i]}")]
    assert order == ["a.jpg", *(f"b.tar/{name}" for name in made), "b.tar/gone.jpg", "c.tar/x.jpg", "d.jpg"]


def test_images_in_any_order_are_put_together_by_their_archives(tmp_path: Path) -> None:
    made = contents()
    for name in ("a.tar", "b.tar"):
        write_archive(tmp_path / name, made)
    paths = ["d.jpg", "c.jpg", *(f"{name}/{member}" for member in sorted(made) for name in ("b.tar", "a.tar"))]
    order = [paths[i] for i in by_container(len(paths), lambda i: f"{tmp_path}/{paths[i]}")]
    assert order == ["d.jpg", "c.jpg", *(f"{name}/{member}" for name in ("a.tar", "b.tar") for member in made)]
