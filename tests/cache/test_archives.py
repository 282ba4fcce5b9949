"""Caches written by every past release open with their exact values; any HDF5 tool reads them as FORMAT.md says."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from stackbone.cache import FeatureStore, read_seen
from stackbone.cache.findings.found import (
    FAILED,
    READ,
    UNREAD,
    Finding,
    findings_files,
    read_findings,
    read_with_version,
)
from stackbone.cache.records.shard import is_intact
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import on_disk
from tests.made.checkout import ARCHIVES, ROOT

ARCHIVE = ARCHIVES / "v1"
SHARDS = (
    "resnet50-ea2ab74516a4/part-37d21ab9-62ab-8872-863d-4b04dfd2863c.h5",
    "resnet50-ea2ab74516a4/part-e519c584-421a-851e-9735-22abf2cda8a0.h5",
    "timm.convnext_tiny.fb_in22k-0dc2c3c4017b/part-065f2f7f-7af9-8b48-b417-0888c0f4ba8e.h5",
)
ARCHIVE_2 = ARCHIVES / "v2"
SHARDS_2 = (
    "resnet50-ea2ab74516a4/part-b7c59e66-ea62-8125-903e-976b304a7e13.h5",
    "resnet50-ea2ab74516a4/part-ce47824f-17ca-8843-a16a-2cbaedbc0f3a.h5",
    "timm.convnext_tiny.fb_in22k-0dc2c3c4017b/part-e0339d79-54de-8385-beaf-31c80e556d7b.h5",
)


def test_shards_have_the_names_and_bytes_that_they_were_written_with() -> None:
    assert {str(path.relative_to(ARCHIVE)) for path in ARCHIVE.rglob("*.h5")} == {*SHARDS, "datasets/photos.h5"}
    assert all(is_intact(ARCHIVE / name) for name in SHARDS)


def test_features_are_those_that_were_written() -> None:
    digests = np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(4)])
    resnet50, convnext = FeatureStore(ARCHIVE).feature_sets()
    assert (resnet50.backbone, convnext.backbone) == ("resnet50", "timm:convnext_tiny.fb_in22k")
    np.testing.assert_array_equal(
        resnet50.load(digests),
        np.array(
            [
                [-1.0, -0.875, -0.75, -0.625],
                [-0.5, -0.375, -0.25, -0.125],
                [0.0, 0.125, 0.25, 0.375],
                [0.5, 0.625, 0.75, 0.875],
            ],
            np.float32,
        ),
    )
    np.testing.assert_array_equal(convnext.load(digests), 2 * resnet50.load(digests))
    assert len(resnet50.digests()) == 5


def test_headers_are_those_that_were_written() -> None:
    resnet50, convnext = (each.header() for each in FeatureStore(ARCHIVE).feature_sets())
    assert (resnet50.dtype, resnet50.dim, convnext.dtype, convnext.dim) == ("float32", 4, "float16", 4)
    assert resnet50.provenance == {"created": "2025-01-01T00:00:00+00:00", "engine": "torch"}
    assert resnet50.spec.weights == "sha256:" + "ab" * 32
    assert (resnet50.spec.input_size, resnet50.spec.crop_fraction, resnet50.spec.steering) == ((224, 224), 0.875, None)
    assert resnet50.spec.mean == (0.485, 0.456, 0.406)
    assert (convnext.spec.input_size, convnext.spec.crop_fraction, convnext.spec.view) == ((288, 256), 1.0, "hflip")
    assert (convnext.spec.precision, convnext.spec.steering) == ("bf16", "cd" * 32)


def test_index_is_the_one_that_was_written() -> None:
    index = FeatureStore(ARCHIVE).dataset()
    assert (index.name, index.root) == ("photos", "/data/photos")
    assert index.path == ["a cat.jpg", "größe\n.jpg", "b'\udcff'.jpg", "double.jpg", "broken.jpg"]
    assert index.label == ["cat", "dog", "dog", "cat", ""]
    assert index.split == ["train", "train", "test", "test", ""]
    assert index.group == ["", "g1", "g1", "", ""]
    assert index.reason == ["", "", "", "", "is truncated"]
    assert index.status.tolist() == [0, 0, 0, 0, 1]
    assert index.image_sha256[3].tobytes() == hashlib.sha256(b"image 0").digest()
    assert not index.image_sha256[4].any()
    np.testing.assert_array_equal(index.stamps.values, np.arange(20).reshape(5, 4) - 1)
    assert [each.backbone for each in FeatureStore(ARCHIVE).covering(index)] == [
        "resnet50",
        "timm:convnext_tiny.fb_in22k",
    ]


def test_archive_of_version_2_holds_the_same(tmp_path: Path) -> None:
    paths = sorted(path.relative_to(ARCHIVE_2) for path in ARCHIVE_2.rglob("*.h5"))
    assert [str(path) for path in paths] == ["datasets/photos.h5", *SHARDS_2]
    assert all(is_intact(ARCHIVE_2 / name) for name in SHARDS_2)
    assert all((ARCHIVE_2 / path).read_bytes().startswith(b"stackbone-") for path in paths)
    old, new = FeatureStore(ARCHIVE), FeatureStore(ARCHIVE_2)
    digests = old.dataset().image_sha256[:3]
    for before, after in zip(old.feature_sets(), new.feature_sets(), strict=True):
        assert before.id == after.id
        assert replace(before.header(), n_rows=0) == replace(after.header(), n_rows=0)  # of the first by name
        assert len(after.digests()) == len(before.digests())
        np.testing.assert_array_equal(after.load(digests), before.load(digests))
    for column in ("name", "root", "path", "label", "split", "group", "reason"):
        assert getattr(new.dataset(), column) == getattr(old.dataset(), column)
    for column in ("image_sha256", "status"):
        np.testing.assert_array_equal(getattr(new.dataset(), column), getattr(old.dataset(), column))
    np.testing.assert_array_equal(new.dataset().stamps.values, old.dataset().stamps.values)
    seen = [read_seen(ARCHIVES / name, "cd" * 32) for name in ("seen-v1", "seen-v2")]
    assert [each.description["division"] for each in seen] == [{"cv": 3, "seed": 0, "fold": 1}] * 2
    np.testing.assert_array_equal(seen[0].digests, seen[1].digests)
    shutil.copytree(ARCHIVE_2, tmp_path / "features")
    shutil.copy(ARCHIVES / "seen-v2" / "seen.h5", (tmp_path / "features" / SHARDS_2[2]).parent)
    found = verify(FeatureStore(tmp_path / "features"))
    assert (found.n_shards, found.n_rows, found.n_records, found.n_unsealed, found.findings) == (3, 9, 1, 0, [])


def test_archived_boxes_are_those_that_were_written() -> None:
    file = ARCHIVES / "boxes-v2" / "boxes" / "photos.h5"
    table = FeatureStore(file.parents[1]).boxes("photos")
    assert table is not None
    assert (len(table), table.classes, table.source) == (3, ("cat", "größe"), "voc")
    found = [table.of(hashlib.sha256(b"image %d" % i).digest()) for i in range(3)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[2] is not None
    assert found[0].corners.tolist() == [[0, 0, 640, 480], [1.5, 2.25, 3, 4]]
    assert (found[0].classes, found[0].width, found[0].height) == (("cat", "größe"), 640, 480)
    assert (found[0].difficult.tolist(), found[0].crowd.tolist()) == ([True, False], [False, True])
    assert (len(found[1]), found[1].width, found[1].height) == (0, 3, 5)
    assert (found[2].corners.tolist(), found[2].width, found[2].crowd.tolist()) == ([[1.5, 2.25, 3, 4]], 0, [True])


def test_any_hdf5_tool_reads_boxes_as_the_format_says() -> None:
    with h5py.File(ARCHIVES / "boxes-v2" / "boxes" / "photos.h5") as file:
        attributes = {name: file.attrs[name].decode() for name in file.attrs}
        columns = {name: file[name][:] for name in file}
    assert attributes == {"format": "stackbone-boxes", "format_version": "2", "name": "photos", "source": "voc"}
    names = {"image_sha256", "n_boxes", "width", "height", "class_name", "corners", "class", "difficult", "crowd"}
    assert columns.keys() == names
    digests = [hashlib.sha256(b"image %d" % i).digest() for i in range(3)]
    assert [row.tobytes() for row in columns["image_sha256"]] == sorted(digests)
    counts = dict(zip(sorted(digests), columns["n_boxes"].tolist(), strict=True))
    assert [counts[digest] for digest in digests] == [2, 0, 1]
    assert [name.decode() for name in columns["class_name"]] == ["cat", "größe"]
    assert (columns["corners"].shape, columns["corners"].dtype) == ((3, 4), np.dtype("<f4"))
    assert sorted(columns["class"].tolist()) == [0, 1, 1]


def test_archived_corrections_are_those_that_were_written() -> None:
    (batch,) = FeatureStore(ARCHIVES / "corrections-v2").corrections("photos")
    assert (batch.path, batch.label, batch.was) == (["a cat.jpg", "größe\n.jpg"], ["dog", ""], ["cat", "dog"])
    assert [row.tobytes() for row in batch.image_sha256] == [hashlib.sha256(b"image %d" % i).digest() for i in range(2)]
    assert (batch.label_form, batch.source) == ("", "fix.csv")


def test_archived_findings_are_those_that_were_written(tmp_path: Path) -> None:
    digests = [hashlib.sha256(b"image %d" % i).digest() for i in range(3)]
    assert read_findings(ARCHIVES / "findings-v2", "photos") == {
        digests[0]: Finding(READ),
        digests[1]: Finding(UNREAD, "no permission"),
        digests[2]: Finding(READ, "is cut short; took the first of 2 frames"),
    }
    first = findings_files(ARCHIVES / "findings-v2", "photos")[0]
    assert read_with_version(first)[0][digests[0]] == Finding(FAILED, "größe \udcff")
    shutil.copytree(ARCHIVE_2, tmp_path / "features")
    shutil.copytree(ARCHIVES / "findings-v2" / "findings", tmp_path / "features" / "findings")
    index = FeatureStore(tmp_path / "features").dataset()
    assert index.status.tolist() == [0, 1, 0, 0, 1]
    assert index.reason == ["", "no permission", "is cut short; took the first of 2 frames", "", "is truncated"]


def test_any_hdf5_tool_reads_findings_as_the_format_says() -> None:
    with h5py.File(findings_files(ARCHIVES / "findings-v2", "photos")[0]) as file:
        attributes = {name: file.attrs[name].decode() for name in file.attrs}
        columns = {name: file[name][:] for name in file}
    assert attributes == {"format": "stackbone-findings", "format_version": "2", "name": "photos"}
    assert columns.keys() == {"image_sha256", "status", "reason"}
    assert (columns["status"].tolist(), columns["status"].dtype) == ([1, 2, 0], np.uint8)
    assert columns["reason"][0] == "größe ".encode() + b"\xff"
    assert [row.tobytes() for row in columns["image_sha256"]] == [
        hashlib.sha256(b"image %d" % i).digest() for i in range(3)
    ]


def test_a_cache_of_version_1_grows_by_shards_of_version_2(tmp_path: Path) -> None:
    shutil.copytree(ARCHIVE, tmp_path / "features")
    store = FeatureStore(tmp_path / "features")
    resnet50 = store.feature_sets()[0]
    before, old = resnet50.load(resnet50.digests()), resnet50.digests()
    new = np.random.default_rng(0).integers(0, 256, (3, 32), dtype=np.uint8)
    added = resnet50.append(resnet50.header().spec, new, np.ones((3, 4), np.float32), {})
    assert on_disk(added).read_bytes().startswith(b"stackbone-features 2\n")
    np.testing.assert_array_equal(resnet50.load(np.concatenate([old, new]))[:5], before)
    assert not resnet50.missing(np.concatenate([old, new])).any()
    store.write_dataset(store.dataset())
    assert verify(store).n_unsealed == 0
    merged = compact(resnet50)
    assert (merged.shards_before, merged.shards_after, merged.rows_after) == (3, 1, 7)
    np.testing.assert_array_equal(resnet50.load(old), before)
    assert all(on_disk(path).read_bytes().startswith(b"stackbone-") for path in resnet50.shards())


def test_archive_is_sound_beside_the_record_of_its_steering(tmp_path: Path) -> None:
    (finding,) = verify(FeatureStore(ARCHIVE)).findings
    assert "has no seen.h5" in finding.problem
    shutil.copytree(ARCHIVE, tmp_path / "features")
    steered = tmp_path / "features" / SHARDS[2].split("/")[0]
    shutil.copy(ARCHIVES / "seen-v1" / "seen.h5", steered)
    found = verify(FeatureStore(tmp_path / "features"))
    assert (found.n_shards, found.n_rows, found.n_indexes, found.findings) == (3, 9, 1, [])
    assert found.n_unsealed == 2
    assert "2 index or record files use format version 1" in "\n".join(found.lines())


def _snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "cache" / "FORMAT.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Copy the newest archive to the names that FORMAT.md uses."""
    cache = tmp_path / "features"
    shutil.copytree(ARCHIVE_2, cache)
    (cache / SHARDS_2[1].split("/")[0]).rename(cache / "resnet50-1f0c5a9b2e77")
    for path in (cache / "resnet50-1f0c5a9b2e77").iterdir():
        if path.name == SHARDS_2[1].split("/")[1]:
            path.rename(path.with_name("part-….h5"))
    return tmp_path


@pytest.mark.parametrize(("number", "says"), [(0, r"\(3, 4\)"), (1, "dog +2")])
def test_python_snippets_of_the_format_work(features: Path, number: int, says: str) -> None:
    snippet = _snippets("python")[number]
    assert ("h5py" in snippet, "pandas" in snippet) == (True, number == 1)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        cwd=features,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert re.search(says, run.stdout)


@pytest.mark.skipif(not (shutil.which("h5ls") and shutil.which("h5dump")), reason="h5ls and h5dump are not installed")
def test_shell_snippets_of_the_format_work(features: Path) -> None:
    (snippet,) = _snippets("sh")
    run = subprocess.run(["sh", "-e", "-c", snippet], cwd=features, capture_output=True, text=True, check=True)
    for words in ("{3, 4}", "resnet50.tv_in1k", "-0.875"):
        assert words in run.stdout
