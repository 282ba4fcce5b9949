"""A shard gives its rows exactly, or an error that names it; whatever was done to the file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, CorruptFileError, Digests, FeatureSpec, NewerVersionError
from stackbone.cache.records.shard import is_intact, read_digests, read_header, read_rows, write_shard
from tests.made.caches import on_disk
from tests.made.checkout import ROOT
from tests.made.sealing import edited, reseal, seal_of, unsealed, write_checked, write_fixed

SPEC = FeatureSpec(
    architecture="resnet50.tv_in1k",
    weights="sha256:" + "ab" * 32,
    input_size=(224, 224),
    crop_fraction=0.875,
    crop_mode="center",
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    pooling="avg",
)
FINGERPRINT = SPEC.fingerprint
PROVENANCE = {"engine": "torch", "created": "2025-01-01T00:00:00+00:00"}
TEXTS = {"format": "stackbone-features", "spec": SPEC.to_json(), "provenance": json.dumps(PROVENANCE)}


def make_rows(n: int, dim: int = 16, seed: int = 0) -> tuple[Digests, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 32), dtype=np.uint8), rng.standard_normal((n, dim), dtype=np.float32)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return on_disk(write_shard(tmp_path, SPEC, *make_rows(20), PROVENANCE))


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    digests, features = make_rows(300, 7)
    path = write_shard(tmp_path, SPEC, digests, features, PROVENANCE)
    header = read_header(path, FINGERPRINT)
    assert (header.spec, dict(header.provenance)) == (SPEC, PROVENANCE)
    assert (header.n_rows, header.dim, header.dtype) == (300, 7, "float32")
    np.testing.assert_array_equal(read_digests(path, FINGERPRINT), digests)
    got_digests, got_features = read_rows(path, FINGERPRINT)
    np.testing.assert_array_equal(got_digests, digests)
    np.testing.assert_array_equal(got_features, features)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("rows", [7, 700])  # chunks in the list's head alone, and in its further blocks
def test_rows_over_many_chunks_of_version_1_come_back_exactly(tmp_path: Path, rows: int) -> None:
    digests, features = make_rows(3000, 512)
    with unsealed(tmp_path / "part-x.h5", TEXTS) as file:
        write_checked(file, "features", features, rows=rows)
        write_checked(file, "image_sha256", digests, rows=rows)
        assert file["features"].id.get_num_chunks() == -(-3000 // rows)
    got_digests, got_features = read_rows(tmp_path / "part-x.h5", FINGERPRINT)
    np.testing.assert_array_equal(got_digests, digests)
    np.testing.assert_array_equal(got_features, features)


def test_float16_stays_half_on_disk_and_is_read_as_float32(tmp_path: Path) -> None:
    digests, features = make_rows(9)
    half = features.astype(np.float16)
    path = write_shard(tmp_path, SPEC, digests, half, PROVENANCE)
    assert read_header(path, FINGERPRINT).dtype == "float16"
    got = read_rows(path, FINGERPRINT)[1]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, half.astype(np.float32))


def test_name_is_a_uuid_that_proves_the_bytes(shard: Path) -> None:
    assert re.fullmatch(r"part-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.h5", shard.name)
    content = shard.read_bytes()
    lines = content[:512].rstrip(b"\0").splitlines(keepends=True)
    start, length = (int(word) for word in lines[1].split()[1:3])
    features = content[start : start + length]
    assert lines[1].split()[3].decode() == hashlib.sha256(features).hexdigest()
    np.testing.assert_array_equal(np.frombuffer(features, "<f4").reshape(20, 16), make_rows(20)[1])
    head = b"".join(lines[:2]) + content[512:start] + content[start + length :]
    digest, name = hashlib.sha256(head).hexdigest(), shard.stem[5:].replace("-", "")
    assert lines[2] == f"head {digest}\n".encode()
    assert [digest[i] for i in range(32) if i not in (12, 16)] == [name[i] for i in range(32) if i not in (12, 16)]
    assert is_intact(shard)
    assert not is_intact(shard.rename(shard.with_name("part-00000000-0000-8000-8000-000000000000.h5")))


def test_same_rows_written_twice_are_one_file(tmp_path: Path) -> None:
    names = {write_shard(tmp_path, SPEC, *make_rows(5), PROVENANCE).name for _ in range(2)}
    assert len(names) == len(os.listdir(tmp_path)) == 1


def test_file_has_what_the_format_promises(shard: Path) -> None:
    with h5py.File(shard) as file:
        assert file.id.get_create_plist().get_version()[0] == 3
        assert file.userblock_size == 512
        assert set(file) == {"features", "image_sha256"}
        for dataset in file.values():
            assert dataset.chunks is None
            assert dataset.compression is None
        for name in ("format", "format_version", "spec", "provenance"):
            info = h5py.check_string_dtype(h5py.h5a.open(file.id, name.encode()).dtype)
            assert info.length
            assert info.encoding == "utf-8"
        assert file.attrs["spec"].decode() == SPEC.to_json()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_feature_that_is_not_finite_is_refused_with_its_image(tmp_path: Path, bad: float) -> None:
    digests, features = make_rows(5)
    features[3, 2] = bad
    with pytest.raises(CacheError, match=digests[3].tobytes().hex()):
        write_shard(tmp_path, SPEC, digests, features, PROVENANCE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("digests", "features"),
    [
        (np.zeros((4, 32), np.uint8), np.zeros((5, 8), np.float32)),
        (np.zeros((4, 31), np.uint8), np.zeros((4, 8), np.float32)),
        (np.zeros((0, 32), np.uint8), np.zeros((0, 8), np.float32)),
        (np.zeros((4, 32), np.uint8), np.zeros((4, 0), np.float32)),
        (np.zeros((4, 32), np.uint8), np.zeros((4, 2, 2), np.float32)),
        (np.zeros((4, 32), np.uint8), np.zeros((4, 8), np.float64)),
        (np.zeros((4, 32), np.uint8), np.zeros((4, 8), ">f4")),
        (np.zeros((4, 32), np.int64), np.zeros((4, 8), np.float32)),
    ],
)
def test_rows_that_no_reader_would_accept_are_not_written(
    tmp_path: Path, digests: Digests, features: NDArray[np.float32]
) -> None:
    with pytest.raises(CacheError, match="a shard takes"):
        write_shard(tmp_path, SPEC, digests, features, PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_provenance_that_no_reader_would_accept_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="at most 60,000 bytes"):
        write_shard(tmp_path, SPEC, *make_rows(2), {"host": "x" * 60_000})
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_is_noticed(shard: Path) -> None:
    digests, features = read_rows(shard, FINGERPRINT)
    content = bytearray(shard.read_bytes())
    rng = np.random.default_rng(5)
    n_refused = 0
    for position in rng.choice(8 * len(content), 600, replace=False).tolist():
        content[position // 8] ^= 1 << position % 8
        shard.write_bytes(content)
        assert not is_intact(shard), position
        try:
            got = read_rows(shard, FINGERPRINT)
        except CorruptFileError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(got[0], digests)
            np.testing.assert_array_equal(got[1], features)
        content[position // 8] ^= 1 << position % 8
    assert n_refused > 300


def test_every_truncation_is_noticed(shard: Path) -> None:
    content = shard.read_bytes()
    for size in np.linspace(0, len(content) - 1, 60).astype(int).tolist():
        shard.write_bytes(content[:size])
        with pytest.raises(CorruptFileError, match=re.escape(str(shard))):
            read_rows(shard, FINGERPRINT)
        assert not is_intact(shard)


def test_overwritten_pages_are_noticed(shard: Path) -> None:
    content = shard.read_bytes()
    digests, features = read_rows(shard, FINGERPRINT)
    rng = np.random.default_rng(6)
    for start in rng.integers(0, len(content) - 64, 100).tolist():
        filler = b"\xff" * 64 if start % 2 else bytes(64)
        changed = content[:start] + filler + content[start + 64 :]
        shard.write_bytes(changed)
        assert is_intact(shard) == (changed == content)
        try:
            got = read_rows(shard, FINGERPRINT)
        except CorruptFileError:
            continue
        np.testing.assert_array_equal(got[0], digests)
        np.testing.assert_array_equal(got[1], features)


def test_zero_words_turned_to_ones_do_not_pass_as_features(tmp_path: Path) -> None:
    # Fletcher-32 computes modulo 65,535, so it takes 0xFFFF for 0x0000; features after a ReLU are full of zeros.
    digests, features = make_rows(4)
    features[1] = 0
    path = tmp_path / "part-x.h5"
    with unsealed(path, TEXTS) as file:
        write_checked(file, "features", features, rows=4)
        write_checked(file, "image_sha256", digests, rows=4)
    content = path.read_bytes()
    row = features[0].tobytes() + features[1].tobytes()
    start = content.index(row) + len(row) // 2
    path.write_bytes(content[:start] + b"\xff" * 4 + content[start + 4 :])
    with pytest.raises(CorruptFileError, match="not finite, first in row 1"):
        read_rows(path, FINGERPRINT)


def test_features_changed_alone_are_noticed_where_they_are_read(shard: Path) -> None:
    seal, content = seal_of(shard), bytearray(shard.read_bytes())
    content[seal.start + 5] ^= 1
    shard.write_bytes(content)
    assert len(read_digests(shard, FINGERPRINT)) == 20
    with pytest.raises(CorruptFileError, match="its features are not what was sealed"):
        read_rows(shard, FINGERPRINT)
    assert not is_intact(shard)


def test_features_that_are_not_finite_are_refused_though_sealed(shard: Path) -> None:
    with edited(shard) as file:
        file["features"][3, 2] = np.nan
    with pytest.raises(CorruptFileError, match="not finite, first in row 3"):
        read_rows(shard, FINGERPRINT)


def test_shard_of_another_spec_is_refused(shard: Path) -> None:
    other = replace(SPEC, precision="bf16")
    for read in (read_header, read_digests, read_rows):
        with pytest.raises(CorruptFileError, match=f"{FINGERPRINT}.*{other.fingerprint}"):
            read(shard, other.fingerprint)


def test_shard_that_is_gone_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "part-x.h5", FINGERPRINT)


@pytest.mark.parametrize(
    ("number", "match"), [(errno.EACCES, "may not be read"), (errno.EIO, "put error"), (errno.ESTALE, "tale")]
)
def test_shard_that_the_system_cannot_read_is_not_called_damaged(
    shard: Path, monkeypatch: pytest.MonkeyPatch, number: int, match: str
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(CacheError, match=match) as caught:
        read_rows(shard, FINGERPRINT)
    assert not isinstance(caught.value, CorruptFileError)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "gone.h5")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def _ring_of_links(path: Path) -> None:
    other = path.with_name("other.h5")
    other.symlink_to(path)
    path.symlink_to(other)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _text(path: Path) -> None:
    path.write_text("no HDF5")


def _empty(path: Path) -> None:
    path.touch()


NOT_OURS = [_fifo, _folder, _link_to_nowhere, _link_to_itself, _ring_of_links, _device, _text, _empty]


@pytest.mark.parametrize("make", NOT_OURS)
def test_what_is_no_file_of_ours_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "part-x.h5"
    make(path)
    with pytest.raises(CorruptFileError, match=r"part-x\.h5"):
        read_rows(path, FINGERPRINT)
    assert not is_intact(path)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("format", "stackbone-index", "its format is"),
        ("format_version", "1", "format version is '1', not 2"),
        ("spec", SPEC.to_json() + " ", "canonical"),
        ("spec", "[1]", "JSON list"),
        ("spec", "[" * 50_000, "not JSON"),
        ("spec", SPEC.to_json().replace('"version":1', '"version":0'), "version 0"),
        ("provenance", "[1, 2]", "provenance"),
        ("provenance", '{"a": {"b": 1}}', "provenance"),
        ("provenance", "{", "provenance is not JSON"),
        ("provenance", "[" * 50_000, "provenance is not JSON"),
    ],
)
def test_attribute_that_is_not_the_formats_is_refused(shard: Path, name: str, value: str, match: str) -> None:
    with edited(shard) as file:
        write_fixed(file, name, value)
    with pytest.raises(CorruptFileError, match=match):
        read_rows(shard, FINGERPRINT)


def _sealed_by_version_3(shard: Path) -> None:
    with edited(shard) as file:
        write_fixed(file, "format_version", "3")
    reseal(shard, version=3)


def _with_spec_of_version_2(shard: Path) -> None:
    with edited(shard) as file:
        write_fixed(file, "spec", SPEC.to_json().replace('"version":1', '"version":2'))


@pytest.mark.parametrize(
    ("change", "match"),
    [(_sealed_by_version_3, "version is 3, .*reads up to 2"), (_with_spec_of_version_2, "version.* 2, .*reads 1")],
)
def test_file_of_a_newer_version_is_refused_and_not_called_damaged(
    shard: Path, change: Callable[[Path], None], match: str
) -> None:
    change(shard)
    with pytest.raises(NewerVersionError, match=rf"{shard}.*{match}\. Upgrade with `pip install -U"):
        read_rows(shard, FINGERPRINT)


@pytest.mark.parametrize("version", ["0", "2", "3", "x"])
def test_file_of_another_version_without_a_seal_is_refused(tmp_path: Path, version: str) -> None:
    with unsealed(tmp_path / "part-x.h5", {**TEXTS, "format_version": version}):
        pass
    with pytest.raises(CorruptFileError, match=f"format version is '{version}', not 1"):
        read_rows(tmp_path / "part-x.h5", FINGERPRINT)


def test_seal_of_another_kind_is_refused(shard: Path) -> None:
    reseal(shard, kind="stackbone-index")
    with pytest.raises(CorruptFileError, match="its format is 'stackbone-index', not 'stackbone-features'"):
        read_rows(shard, FINGERPRINT)


@pytest.mark.parametrize("name", ["format", "format_version", "spec", "provenance"])
def test_lacking_attribute_is_named(shard: Path, name: str) -> None:
    with edited(shard) as file:
        del file.attrs[name]
    with pytest.raises(CorruptFileError, match=f"lacks the attribute '{name}'"):
        read_rows(shard, FINGERPRINT)


def test_extra_content_is_ignored(shard: Path) -> None:
    digests, features = read_rows(shard, FINGERPRINT)
    with edited(shard) as file:
        file["notes"] = np.arange(3)
        for i in range(4):
            file.attrs[f"note{i}"] = "vlen"
    got = read_rows(shard, FINGERPRINT)
    np.testing.assert_array_equal(got[0], digests)
    np.testing.assert_array_equal(got[1], features)


def test_more_attributes_than_an_object_header_holds_are_refused(shard: Path) -> None:
    with edited(shard) as file:
        for i in range(5):
            file.attrs[f"note{i}"] = "vlen"
    with pytest.raises(CorruptFileError, match="its attributes are more, or longer"):
        read_rows(shard, FINGERPRINT)


def test_old_layout_without_metadata_checksums_is_refused(tmp_path: Path, shard: Path) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(shard) as source, h5py.File(path, "w", libver="earliest") as target:
        for name in source:
            source.copy(name, target)
        for name, value in source.attrs.items():
            target.attrs.create(name, value)
    with pytest.raises(CorruptFileError, match="superblock"):
        read_rows(path, FINGERPRINT)


# Each makes a file of version 1 whose attributes and digests are sound and whose `features` (or an attribute) is not;
# `secret.h5` beside it holds a sound dataset that must not be reached.
def _external_link(file: h5py.File, folder: Path) -> None:
    file["features"] = h5py.ExternalLink(str(folder / "secret.h5"), "/features")


def _soft_link(file: h5py.File, _folder: Path) -> None:
    write_checked(file, "elsewhere", np.zeros((2, 4), "f4"))
    file["features"] = h5py.SoftLink("/elsewhere")


def _link_loop(file: h5py.File, _folder: Path) -> None:
    file["features"] = h5py.SoftLink("/features")


def _virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((2, 4), "f4", maxshape=(None, 4))
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "features", (2, 4))
    file.create_virtual_dataset("features", layout)


def _external_storage(file: h5py.File, folder: Path) -> None:
    file.create_dataset("features", (2, 4), "f4", external=[(str(folder / "secret.raw"), 0, 32)])


def _declared(file: h5py.File, name: str, shape: tuple[int, ...], dtype: object, chunks: tuple[int, ...]) -> None:
    """Add a dataset of which a single row is stored."""
    maxshape = (None, *shape[1:])
    file.create_dataset(name, shape, dtype, chunks=chunks, maxshape=maxshape, fletcher32=True)[0] = 0


def _absurd_shape(file: h5py.File, _folder: Path) -> None:
    _declared(file, "features", (1 << 40, 1 << 12), "f4", (1, 1 << 12))


def _absurd_rows(file: h5py.File, _folder: Path) -> None:
    del file["image_sha256"]
    _declared(file, "image_sha256", (1 << 50, 32), "u1", (1 << 10, 32))
    write_checked(file, "features", np.zeros((2, 4), "f4"))


def _chunk_that_is_not_stored(file: h5py.File, _folder: Path) -> None:
    _declared(file, "features", (2, 1 << 12), "f4", (1, 1 << 12))


def _rows_that_are_not_stored(file: h5py.File, _folder: Path) -> None:
    file.create_dataset("features", (2, 4), "f4", chunks=(2, 4), maxshape=(None, 4), fletcher32=True)


def _huge_chunk(file: h5py.File, _folder: Path) -> None:
    file.create_dataset("features", (2, 1 << 28), "f4", chunks=(1, 1 << 28), maxshape=(None, 1 << 28), fletcher32=True)


def _inflating(file: h5py.File, _folder: Path) -> None:
    write_checked(file, "features", np.zeros((2, 1 << 22), "f4"), rows=1, compression="gzip")


def _unknown_filter(file: h5py.File, _folder: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2, 4))
    properties.set_fletcher32()
    properties.set_filter(31_999, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    space = h5py.h5s.create_simple((2, 4), (h5py.h5s.UNLIMITED, 4))
    h5py.h5d.create(file.id, b"features", h5py.h5t.IEEE_F32LE, space, properties)


def _no_checksum(file: h5py.File, _folder: Path) -> None:
    write_checked(file, "features", np.zeros((2, 4), "f4"), fletcher32=False)


def _fixed_list_of_chunks(file: h5py.File, _folder: Path) -> None:
    file.create_dataset("features", data=np.zeros((2, 4), "f4"), chunks=(1, 4), fletcher32=True)


def _contiguous(file: h5py.File, _folder: Path) -> None:
    file["features"] = np.zeros((2, 4), "f4")


def _group(file: h5py.File, _folder: Path) -> None:
    file.create_group("features")


def _named_type(file: h5py.File, _folder: Path) -> None:
    file["features"] = np.dtype("f4")


def _deep_groups(file: h5py.File, _folder: Path) -> None:
    group = file.create_group("features")
    for _ in range(10_000):
        group = group.create_group("g")


def _of_type(dtype: object, shape: tuple[int, ...] = (2, 4)) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, _folder: Path) -> None:
        maxshape = (None, *shape[1:])
        checked = dtype != h5py.string_dtype()
        file.create_dataset("features", shape, dtype, chunks=shape, maxshape=maxshape, fletcher32=checked)[0] = (
            b"" if not checked or dtype == "S8" else 0
        )

    return make


def _more_rows_than_digests(file: h5py.File, _folder: Path) -> None:
    write_checked(file, "features", np.zeros((3, 4), "f4"))


def _wide_digests(file: h5py.File, _folder: Path) -> None:
    del file["image_sha256"]
    write_checked(file, "image_sha256", np.ones((2, 32), "u8"))
    write_checked(file, "features", np.zeros((2, 4), "f4"))


def _vlen_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs["spec"] = SPEC.to_json()


def _array_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs.create("spec", np.full((1 << 10,), b"x", "S1"))


def _empty_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs["spec"] = h5py.Empty("S10")


def _number_as_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs["spec"] = 7


def _long_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs.create("spec", np.full((), b"x" * 70_000, "S70000"))


def _huge_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs.create("spec", np.zeros((), f"S{200 << 20}"))


def _huge_vlen_spec(file: h5py.File, _folder: Path) -> None:
    file.attrs["spec"] = "x" * (200 << 20)


HOSTILE = {
    _external_link: "'features' is a link to elsewhere",
    _soft_link: "'features' is a link to elsewhere",
    _link_loop: "'features' is a link to elsewhere",
    _virtual: "'features' .* the kind of its layout",
    _external_storage: "'features' .* a message",
    _absurd_shape: "'features' .* lists 1,099,511,627,776 chunks",
    _absurd_rows: "'image_sha256' .* lists 1,099,511,627,776 chunks",
    _chunk_that_is_not_stored: "'features' .* its chunk 1 is not stored",
    _rows_that_are_not_stored: "'features' .* none is stored",
    _huge_chunk: "'features' .* over 64 MiB",
    _inflating: r"'features' .* uses the filters \(1, 3\)",
    _unknown_filter: "'features' .* uses the filter 31999",
    _no_checksum: r"'features' .* uses the filters \(\)",
    _fixed_list_of_chunks: "'features' .* the kind of its list of chunks",
    _contiguous: "'features' .* not stored in chunks with checksums",
    _group: "'features' .*",
    _named_type: "'features' .*",
    _deep_groups: "'features' .*",
    _of_type("f8"): "'features' .* has type",
    _of_type("i4"): "'features' .* has type",
    _of_type("S8"): "'features' .* has type",
    _of_type("f4,f4"): "'features' .* has type",
    _of_type("c8"): "'features' .* has type",
    _of_type(h5py.string_dtype()): "'features' .* has type",
    _of_type("f4", (2,)): r"'features' has shape \(2,\)",
    _of_type("f4", (2, 2, 2)): "'features' .* rank 3",
    _more_rows_than_digests: r"\(3, 4\) float32 features for 2 digests",
    _wide_digests: "'image_sha256' .* has type",
    _vlen_spec: "'spec' is not a fixed-length string",
    _array_spec: "'spec' is not a fixed-length string",
    _empty_spec: "'spec' is not a fixed-length string",
    _number_as_spec: "'spec' is not a fixed-length string",
    _long_spec: "attributes are more, or longer",
    _huge_spec: "attributes are more, or longer",
    _huge_vlen_spec: "'spec' is not a fixed-length string",
}

_READ = """
import json, sys
from pathlib import Path
from stackbone.cache import CorruptFileError
from stackbone.cache.records.shard import is_intact, read_rows

outcomes = []
for path in sys.argv[2:]:
    try:
        read_rows(Path(path), sys.argv[1])
        outcomes.append("")
    except CorruptFileError as exc:
        outcomes.append(str(exc))
    is_intact(Path(path))
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps([outcomes, int(status["VmHWM"].split()[0]) >> 10]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory the Linux way")
def test_hostile_files_are_refused_within_bounded_memory(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w", libver=("v110", "v110")) as file:
        file.create_dataset("features", data=np.full((2, 4), 7, np.float32), chunks=(2, 4), fletcher32=True)
    (tmp_path / "secret.raw").write_bytes(np.full(8, 7, np.float32).tobytes())
    paths = []
    for i, make in enumerate(HOSTILE):
        path = tmp_path / f"part-{i}.h5"
        with unsealed(path, TEXTS) as file:
            write_checked(file, "image_sha256", np.ones((2, 32), "u1"))
            make(file, tmp_path)
        paths.append(path)
    run = subprocess.run(
        [sys.executable, "-c", _READ, FINGERPRINT, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    outcomes, peak_mib = json.loads(run.stdout)
    for path, (make, match), outcome in zip(paths, HOSTILE.items(), outcomes, strict=True):
        assert re.search(f"{re.escape(str(path))}.* {match}", outcome), f"{make.__qualname__}: {outcome or 'was read'}"
    assert peak_mib < 150
    shutil.rmtree(tmp_path)  # half a gigabyte
