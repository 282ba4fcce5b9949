"""Any number of processes write into one feature set at once, while others read: the union, each row right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, FeatureStore, as_keys
from stackbone.cache.upkeep.verify import verify
from tests.made.checkout import ROOT
from tests.made.servers import as_endpoint, s3_server

_SHARED = """
import hashlib, sys, time
from pathlib import Path
import numpy as np
from stackbone.cache import FeatureSpec, FeatureStore

SPEC = FeatureSpec("resnet50.tv_in1k", "random(0)", (224, 224), 0.875, "center", "bilinear",
                   (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "avg")
DIGESTS = np.stack([np.frombuffer(hashlib.sha256(b"%d" % i).digest(), np.uint8) for i in range(400)])

def features_of(digests):
    return np.tile(digests, 4).astype(np.float32)

store = FeatureStore(sys.argv[1])
feature_set = store.feature_set("resnet50", SPEC)
"""
_WRITER = """
# Each writer starts with a clean-up, as `extract` does, and writes an overlapping half in an order of its own.
number = int(sys.argv[2])
mine = np.random.default_rng(number).permutation(DIGESTS[number * 60 : number * 60 + 220])
for part in np.array_split(mine, 12):
    store.remove_abandoned()
    feature_set.append(SPEC, part, features_of(part), {"writer": str(number)})
"""
_SPLITTER = """
# As two runs of `extract` on one folder: each asks what is missing and writes some of it.
while True:
    missing = DIGESTS[feature_set.missing(DIGESTS)]
    if not len(missing):
        break
    part = missing[: 25] if sys.argv[2] == "0" else missing[-25:]
    feature_set.append(SPEC, part, features_of(part), {})
"""
_COMPACTOR = """
from stackbone.cache.upkeep.compact import compact
deadline = time.monotonic() + 30
while not Path(sys.argv[2]).exists() and time.monotonic() < deadline:
    compact(feature_set)
"""
_READER = """
n_reads, most = 0, 0
deadline = time.monotonic() + 30
while not Path(sys.argv[2]).exists() and time.monotonic() < deadline:
    here = DIGESTS[~feature_set.missing(DIGESTS)]
    if len(here):
        assert (feature_set.load(here) == features_of(here)).all()
        n_reads, most = n_reads + 1, max(most, len(here))
        assert len(here) == most
print(n_reads)
"""


@pytest.fixture(params=["folder", "s3"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "features")
        return
    with s3_server() as address, as_endpoint(address):
        yield "s3://bucket/features"


def start(script: str, cache: str, argument: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", _SHARED + script, cache, argument]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return output


def check_union(cache: str) -> None:
    names: dict[str, object] = {}
    exec("import sys; sys.argv = ['', '']\n" + _SHARED, names)
    digests, features_of = names["DIGESTS"], names["features_of"]
    assert isinstance(digests, np.ndarray)
    assert callable(features_of)
    (feature_set,) = FeatureStore(cache).feature_sets()
    assert isinstance(feature_set.header().spec, FeatureSpec)
    np.testing.assert_array_equal(np.unique(as_keys(feature_set.digests())), np.sort(as_keys(digests)))
    np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))
    assert all(path.name.startswith("part-") for path in feature_set.folder.iterdir())
    assert verify(FeatureStore(cache)).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("with_compaction", [False, True])
def test_four_writers_end_with_the_union_and_a_reader_never_sees_a_wrong_row(
    tmp_path: Path, cache: str, *, with_compaction: bool
) -> None:
    stop = tmp_path / "stop"
    others = [start(_READER, cache, str(stop))]
    others += [start(_COMPACTOR, cache, str(stop))] if with_compaction else []
    for writer in [start(_WRITER, cache, str(number)) for number in range(4)]:
        finish(writer)
    stop.touch()
    n_reads, *_ = [finish(other) for other in others]
    assert int(n_reads) > 0
    check_union(cache)


@pytest.mark.slow
def test_two_writers_of_the_same_images_share_or_repeat_the_work(cache: str) -> None:
    for writer in [start(_SPLITTER, cache, str(number)) for number in range(2)]:
        finish(writer)
    check_union(cache)
