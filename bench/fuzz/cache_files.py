"""Files of a cache: shards, indexes, records of what a steering saw."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np

import stackbone.cache.hdf5.chunks
import stackbone.cache.hdf5.source
from fuzz.mutations import Rng, mutate, mutate_json
from fuzz.trial import OutOfForm
from stackbone.cache import CacheError, FeatureStore
from stackbone.cache.hdf5.checksums import fletcher32, lookup3
from stackbone.cache.hdf5.seal import BLOCK_BYTES, START, parse_seal, sealed
from stackbone.cache.records.indexes.index_file import read_index, write_index
from stackbone.cache.records.indexes.listed import Listed, Skipped
from stackbone.cache.records.seen import load_record
from stackbone.cache.records.shard import _name
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from stackbone.stack.divisions.division import options_of

_ARCHIVES = Path(__file__).resolve().parents[2] / "tests" / "archives"
_LISTED = Listed(
    [Skipped(".txt", "not an image", 3, "notes/a.txt"), Skipped("@eaDir", "made by a file server", 1, "x/@eaDir/")],
    ["'dev' is the split 'validation'."],
    ["/photos", "--exclude", "*_mask.png"],
)


class _CacheFile:
    """A file of format version 1 or 2; its checksums are renewed after every other change."""

    pattern = ""
    texts: tuple[str, ...] = ()

    def __init__(self, version: int = 2) -> None:
        self._version = version
        self._checked: list[tuple[int, int, Callable[[bytes], int]]] | None = None

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        shutil.copytree(_ARCHIVES / f"v{self._version}", folder / "cache")
        shutil.copytree(_ARCHIVES / f"seen-v{self._version}", folder / "seen")

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        raise NotImplementedError

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        path = sorted(folder.glob(self.pattern))[0]
        if self._version == 1 and self._checked is None:
            self._checked = self._find_checksums(folder, path)
        kind = int(rng.integers(4))
        if kind == 0:
            path.write_bytes(mutate(path.read_bytes(), rng))
            return False
        if kind == 1 and self.texts:
            self._change_text(path, rng)
        else:
            content = path.read_bytes()
            start = BLOCK_BYTES if self._version > 1 else 0
            path.write_bytes(self._renewed(content, mutate(content[start:], rng)))
        if self._version > 1 and rng.integers(2):
            self.renew_name(path)
        return True

    def renew_name(self, path: Path) -> None:
        """Give it the name that its bytes promise."""

    def _change_text(self, path: Path, rng: Rng) -> None:
        """Change the JSON in an attribute, as another program that writes HDF5 would."""
        name = self.texts[int(rng.integers(len(self.texts)))]
        content = path.read_bytes()
        bare = path.with_name("bare")
        bare.write_bytes(content)  # with its first block, behind which the superblock says that it lies
        with h5py.File(bare, "r+", libver=("v110", "v110")) as file:
            text = mutate_json(file.attrs[name], rng)[:60_000]
            file.attrs.create(name, np.array(text, h5py.string_dtype("utf-8", max(1, len(text)))))
        changed = bare.read_bytes()
        bare.unlink()
        path.write_bytes(self._renewed(content, changed[BLOCK_BYTES:]) if self._version > 1 else changed)

    def _renewed(self, content: bytes, hdf5: bytes) -> bytes:
        """Return a file whose seal, or whose checksums, hold."""
        if self._version > 1:
            seal = parse_seal(memoryview(content)[:BLOCK_BYTES])
            start = min(seal.start, BLOCK_BYTES + len(hdf5))
            length = min(seal.length, BLOCK_BYTES + len(hdf5) - start)
            return sealed(seal.kind, seal.version, hdf5, start, length)
        changed = bytearray(hdf5)
        for first, last, checksum in self._checked or []:
            if last + 4 <= len(changed):
                changed[last : last + 4] = checksum(bytes(changed[first:last])).to_bytes(4, "little")
        return bytes(changed)

    def _find_checksums(self, folder: Path, path: Path) -> list[tuple[int, int, Callable[[bytes], int]]]:
        """Return the pieces of a sound file that have a checksum behind them, innermost first."""
        seen: list[tuple[bytes, Callable[[bytes], int]]] = []

        def spy(checksum: Callable[[bytes], int]) -> Callable[[bytes], int]:
            return lambda piece: (seen.append((bytes(piece), checksum)), checksum(piece))[1]  # type: ignore[func-returns-value]

        with (
            patch.object(stackbone.cache.hdf5.source, "lookup3", spy(lookup3)),
            patch.object(stackbone.cache.hdf5.chunks, "fletcher32", spy(fletcher32)),
        ):
            self.read(folder)
        content = path.read_bytes()
        found: dict[int, tuple[int, int, Callable[[bytes], int]]] = {}
        for piece, checksum in seen:
            at = content.find(piece + checksum(piece).to_bytes(4, "little"))
            if at >= 0:
                found[at] = (at, at + len(piece), checksum)
        return sorted(found.values(), key=lambda each: each[1] - each[0])


class Shard(_CacheFile):
    """A shard, read by `load`, `verify` and `inspect`."""

    pattern = "cache/resnet50-*/part-*.h5"
    texts = ("spec", "provenance")

    def renew_name(self, path: Path) -> None:
        """Give it the name that its bytes promise."""
        content = path.read_bytes()
        if content.startswith(START):
            path.rename(path.with_name(_name(parse_seal(memoryview(content)[:BLOCK_BYTES]).head)))

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        store = FeatureStore(folder / "cache")
        verify(store).lines()
        shown: object = None
        refusal: CacheError | None = None
        try:
            shown = summarise(store).to_dict()
        except CacheError as exc:
            refusal = exc
        digests = np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(4)])
        feature_set = next(each for each in store.feature_sets() if each.backbone == "resnet50")
        features = feature_set.load(digests)
        if features.dtype != np.float32 or features.ndim != 2 or not np.isfinite(features).all():
            message = f"features of {features.dtype} {features.shape}"
            raise OutOfForm(message)
        if refusal:
            raise refusal
        return features.tobytes(), json.dumps(shown, sort_keys=True) if self._version > 1 else ""


class Index(_CacheFile):
    """An index, read by every command."""

    pattern = "cache/datasets/photos.h5"

    def __init__(self, version: int = 2) -> None:
        super().__init__(version)
        self.texts = ("listed",) if version > 1 else ()

    def make(self, folder: Path) -> None:
        """Write a sound one, which tells how its dataset was listed."""
        super().make(folder)
        path = folder / self.pattern
        if self._version > 1:
            write_index(path, replace(read_index(path), listed=_LISTED))

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        index = read_index(folder / "cache" / "datasets" / "photos.h5")
        store = FeatureStore(folder / "cache")
        verify(store).lines()
        summarise(store).lines()
        columns = [index.path, index.label, index.split, index.group, index.reason]
        arrays = (index.image_sha256, index.status, index.stamps.values)
        lengths = {len(each) for each in columns} | {len(each) for each in arrays}
        if len(lengths) != 1 or index.image_sha256.shape[1:] != (32,):
            message = f"columns of the lengths {lengths}"
            raise OutOfForm(message)
        listed = index.listed
        texts = [*listed.notes, *listed.asked, *(text for each in listed.skipped for text in (each.sort, each.reason))]
        if not all(type(text) is str for text in [*texts, *listed.lines()]):
            message = f"texts of the listing {texts[:3]}"
            raise OutOfForm(message)
        told = (list(listed.skipped), list(listed.notes), list(listed.asked))
        stamps = index.stamps.values.tobytes()
        return columns, index.root, index.image_sha256.tobytes(), index.status.tobytes(), stamps, told


class Seen(_CacheFile):
    """A record of what a steering saw, and the commands and lines that are made of it."""

    pattern = "seen/seen.h5"
    texts = ("description",)

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        record = load_record(folder / "seen" / "seen.h5")
        told = [record.line(), options_of(record.description["division"] or {"split": "x"})]
        if record.digests.shape[1:] != (32,) or not all(text.isprintable() for text in told):
            message = f"{record.digests.shape} digests, {told}"
            raise OutOfForm(message)
        return record.steering, record.description, record.digests.tobytes(), told
