"""`stackbone audit` from its options to its table, JSON and files."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from tests.conftest import InProcess, MakeCache

LABELS = ["cat", "dog", "emu"] * 12
FAST = ("audit", "--kinds", "copy,conflict,leak,outlier,tiny")


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache beside which commands run; its last image is a copy of its first."""
    return make_cache(tmp_path / "features", [*LABELS, "cat"], content=[*range(36), 0], noise=0.5)


def test_the_table_counts_and_shows_the_gravest(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("audit", "--kinds", "label,copy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "photos: 36 images, as 2 backbones see them; 1 finding of 1 kind"
    assert ["copy", "1", "Copies", "within", "a", "class"] in [line.split() for line in lines]
    (row,) = [line for line in lines if line.startswith("cat/36.jpg")]
    assert "the same picture as cat/0.jpg, byte for byte" in row
    shorter = in_process("audit", "--kinds", "copy", "--top", "0", cwd=tmp_path)
    assert "cat/36.jpg" not in shorter.stdout


def test_files_and_json_hold_every_finding(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    files = ("--csv", "rows.csv", "--parquet", "rows.parquet", "--json", "--top", "0")
    done = in_process(*FAST, *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["counts"]["copy"] == 1
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [(each["kind"], each["image"]) for each in rows] == [
        (each["kind"], each["image"]) for each in content["findings"]
    ]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "rows.parquet")
    assert parquet.to_pylist() == content["findings"]
    assert list(rows[0]) == ["kind", "image", "score", "label", "suggested_label", "suggestion", "evidence"]


def test_files_without_findings_have_their_columns(
    tmp_path: Path, make_cache: MakeCache, in_process: InProcess
) -> None:
    make_cache(tmp_path / "features", LABELS)
    done = in_process("audit", "--kinds", "copy", "--csv", "a.csv", "--parquet", "a.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing found" in done.stdout
    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig").strip().startswith("kind,image,score")
    assert pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "a.parquet").num_rows == 0


def test_unlabelled_images_say_what_is_left_out(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    store.write_dataset(replace(store.dataset(), label=[""] * 37))
    done = in_process("audit", "--without-files", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left out: label (no image has a label)" in done.stdout
    assert "left out: dark (the files were not looked at)" in done.stdout
    assert "cat/36.jpg" in done.stdout
    refused = in_process("audit", "--kinds", "label,ambiguous", cwd=tmp_path)
    assert refused.returncode == 1
    assert "no image has a label" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kinds", "lable"), "'label'"),
        (("--backbones", "resnet51"), "did you mean 'resnet50'"),
        (("--dataset", "other"), "it has photos"),
        (("--csv", "rows.txt"), ".csv"),
        (("--group-by", "patient"), "--group-by takes"),
        (("--cv", "1"), "2 or more"),
    ],
)
def test_wrong_usage_is_said(
    store: FeatureStore, tmp_path: Path, in_process: InProcess, words: tuple[str, ...], said: str
) -> None:
    done = in_process("audit", "--kinds", "label", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr


def test_an_empty_cache_is_said(tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("audit", cwd=tmp_path)
    assert done.returncode == 1
    assert "stackbone extract" in done.stderr


def test_files_are_looked_at(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    """The index lists real files, one of them black."""
    rng = np.random.default_rng(0)
    digests = []
    for row in range(37):
        pixels = rng.integers(0, 256 if row else 20, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        digests.append(np.frombuffer(hashlib.sha256((tmp_path / f"{row}.png").read_bytes()).digest(), np.uint8))
    paths = [f"{row}.png" for row in range(37)]
    store.write_dataset(
        replace(store.dataset(), root=str(tmp_path), path=paths, image_sha256=np.stack(digests), label=[""] * 37)
    )
    done = in_process("audit", "--kinds", "dark,blurred", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Dark images (dark)" in done.stdout
    assert any(line.startswith("0.png") for line in done.stdout.splitlines())
    (tmp_path / "1.png").unlink()
    again = in_process("audit", "--kinds", "dark", cwd=tmp_path)
    assert "1 file could not be looked at; the first is '1.png'" in again.stderr
