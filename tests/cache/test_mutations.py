"""Whatever is changed in a file, and its seal renewed, a reader refuses it in words or reads values: nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, FeatureSpec, FileStamps, SeenRecord, StackboneError, write_seen
from stackbone.cache.boxes.box_file import read_boxes, write_boxes
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.hdf5.seal import BLOCK_BYTES, Seal, sealed
from stackbone.cache.records.indexes.index_file import read_index, write_index
from stackbone.cache.records.seen import load_record
from stackbone.cache.records.shard import read_rows, write_shard
from tests.made.caches import on_disk
from tests.made.sealing import seal_of

N_MUTATIONS = 400
SPEC = FeatureSpec(
    "resnet50.tv_in1k", "random(0)", (224, 224), 0.875, "center", "bilinear", (0.5,) * 3, (0.5,) * 3, "avg"
)
DESCRIPTION = {"method": "toast", "stage": "tune", "backbone": "vit", "recipe": "ab", "division": None, "seed": 0}
DIGESTS = np.random.default_rng(0).integers(0, 256, (6, 32), dtype=np.uint8)


def _shard(folder: Path) -> Path:
    return on_disk(write_shard(folder, SPEC, DIGESTS, np.ones((6, 4), np.float32), {"engine": "torch"}))


def _index(folder: Path) -> Path:
    index = DatasetIndex(
        name="photos",
        root="/",
        path=[f"{i}.jpg" for i in range(6)],
        label=["cat", "dog"] * 3,
        split=[""] * 6,
        group=["g"] * 6,
        image_sha256=DIGESTS,
        status=np.zeros(6, np.uint8),
        reason=[""] * 6,
        stamps=FileStamps(np.arange(24, dtype=np.int64).reshape(6, 4)),
    )
    path = folder / "photos.h5"
    write_index(path, index)
    return path


def _record(folder: Path) -> Path:
    write_seen(folder, SeenRecord("c0" * 32, DIGESTS, dict(DESCRIPTION)))
    return folder / "seen.h5"


def _read_shard(path: Path) -> object:
    return [values.tobytes() for values in read_rows(path, SPEC.fingerprint)]


def _read_index(path: Path) -> object:
    index = read_index(path)
    return [
        index.path,
        index.label,
        index.image_sha256.tobytes(),
        index.status.tobytes(),
        index.stamps.values.tobytes(),
    ]


def _read_record(path: Path) -> object:
    record = load_record(path)
    return [record.steering, record.description, record.digests.tobytes()]


def _boxes(folder: Path) -> Path:
    corners = np.array([[0, 0, 4, 3], [1, 1, 2, 2.5]], np.float32)
    image = ImageBoxes(corners, ("cat", "dog"), np.array([True, False]), np.array([False, True]), 4, 3)
    return on_disk(write_boxes(folder, "photos", box_table({digest.tobytes(): image for digest in DIGESTS}, "voc")))


def _read_boxes(path: Path) -> object:
    table = read_boxes(path)
    flat = table.flat
    arrays = (table.digests, flat.counts, flat.sizes, flat.corners, flat.classes, flat.difficult, flat.crowd)
    return [table.source, flat.names, *(values.tobytes() for values in arrays)]


KINDS = [(_shard, _read_shard), (_index, _read_index), (_record, _read_record), (_boxes, _read_boxes)]


def _mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return other bytes: a flipped bit, a number of HDF5's liking, a piece copied elsewhere, or an end cut off."""
    changed = bytearray(content)
    at = int(rng.integers(len(changed)))
    kind = rng.integers(4)
    if kind == 0:
        changed[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        width = int(rng.choice([1, 2, 4, 8]))
        number = int(rng.choice([0, 1, 7, len(changed), (1 << 8 * width - 1) - 1, (1 << 8 * width) - 1]))
        changed[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
    elif kind == 2:
        source = int(rng.integers(len(changed)))
        changed[at : at + 16] = changed[source : source + 16]
    else:
        del changed[at:]
    return bytes(changed)


def _values_or_error(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except StackboneError as exc:
        return exc


def _resealed(seal: Seal, hdf5: bytes) -> bytes:
    start = min(seal.start, BLOCK_BYTES + len(hdf5))
    length = min(seal.length, BLOCK_BYTES + len(hdf5) - start)
    return sealed(seal.kind, seal.version, hdf5, start, length)


@pytest.mark.parametrize(("write", "read"), KINDS)
def test_files_changed_under_their_seal_are_refused(
    tmp_path: Path, write: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    path = write(tmp_path)
    content, sound = path.read_bytes(), read(path)
    rng = np.random.default_rng(1)
    for number in range(N_MUTATIONS):
        changed = _mutated(content, rng)
        path.write_bytes(changed)
        found = _values_or_error(read, path)
        if changed == content:
            assert found == sound, number
        else:
            assert isinstance(found, StackboneError), number
            assert str(path) in str(found), number


@pytest.mark.parametrize(("write", "read"), KINDS)
def test_files_changed_and_sealed_anew_end_in_words_or_in_values(
    tmp_path: Path, write: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    path = write(tmp_path)
    seal, content = seal_of(path), path.read_bytes()
    rng = np.random.default_rng(2)
    n_refused = 0
    for number in range(N_MUTATIONS):
        path.write_bytes(_resealed(seal, _mutated(content[BLOCK_BYTES:], rng)))
        started_s = time.process_time()
        found = _values_or_error(read, path)
        assert time.process_time() - started_s < 5, number
        if isinstance(found, StackboneError):
            assert str(path) in str(found), number
            n_refused += 1
    assert n_refused > N_MUTATIONS // 4
