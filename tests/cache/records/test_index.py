"""An index keeps names as they are, and a damaged one is refused whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stackbone.cache import (
    CacheError,
    CorruptFileError,
    DatasetIndex,
    FileStamps,
    NewerVersionError,
    UsageError,
    empty_index,
)
from stackbone.cache.records.indexes.index_file import index_path, read_index, write_index
from stackbone.cache.records.indexes.listed import Listed, Skipped
from tests.made.checkout import ARCHIVES, ROOT
from tests.made.sealing import edited, reseal

ODD_NAMES = [
    "plain.jpg",
    "new\nline.jpg",
    "tab\tand \\ backslash.jpg",
    "trailing spaces   ",
    "  leading.jpg",
    "Ünïcödé/日本語/🦜.jpg",
    os.fsdecode(b"not-utf8-\xff\xfe.jpg"),
    "",
    " ",
    "/absolute/" + "x" * 3990,
]


ARCHIVED = ARCHIVES / "v1" / "datasets" / "photos.h5"


def make_index(paths: list[str], name: str = "photos", seed: int = 0) -> DatasetIndex:
    rng = np.random.default_rng(seed)
    n = len(paths)
    return DatasetIndex(
        name=name,
        root=os.fsdecode(b"/data/\xe9t\xe9"),
        path=paths,
        label=[f"class {i % 3}" for i in range(n)],
        split=["train" if i % 2 else "" for i in range(n)],
        group=[""] * n,
        image_sha256=rng.integers(0, 256, (n, 32), dtype=np.uint8),
        status=(np.arange(n) % 4 == 3).astype(np.uint8),
        reason=["is broken; truncated" if i % 4 == 3 else "" for i in range(n)],
        stamps=FileStamps(rng.integers(-(2**63), 2**63 - 1, (n, 4))),
    )


def assert_same(got: DatasetIndex, index: DatasetIndex) -> None:
    for column in ("name", "root", "path", "label", "split", "group", "reason"):
        assert getattr(got, column) == getattr(index, column), column
    np.testing.assert_array_equal(got.image_sha256, index.image_sha256)
    np.testing.assert_array_equal(got.status, index.status)
    np.testing.assert_array_equal(got.stamps.values, index.stamps.values)
    assert [str(each.dtype) for each in (got.image_sha256, got.status, got.stamps.values)] == [
        "uint8",
        "uint8",
        "int64",
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "photos.h5"
    write_index(written, make_index(ODD_NAMES))
    return written


def test_odd_names_come_back_as_they_were(path: Path) -> None:
    assert_same(read_index(path), make_index(ODD_NAMES))
    assert read_index(path).ok.tolist() == [i % 4 != 3 for i in range(len(ODD_NAMES))]


@pytest.mark.parametrize("n", [0, 1, 70_000])
def test_index_of_any_length_comes_back(tmp_path: Path, n: int) -> None:
    index = make_index([f"{i % 100}/{i}.jpg" for i in range(n)])
    write_index(tmp_path / "photos.h5", index)
    assert_same(read_index(tmp_path / "photos.h5"), index)


def test_sizes_and_what_was_met_come_back(path: Path) -> None:
    listed = Listed([Skipped(".heic", "not read here", 3, os.fsdecode(b"caf\xe9/a.heic"))], ["'dev' is a split."])
    sizes = np.arange(2 * len(ODD_NAMES)).reshape(-1, 2)
    write_index(path, replace(make_index(ODD_NAMES), sizes=sizes, listed=listed))
    got = read_index(path)
    assert_same(got, make_index(ODD_NAMES))
    assert got.listed == listed
    np.testing.assert_array_equal(got.sizes, sizes)


def test_an_index_of_before_sizes_and_notes_opens_without(path: Path) -> None:
    with edited(path) as file:
        del file.attrs["listed"]
    assert (read_index(path).sizes, read_index(path).listed) == (None, Listed())
    assert (read_index(ARCHIVED).sizes, read_index(ARCHIVED).listed) == (None, Listed())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"notes":[1],"skipped":[]}', "[" * 50_000])
def test_what_was_met_in_another_form_is_refused(path: Path, text: str) -> None:
    with edited(path) as file:
        file.attrs.create("listed", np.array(text.encode(), dtype=h5py.string_dtype("utf-8", max(1, len(text)))))
    with pytest.raises(CorruptFileError, match=re.escape(str(path))):
        read_index(path)


@pytest.mark.parametrize("spoiled", ["width", "height"])
def test_sizes_of_another_form_are_refused(path: Path, spoiled: str) -> None:
    write_index(path, replace(make_index(ODD_NAMES), sizes=np.ones((len(ODD_NAMES), 2), np.int64)))
    with edited(path) as file:
        file[spoiled].resize(3, axis=0)
    with pytest.raises(CorruptFileError, match=f"the column '{spoiled}' has 3 rows"):
        read_index(path)
    with edited(path) as file:
        del file[spoiled]
    assert read_index(path).sizes is None, "one without the other says nothing"


def test_sizes_below_zero_are_refused(path: Path) -> None:
    sizes = np.ones((len(ODD_NAMES), 2), np.int64)
    sizes[2, 1] = -1
    write_index(path, replace(make_index(ODD_NAMES), sizes=sizes))
    with pytest.raises(CorruptFileError, match="less than no pixels"):
        read_index(path)


def test_sizes_for_other_rows_are_not_written(path: Path) -> None:
    with pytest.raises(CacheError, match="the columns of the dataset 'photos'"):
        write_index(path, replace(make_index(ODD_NAMES), sizes=np.ones((3, 2), np.int64)))


def test_empty_index_comes_back(tmp_path: Path) -> None:
    write_index(tmp_path / "new.h5", empty_index("new", ""))
    assert_same(read_index(tmp_path / "new.h5"), empty_index("new", ""))


def test_writing_replaces_the_index(path: Path) -> None:
    write_index(path, make_index(["other.jpg"], seed=1))
    assert_same(read_index(path), make_index(["other.jpg"], seed=1))
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("column", ["path", "label", "split", "group", "reason", "image_sha256", "status", "stamps"])
def test_columns_of_different_length_are_not_written(path: Path, column: str) -> None:
    index = make_index(ODD_NAMES)
    value = getattr(index, column)
    changes: dict[str, Any] = {column: FileStamps(value.values[1:]) if column == "stamps" else value[1:]}
    with pytest.raises(CacheError, match="the columns of the dataset 'photos'"):
        write_index(path, replace(index, **changes))
    assert_same(read_index(path), index)


def test_text_that_no_file_can_hold_is_not_written(path: Path) -> None:
    with pytest.raises(CacheError, match="neither UTF-8"):
        write_index(path, make_index(["\ud800.jpg"]))
    assert_same(read_index(path), make_index(ODD_NAMES))


_TEXTS = ("path", "label", "split", "group", "reason")
_COLUMNS = (*_TEXTS, "image_sha256", "status", "size", "mtime_ns", "ctime_ns", "inode")


@pytest.mark.parametrize("column", _COLUMNS)
def test_columns_of_different_length_are_refused(path: Path, column: str) -> None:
    with edited(path) as file:
        values = file[column][:-1]
        if file[column].chunks:
            file[column].resize(len(values), axis=0)
        else:
            del file[column]
            file[column] = values
    with pytest.raises(CorruptFileError, match="rows, image_sha256 has"):
        read_index(path)


@pytest.mark.parametrize("column", _COLUMNS)
def test_lacking_or_strange_column_is_refused(path: Path, column: str) -> None:
    with edited(path) as file:
        del file[column]
    with pytest.raises(CorruptFileError, match=f"lacks the dataset '{column}'"):
        read_index(path)
    with edited(path) as file:
        file[column] = np.zeros(len(ODD_NAMES), "f4")
    with pytest.raises(CorruptFileError, match=f"dataset '{column}' has (type|shape)"):
        read_index(path)


@pytest.mark.parametrize("column", _COLUMNS)
def test_damaged_column_is_refused(path: Path, column: str) -> None:
    with h5py.File(path) as file:
        dataset = file[column]
        stored = dataset.id.read_direct_chunk((0,))[1] if dataset.chunks else dataset[:].tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(stored) + len(stored) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=re.escape(str(path))):
        read_index(path)


@pytest.mark.parametrize("row", [0, 3])
def test_digests_of_version_1_that_were_zeroed_with_their_checksum_are_refused(tmp_path: Path, row: int) -> None:
    # Fletcher-32 of zeros is 0, so a chunk on a lost page of a disk passes it.
    index = read_index(ARCHIVED)
    digests = index.image_sha256
    content = ARCHIVED.read_bytes()
    at = content.index(digests.tobytes()) + row * 32
    path = tmp_path / "photos.h5"
    path.write_bytes(content[:at] + bytes(digests.nbytes - row * 32) + content[at + digests.nbytes - row * 32 :])
    with pytest.raises(CorruptFileError, match="the checksum of a chunk"):
        read_index(path)
    at = content.index(digests.tobytes())
    path.write_bytes(content[:at] + bytes(digests.nbytes + 4) + content[at + digests.nbytes + 4 :])
    with pytest.raises(CorruptFileError, match=r"its digest of 'a cat\.jpg' is zero, though that file was read"):
        read_index(path)


def test_flipped_bits_give_an_error_or_the_same_index(path: Path) -> None:
    content = bytearray(path.read_bytes())
    index = make_index(ODD_NAMES)
    for position in np.random.default_rng(8).integers(0, 8 * len(content), 300).tolist():
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            got = read_index(path)
        except CorruptFileError:
            pass
        else:
            assert_same(got, index)
        content[position // 8] ^= 1 << position % 8


def test_index_of_another_name_is_refused(path: Path) -> None:
    copy = path.with_name("other.h5")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(CorruptFileError, match="index of the dataset 'photos', not of 'other'"):
        read_index(copy)


def test_newer_version_is_refused_with_the_way_out(path: Path) -> None:
    reseal(path, version=3)
    with pytest.raises(NewerVersionError, match="Upgrade with `pip install -U stackbone`"):
        read_index(path)


def test_absent_index_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_index(tmp_path / "photos.h5")


@pytest.mark.parametrize("name", ["photos", "photos-2.train", "_x", "0", "x" * 128])
def test_safe_names_name_a_file(tmp_path: Path, name: str) -> None:
    assert index_path(tmp_path, name) == tmp_path / "datasets" / f"{name}.h5"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "-x", ".x", "x" * 129, "a b", "é", "a\n", "a\0"]
)
def test_unsafe_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--dataset NAME"):
        index_path(tmp_path, name)


_MEASURE = """
import json, sys
from pathlib import Path
import numpy as np
from stackbone.cache import DatasetIndex, FileStamps
from stackbone.cache.records.indexes.index_file import read_index, write_index

def peak():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) >> 10

n = 100_000
paths = [f"{i}.jpg" for i in range(n)]
paths[n // 2] = "x" * 4000
empty = [""] * n
index = DatasetIndex("long", "", paths, empty, empty, empty, np.zeros((n, 32), np.uint8), np.zeros(n, np.uint8), empty,
                     FileStamps(np.zeros((n, 4), np.int64)))
before = peak()
path = Path(sys.argv[1]) / "long.h5"
write_index(path, index)
assert read_index(path).path == paths
print(json.dumps(peak() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory the Linux way")
def test_one_long_path_does_not_take_its_length_for_every_row(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    assert json.loads(run.stdout) < 200  # MiB; 100,000 rows of 4,000 bytes are 381


def _deflated(file: h5py.File) -> None:
    del file["image_sha256"]
    options = {"shuffle": True, "compression": "gzip", "maxshape": (None, 32)}
    file.create_dataset("image_sha256", (1 << 30, 32), "u1", chunks=(1 << 20, 32), **options)


def _endless(file: h5py.File) -> None:
    del file["path"]
    options = {"shuffle": True, "compression": "gzip", "maxshape": (None,)}
    file.create_dataset("path", (1 << 40,), h5py.string_dtype("utf-8", 200), chunks=(1 << 10,), **options)
    file["path"][0] = b"a"


def _wide(file: h5py.File) -> None:
    del file["path"]
    n = len(ODD_NAMES)
    options = {"shuffle": True, "compression": "gzip", "maxshape": (None,)}
    file.create_dataset("path", data=np.zeros(n, h5py.string_dtype("utf-8", 7 << 20)), chunks=(n,), **options)


def _scattered(file: h5py.File) -> None:
    del file["path"]
    file.create_dataset(
        "path",
        data=["a"] * len(ODD_NAMES),
        dtype=h5py.string_dtype("utf-8", 1),
        chunks=(2,),
        shuffle=True,
        compression="gzip",
    )


def _vlen(file: h5py.File) -> None:
    del file["path"]
    file["path"] = np.array(["a"] * len(ODD_NAMES), h5py.string_dtype())


def _soft_link(file: h5py.File) -> None:
    del file["path"]
    file["path"] = h5py.SoftLink("/label")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_deflated, r"the dataset 'image_sha256' .* uses the filters \(2, 1\)"),
        (_endless, "'path' .* lists 1,073,741,824 chunks"),
        (_wide, "'path' .* chunks of .* over 64 MiB"),
        (_scattered, "'path' .* list of chunks is"),
        (_vlen, "'path' .* has type"),
        (_soft_link, "'path' is a link to elsewhere"),
    ],
)
def test_hostile_column_is_refused_for_what_it_is(path: Path, spoil: Callable[[h5py.File], None], match: str) -> None:
    with edited(path) as file:
        spoil(file)
    with pytest.raises(CorruptFileError, match=re.escape(str(path)) + ".*" + match):
        read_index(path)


FURTHER = {
    "fold": [str(i % 3) for i in range(len(ODD_NAMES))],
    "où/.. ✓": ["", "日本" * 128, *["x"] * (len(ODD_NAMES) - 2)],
}


def test_further_columns_come_back(path: Path) -> None:
    write_index(path, replace(make_index(ODD_NAMES), columns=FURTHER))
    got = read_index(path)
    assert_same(got, make_index(ODD_NAMES))
    assert got.columns == FURTHER


def test_a_hundred_columns_of_long_names_come_back(tmp_path: Path) -> None:
    columns = {f"{i:03}" + "🦜" * 97: ["1", "2"] for i in range(100)}
    write_index(tmp_path / "photos.h5", replace(make_index(["a", "b"]), columns=columns))
    assert read_index(tmp_path / "photos.h5").columns == columns


def test_an_index_of_before_further_columns_has_none(path: Path) -> None:
    assert (read_index(path).columns, read_index(ARCHIVED).columns) == ({}, {})


def test_further_columns_for_other_rows_are_not_written(path: Path) -> None:
    with pytest.raises(CacheError, match="the columns of the dataset 'photos'"):
        write_index(path, replace(make_index(ODD_NAMES), columns={"fold": ["1"]}))


@pytest.mark.parametrize(
    "names", ["{}", "[]", '["fold"]', '["fold","fold"]', '["fold",1]', '["fold",""]', '["fold","a\\nb"]']
)
def test_further_columns_of_another_form_are_refused(path: Path, names: str) -> None:
    write_index(path, replace(make_index(ODD_NAMES), columns=FURTHER))
    with edited(path) as file:
        file.attrs.create("columns", np.array(names.encode(), dtype=h5py.string_dtype("utf-8", len(names))))
    with pytest.raises(CorruptFileError, match="its further columns"):
        read_index(path)


def test_cells_of_other_rows_are_refused(path: Path) -> None:
    write_index(path, replace(make_index(ODD_NAMES), columns=FURTHER))
    with edited(path) as file:
        file["cells"].resize(3, axis=0)
    with pytest.raises(CorruptFileError, match="its further columns have 3 cells"):
        read_index(path)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({f"f{i}": ["1", "2"] for i in range(101)}, "has 101 further columns, and an index keeps up to 100"),
        ({"x" * 101: ["1", "2"]}, "Expected a name of 1 to 100 printable characters"),
        ({"a\nb": ["1", "2"]}, "Expected a name of 1 to 100 printable characters"),
        ({"": ["1", "2"]}, "Expected a name of 1 to 100 printable characters"),
        ({"f": ["1", "x" * 257]}, "cells of up to 257 characters"),
    ],
)
def test_further_columns_that_no_reader_takes_are_not_written(
    tmp_path: Path, columns: dict[str, list[str]], found: str
) -> None:
    with pytest.raises(CacheError, match=found):
        write_index(tmp_path / "photos.h5", replace(make_index(["a", "b"]), columns=columns))
    assert not (tmp_path / "photos.h5").exists()
