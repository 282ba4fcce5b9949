"""A tensor file gives back what was written, the same bytes every time, and refuses whatever is not one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from stackbone.cache import CacheError, UsageError
from stackbone.cache.tensor_file import (
    checksum,
    header_json,
    is_newer,
    parse_tensors,
    read_content,
    write_tensors,
)
from stackbone.cache.text import from_json

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "none": np.zeros((0, 4), np.float32),
    "one": np.array(2.5, np.float32),
}
HEADER = {"format": "made", "text": header_json({"class": "h\udce4t", "n": 1})}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "made.safetensors", TENSORS, HEADER)
    return tmp_path / "made.safetensors"


def test_tensors_and_header_come_back(file: Path) -> None:
    header, tensors = parse_tensors(read_content(file))
    assert header == HEADER
    assert from_json(header["text"]) == {"class": "h\udce4t", "n": 1}
    assert list(tensors) == sorted(TENSORS)
    for name, array in TENSORS.items():
        assert (tensors[name].shape, tensors[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(tensors[name], array)


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    turned = {name: np.asarray(array, order="F") for name, array in reversed(TENSORS.items())}
    paths = [tmp_path / f"{i}.safetensors" for i in range(20)]
    header = {"made": HEADER["text"]}
    digests = {write_tensors(path, turned if i % 2 else TENSORS, header) for i, path in enumerate(paths)}
    assert digests == {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert len(digests) == 1


def test_any_reader_of_safetensors_opens_it(file: Path) -> None:
    assert load(file.read_bytes()).keys() == TENSORS.keys()


@pytest.mark.parametrize("kept", [0, 7, 8, 60, -1])
def test_a_truncated_file_is_refused(file: Path, kept: int) -> None:
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        parse_tensors(read_content(file)[:kept])


@pytest.mark.parametrize(
    ("types", "dtype", "found"),
    [(("F32",), np.uint8, "U8"), (("F32",), np.float64, "F64"), (("U8",), np.float32, "F32")],
)
def test_tensors_of_other_types_are_named(types: tuple[str, ...], dtype: type, found: str) -> None:
    content = save({"odd": np.zeros(2, dtype), "good": np.zeros(2, np.float32 if "F32" in types else np.uint8)})
    with pytest.raises(ValueError, match=rf"\['odd'\] are of the types \['{found}'\], the format has {types[0]}"):
        parse_tensors(content, types)


def test_what_is_no_regular_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent"):
        with pytest.raises(OSError, match=r"regular file|No such file|directory"):
            read_content(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, error in ((tmp_path / "file" / "made", CacheError), (tmp_path, UsageError)):
        with pytest.raises(error, match=str(place)):
            write_tensors(place, TENSORS, HEADER)


def test_the_checksum_covers_texts_names_shapes_and_bytes() -> None:
    original = checksum(["text"], TENSORS)
    others = [
        checksum(["other"], TENSORS),
        checksum(["text"], {"b": TENSORS["a"], "none": TENSORS["none"], "one": TENSORS["one"]}),
        checksum(["text"], TENSORS | {"a": TENSORS["a"].reshape(3, 2)}),
        checksum(["text"], TENSORS | {"a": TENSORS["a"] + 1}),
        checksum(["text"], TENSORS, with_types=True),
    ]
    assert len({original, *others}) == 6
    assert checksum(["te", "xt"], dict(reversed(TENSORS.items()))) == original


@pytest.mark.parametrize(
    ("version", "newer"),
    [(2, True), (1, False), (True, False), ("2", True), ("1", False), ("²", False), ("9" * 5000, False), (None, False)],
)
def test_only_a_number_above_the_known_one_is_newer(version: object, newer: bool) -> None:  # noqa: FBT001
    assert is_newer(version, 1) is newer
