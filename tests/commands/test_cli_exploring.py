"""`stackbone search`, `similar`, `cluster` and `compare-backbones` from their options to tables, JSON and files."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from tests.conftest import InProcess, MakeCache

LABELS = ["cat", "dog", "emu"] * 8


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache beside which commands run, whose images lie beside it too."""
    store = make_cache(tmp_path / "features", LABELS, noise=0.5, root=tmp_path)
    rng = np.random.default_rng(0)
    for path in store.dataset().path:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / path)
    return store


@pytest.fixture
def listed(store: FeatureStore, tmp_path: Path) -> FeatureStore:
    """Return the same, with the digests that the files have."""
    index = store.dataset()
    digests = [np.frombuffer(hashlib.sha256((tmp_path / path).read_bytes()).digest(), np.uint8) for path in index.path]
    for each in store.feature_sets():
        x, spec = each.load(index.image_sha256), each.header().spec
        each.append(spec, np.stack(digests), x, {"engine": "torch"})
    store.write_dataset(replace(index, image_sha256=np.stack(digests)))
    return store


def test_a_search_prints_the_query_itself_and_the_nearest(
    store: FeatureStore, tmp_path: Path, in_process: InProcess
) -> None:
    shutil.rmtree(tmp_path / "cat")  # what the cache knows needs no file
    done = in_process("search", "cat/0.jpg", "--k", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "cat/0.jpg: nearest of 24 images of photos, by resnet50, vgg19"
    assert lines[1].split() == ["rank", "image", "label", "similarity", "resnet50", "vgg19"]
    assert lines[2].split()[:4] == ["itself", "cat/0.jpg", "cat", "1.000"]
    assert [line.split()[0] for line in lines[3:]] == ["1", "2", "3"]


def test_a_file_of_the_dataset_is_known_by_its_bytes(
    listed: FeatureStore, tmp_path: Path, in_process: InProcess
) -> None:
    """Under another name, in another folder: no network is asked for."""
    shutil.copy(tmp_path / "dog/4.jpg", tmp_path / "holiday.jpg")
    done = in_process("search", "holiday.jpg", "--k", "1", "--by", "vgg19", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["hits"]
    assert (first["rank"], first["path"], second["rank"]) == (0, "dog/4.jpg", 1)


def test_queries_that_fail_are_listed_and_the_others_answered(
    listed: FeatureStore, tmp_path: Path, in_process: InProcess
) -> None:
    (tmp_path / "notes.txt").write_text("text")
    asked = ("nowhere.jpg", "notes.txt", "dog", "cat/0.jpg")
    done = in_process("search", *asked, "--k", "2", "--csv", "r.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: 'nowhere.jpg': there is no such file" in done.stderr
    assert "failed: 'notes.txt': it is no image" in done.stderr
    assert "failed: 'dog': is a folder" in done.stderr
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["query"], row["rank"]) for row in rows] == [("cat/0.jpg", rank) for rank in ("0", "1", "2")]
    assert list(rows[0])[-2:] == ["cosine:resnet50", "cosine:vgg19"]


def test_a_query_that_is_no_picture_ends_with_a_sentence(
    listed: FeatureStore, tmp_path: Path, in_process: InProcess
) -> None:
    (tmp_path / "notes.txt").write_text("text")
    done = in_process("search", "notes.txt", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'notes.txt': it is no image, by its extension and its first bytes" in done.stderr


@pytest.mark.parametrize("command", [("search", "cat/0.jpg", "--k", "4"), ("cluster", "--clusters", "3")])
def test_sheets_show_pictures_and_say_which_are_missing(
    listed: FeatureStore, tmp_path: Path, in_process: InProcess, command: tuple[str, ...]
) -> None:
    done = in_process(*command, "--html", "s.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["html"], content["missing_pictures"]) == ("s.html", [])
    page = (tmp_path / "s.html").read_text()
    assert page.count("data:image/webp") == (5 if command[0] == "search" else 24)
    (tmp_path / "cat/0.jpg").unlink()
    again = in_process(*command, "--html", "s.html", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "1 picture left out of the sheet; the first is 'cat/0.jpg'" in again.stderr
    assert "no picture: " in (tmp_path / "s.html").read_text()


def test_more_than_there_are_is_a_note(listed: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("search", "cat/0.jpg", "--k", "500", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: 500 images were asked for, and there are 23: all are taken" in done.stderr


def test_similar_prints_classes_and_writes_rows(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("similar", "--k", "2", "--csv", "n.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split("  ")[0] == "class"
    rows = list(csv.DictReader((tmp_path / "n.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 48
    assert {row["path"] for row in rows} == set(store.dataset().path)
    plain = in_process("similar", cwd=tmp_path)
    assert "the neighbours themselves go to --csv FILE" in plain.stderr


def test_clusters_are_printed_and_written(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("cluster", "--csv", "c.csv", "--parquet", "c.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "photos: 24 images in 3 clusters, by kmeans on resnet50, vgg19" in done.stdout
    assert "mean silhouette of numbers tried, the best: 3: " in done.stdout
    assert "agreement with labels, over 24 images: ARI 1.000, NMI 1.000" in done.stdout
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert {(row["cluster"], row["name"]) for row in rows} == {("1", "cat"), ("2", "dog"), ("3", "emu")}
    assert all(row["name"] == row["label"] for row in rows)
    assert pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "c.parquet").num_rows == 24


def test_a_cluster_of_no_label_has_no_name(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    store.write_dataset(replace(store.dataset(), label=[""] * 24))
    done = in_process("cluster", "--clusters", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split("  ")[:2] == ["cluster", "images"]
    assert "name" not in done.stdout
    assert "note: clusters are not compared with labels: no image has a label" in done.stderr


def test_backbones_are_compared(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    np.save(tmp_path / "m.npy", 1 - np.eye(24))
    done = in_process("compare-backbones", "--csv", "b.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "linear CKA, 24 images" in done.stdout
    assert "RSA, 24 images" in done.stdout
    rows = list(csv.DictReader((tmp_path / "b.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["backbone"], row["other"]) for row in rows] == [("resnet50", "vgg19")]
    rng = np.random.default_rng(0)
    given = rng.uniform(0.1, 1, (24, 24))
    np.save(tmp_path / "m.npy", (given + given.T) * (1 - np.eye(24)))
    against = in_process("compare-backbones", "--against", "m.npy", "--json", cwd=tmp_path)
    assert against.returncode == 0, against.stderr
    assert [each["other"] for each in json.loads(against.stdout)["pairs"]] == ["vgg19", "m.npy", "m.npy"]


def test_a_matrix_without_differences_is_refused(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    np.save(tmp_path / "m.npy", 1 - np.eye(24))
    done = in_process("compare-backbones", "--against", "m.npy", cwd=tmp_path)
    assert done.returncode == 1
    assert "all pairs are equally unlike" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "cat/0.jpg", "--by", "resnet51"), "did you mean 'resnet50'"),
        (("search", "cat/0.jpg", "--dataset", "other"), "it has photos"),
        (("search", "cat/0.jpg", "--html", "."), "is a folder"),
        (("search", "cat/0.jpg", "--html", "r.csv", "--csv", "r.csv"), "name the same file"),
        (("similar", "--parquet", "rows.txt"), ".parquet"),
        (("cluster", "--clusters", "many"), "--clusters takes a number from 1 or auto, not 'many'"),
        (("cluster", "--method", "kmean"), "did you mean 'kmeans'"),
        (("cluster", "--method", "hdbscan", "--clusters", "4"), "`stackbone cluster --method kmeans --clusters 4`"),
        (("compare-backbones", "--against", "m.txt"), "neither a .npy nor a .csv"),
    ],
)
def test_wrong_usage_is_said(
    store: FeatureStore, tmp_path: Path, in_process: InProcess, words: tuple[str, ...], said: str
) -> None:
    done = in_process(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
