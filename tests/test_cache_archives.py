"""Caches written by every past release open with their exact values; any HDF5 tool reads them as FORMAT.md says."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cache import FeatureStore
from cache.shard import is_intact
from cache.verify import verify

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT / "tests" / "archives" / "v1"
SHARDS = (
    "resnet50-ea2ab74516a4/part-37d21ab9-62ab-8872-863d-4b04dfd2863c.h5",
    "resnet50-ea2ab74516a4/part-e519c584-421a-851e-9735-22abf2cda8a0.h5",
    "timm.convnext_tiny.fb_in22k-0dc2c3c4017b/part-065f2f7f-7af9-8b48-b417-0888c0f4ba8e.h5",
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


def test_archive_is_sound_beside_the_record_of_its_steering(tmp_path: Path) -> None:
    (finding,) = verify(FeatureStore(ARCHIVE)).findings
    assert "has no seen.h5" in finding.problem
    shutil.copytree(ARCHIVE, tmp_path / "features")
    steered = tmp_path / "features" / SHARDS[2].split("/")[0]
    shutil.copy(ROOT / "tests" / "archives" / "seen-v1" / "seen.h5", steered)
    found = verify(FeatureStore(tmp_path / "features"))
    assert (found.n_shards, found.n_rows, found.n_indexes, found.findings) == (3, 9, 1, [])


def _snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "cache" / "FORMAT.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Copy the archive to the names that FORMAT.md uses."""
    cache = tmp_path / "features"
    shutil.copytree(ARCHIVE, cache)
    (cache / SHARDS[0].split("/")[0]).rename(cache / "resnet50-1f0c5a9b2e77")
    for path in (cache / "resnet50-1f0c5a9b2e77").iterdir():
        if path.name == SHARDS[0].split("/")[1]:
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
    for words in ("{3/Inf, 4/4}", "resnet50.tv_in1k", "-0.875"):
        assert words in run.stdout
