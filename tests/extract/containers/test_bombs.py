"""Archives made to hang a reader, or to fill its memory, are told to be damaged: at once, and in little memory."""

from __future__ import annotations

import bz2
import gc
import gzip
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stackbone.cache import ImageError
from stackbone.cache.errors import Malformed
from stackbone.extract.containers.opening import open_container
from tests.made.archives import write_archive

LITTLE = 16 << 20
NULLS = bytes(64 << 20)
LZMA = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23, "lc": 3, "lp": 0, "pb": 2}


@pytest.fixture
def in_little_memory() -> Iterator[None]:
    """Fail if the test takes more than 16 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LITTLE


def header(name: str, kind: bytes, size: int) -> bytes:
    """Return a header of a tar archive that says any size, negative ones as GNU writes them."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (b"\xff" if size < 0 else b"\x80") + (size % 2**88).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def whole(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, kind, len(content)) + content + bytes(-len(content) % 512)


def fault_of(file: Path, content: bytes) -> tuple[list[str], str]:
    """Return the members that a file gives, and what is wrong with it."""
    file.write_bytes(content)
    names: list[str] = []
    with pytest.raises(Malformed) as caught:
        list_into(names, file)
    return names, str(caught.value)


def list_into(names: list[str], file: Path) -> None:
    with closing(open_container(str(file))) as container:
        for member in container.members():
            names.append(member.name)


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"9"])
@pytest.mark.parametrize("size", [-512, -1024, -1])
def test_a_negative_size_in_a_tar_is_a_fault_and_not_a_way_back(tmp_path: Path, kind: bytes, size: int) -> None:
    content = whole("0.jpg", b"sound") + header("1.jpg", kind, size) + bytes(2048)
    names, fault = fault_of(tmp_path / "a.tar", content)
    assert names == ["0.jpg"]
    assert fault == f"what comes after '0.jpg' is no header of a member (a size of {size} bytes)"


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
def test_a_negative_size_in_a_record_is_a_fault(tmp_path: Path) -> None:
    records = whole("r", b"13 size=-512\n", tarfile.XHDTYPE)
    names, fault = fault_of(tmp_path / "a.tar", whole("0.jpg", b"sound") + records + whole("1.jpg", b"") + bytes(1024))
    assert names == ["0.jpg"]
    assert "a size of '-512' bytes" in fault


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [1 << 26, 1 << 36, 1 << 62])
def test_names_and_records_in_a_tar_are_not_read_whatever_their_size(tmp_path: Path, kind: bytes, size: int) -> None:
    bomb = header("x", kind, size) + b"1" * (2 << 20)
    for name, content in (("a.tar", bomb), ("a.tar.gz", gzip.compress(bomb, 1))):
        names, fault = fault_of(tmp_path / name, content)
        assert names == []
        assert "more than 1,048,576 bytes of names and records before a member" in fault


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
@pytest.mark.parametrize("n", [3, 3000])
def test_long_names_before_one_another_end(tmp_path: Path, n: int) -> None:
    content = whole("././@LongLink", b"a.jpg\0", tarfile.GNUTYPE_LONGNAME) * n + whole("b.jpg", b"four") + bytes(1024)
    file = tmp_path / "a.tar"
    if n == 3:
        file.write_bytes(content)
        with closing(open_container(str(file))) as container:
            assert list(container.stream(None)) == [("a.jpg", b"four")]
    else:
        assert "more than 1,048,576 bytes of names and records" in fault_of(file, content)[1]


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
def test_the_map_of_a_sparse_file_ends(tmp_path: Path) -> None:
    block = bytearray(header("s.jpg", tarfile.GNUTYPE_SPARSE, 512))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    more = bytes(504) + b"\1" + bytes(7)
    file = tmp_path / "a.tar"
    file.write_bytes(bytes(block) + more + bytes(512) + b"s" * 512 + whole("1.jpg", b"one") + bytes(1024))
    with closing(open_container(str(file))) as container:
        assert [(each.name, each.problem) for each in container.members()] == [
            ("s.jpg", "a sparse file"),
            ("1.jpg", ""),
        ]
        assert container.read("1.jpg") == b"one"
    assert "bytes of a sparse file's map" in fault_of(file, bytes(block) + more * 3000)[1]


@pytest.mark.timeout(20)
def test_records_for_all_members_of_a_tar_take_no_room(tmp_path: Path) -> None:
    many = b"".join(b"%d %s=%s\n" % (6 + len(str(n)) + 500, b"k%d" % n, b"v" * 500) for n in range(100, 200))
    file = tmp_path / "a.tar"
    file.write_bytes(whole("g", many, tarfile.XGLTYPE) * 1000 + whole("1.jpg", b"one") + bytes(1024))
    assert "names and records" in fault_of(file, file.read_bytes())[1]
    one = b"".join(whole("g", many, tarfile.XGLTYPE) + whole(f"{n}.jpg", b"one") for n in range(200)) + bytes(1024)
    file.write_bytes(one)
    tracemalloc.start()
    with closing(open_container(str(file))) as container:
        assert len(list(container.members())) == 200
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


# --- zip ----------------------------------------------------------------------------------------------------


def packed(method: int, content: bytes) -> bytes:
    if method == zipfile.ZIP_STORED:
        return content
    if method == zipfile.ZIP_DEFLATED:
        return zlib.compress(content, 9, -15)
    if method == zipfile.ZIP_BZIP2:
        return bz2.compress(content)
    stream = lzma.compress(content, lzma.FORMAT_RAW, filters=[LZMA])
    return struct.pack("<BBHBI", 9, 4, 5, 93, 0xFFFFFFFF) + stream  # that asks for a window of 4 GiB


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
PACKED_NULLS = {method: packed(method, NULLS) for method in METHODS if method}


def zip_of_one(content: bytes, method: int, size: int, crc: int) -> bytes:
    """Return a zip archive of ``a.jpg`` whose directory says any size."""
    name = b"a.jpg"
    fields = (20, 0, method, 0, 0, crc, len(content), size, len(name), 0)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *fields) + name + content
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


@pytest.mark.parametrize("method", METHODS)
def test_what_every_method_packed_is_unpacked(tmp_path: Path, method: int) -> None:
    file, content = tmp_path / "a.zip", b"image" * 100
    file.write_bytes(zip_of_one(packed(method, content), method, len(content), zlib.crc32(content)))
    with closing(open_container(str(file))) as container:
        assert container.read("a.jpg") == content


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("in_little_memory")
@pytest.mark.parametrize("method", PACKED_NULLS)
def test_a_member_of_a_zip_is_unpacked_no_further_than_its_directory_says(tmp_path: Path, method: int) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(zip_of_one(PACKED_NULLS[method], method, 100_000, 0))
    with closing(open_container(str(file))) as container:
        assert list(container.stream(None)) == []
        with pytest.raises(ImageError, match="longer than the 100,000 bytes that its directory says"):
            container.read("a.jpg")


@pytest.mark.parametrize("method", METHODS)
def test_a_member_of_a_zip_that_is_shorter_or_another_is_refused(tmp_path: Path, method: int) -> None:
    file, content = tmp_path / "a.zip", b"image" * 100
    for size, crc, said in ((501, zlib.crc32(content), "ends 1 byte early"), (500, 1, "CRC-32")):
        file.write_bytes(zip_of_one(packed(method, content), method, size, crc))
        with closing(open_container(str(file))) as container, pytest.raises(ImageError, match=said):
            container.read("a.jpg")


def test_members_of_a_zip_that_share_bytes_are_not_taken(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "a.zip", {"1.jpg": b"1" * 100, "2.jpg": b"2" * 100, "3.jpg": b"3" * 100})
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        place, after = (archive.getinfo(name).header_offset for name in ("2.jpg", "3.jpg"))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[second + 20 : second + 24] = struct.pack("<I", after - place + 50)  # up into the third
    file.write_bytes(content)
    with closing(open_container(str(file))) as container:
        problems = {each.name: each.problem for each in container.members()}
        assert problems == {
            "1.jpg": "",
            "2.jpg": "bytes that are another member's, too, as in archive bombs",
            "3.jpg": "",
        }
        assert [name for name, _ in container.stream(None)] == ["1.jpg", "3.jpg"]


def test_an_open_zip_keeps_little_of_each_member(tmp_path: Path) -> None:
    n = 20_000
    file = write_archive(tmp_path / "a.zip", {f"class{i % 10}/{i:07d}.jpg": b"x" for i in range(n)})
    tracemalloc.start()
    with closing(open_container(str(file))) as container:
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
        assert container.read("class7/0000017.jpg") == b"x"
    tracemalloc.stop()
    assert kept / n < 110
