"""Commands that read a cache while another process merges its shards find nothing damaged and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, FeatureStore
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import on_disk
from tests.made.checkout import ROOT

SPEC = FeatureSpec(
    "resnet50.tv_in1k", "random(0)", (224, 224), 0.875, "center", "bilinear", (0.5,) * 3, (0.5,) * 3, "avg"
)
N_ROUNDS = 15

_MERGE = """
import sys
from stackbone.cache import FeatureStore
from stackbone.cache.upkeep.compact import compact

print("merging", flush=True)
for _ in sys.stdin:  # a round for each look
    for feature_set in FeatureStore(sys.argv[1]).feature_sets():
        digests = feature_set.digests()
        rows = feature_set.load(digests)
        spec = feature_set.header().spec
        for start in range(0, len(digests), 5):
            feature_set.append(spec, digests[start : start + 5], rows[start : start + 5], {"part": str(start)})
        compact(feature_set)
"""


def test_verify_and_inspect_beside_compact_find_nothing_damaged(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    digests = np.random.default_rng(0).integers(0, 256, (60, 32), dtype=np.uint8)
    rows = digests[:, :8].astype(np.float32)
    for view in ("plain", "hflip"):
        spec = replace(SPEC, view=view)
        store.feature_set("resnet50", spec).append(spec, digests, rows, {})
    options = {"cwd": ROOT, "text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    merging = subprocess.Popen([sys.executable, "-c", _MERGE, str(store.root)], **options)  # type: ignore[call-overload]
    assert merging.stdout.readline() == "merging\n"
    for _ in range(N_ROUNDS):
        merging.stdin.write("look\n")
        merging.stdin.flush()
        look = FeatureStore(store.root)  # as a new command has it
        assert [each.problem for each in verify(look, repair=True).findings] == []
        assert [each.n_rows for each in summarise(look).feature_sets] == [60, 60]
    merging.stdin.close()
    assert merging.wait(60) == 0
    merging.stdout.close()
    for feature_set in store.feature_sets():
        np.testing.assert_array_equal(feature_set.load(digests), rows)
        assert len(feature_set.shards()) == 1
    assert not (store.root / "set-aside").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions stop no administrator")
def test_repair_of_a_cache_that_may_not_be_written_tells_what_it_found(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    digests = np.ones((2, 32), np.uint8)
    path = store.feature_set("resnet50", SPEC).append(SPEC, digests, np.ones((2, 4), np.float32), {})
    on_disk(path).write_bytes(b"")
    folders = [store.root, path.parent]
    for folder in folders:
        on_disk(folder).chmod(0o555)
    try:
        (finding,) = verify(store, repair=True).findings
    finally:
        for folder in folders:
            on_disk(folder).chmod(0o755)
    assert (finding.path, finding.moved_to) == (path, None)
    assert "could not be set aside: " in finding.line()
    assert path.exists()


def _refuse(*_args: object) -> None:
    raise PermissionError(13, os.strerror(13))


def test_repair_goes_on_where_a_file_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path / "features")
    feature_set = store.feature_set("resnet50", SPEC)
    for fill in (1, 2, 3):
        digests = np.full((2, 32), fill, np.uint8)
        on_disk(feature_set.append(SPEC, digests, np.ones((2, 4), np.float32), {})).write_bytes(b"")
    monkeypatch.setattr(Path, "rename", _refuse)
    found = verify(store, repair=True).findings
    assert [each.moved_to for each in found] == [None] * 3
    assert all("Permission denied. Move it out of the cache by hand" in each.line() for each in found)
