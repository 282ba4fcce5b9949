"""`stackbone relabel`, `suggest` and `stack --against` from their options to what they print and write."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS
from tests.conftest import InProcess, MakeCache

LABELS = ["cat", "dog", "emu"] * 12
NOTE = "note: 2 labels corrected (`stackbone relabel --list` shows them)"


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    return make_cache(tmp_path / "features", LABELS, noise=0.5)


@pytest.fixture
def fixes(store: FeatureStore, tmp_path: Path) -> Path:
    """Return a table of two corrections, of an image that is not there, and of a label that the dataset has not."""
    paths = store.dataset().path
    rows = [f"{paths[0]},dog,cat", f"{paths[1]},cat,dog", "gone.jpg,cat,dog", f"{paths[2]},cat,dog"]
    (tmp_path / "fixes.csv").write_text("\n".join(["path,label,was", *rows, ""]))
    return tmp_path / "fixes.csv"


def test_relabel_counts_and_lists_what_it_did(fixes: Path, tmp_path: Path, in_process: InProcess) -> None:
    done = in_process("relabel", "fixes.csv", "--csv", "done.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "photos: 2 labels corrected" in lines
    assert lines[lines.index("1 row of images that the dataset does not have:") + 1] == "  gone.jpg"
    passed_over = "1 file passed over, as the dataset has another label than `was` says:"
    assert lines[lines.index(passed_over) + 1] == "  emu/2.jpg (not dog: emu)"
    assert (tmp_path / "done.csv").read_text().splitlines()[0] == "path,label,was"


def test_later_commands_say_that_labels_are_corrected(fixes: Path, tmp_path: Path, in_process: InProcess) -> None:
    in_process("relabel", "fixes.csv", cwd=tmp_path)
    assert NOTE in in_process("inspect", cwd=tmp_path).stdout
    assert NOTE in in_process("audit", "--kinds", "copy", cwd=tmp_path).stderr
    assert NOTE in in_process("audit", "--kinds", "ambiguous", "--top", "0", cwd=tmp_path).stderr


def test_list_and_undo(fixes: Path, store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    in_process("relabel", "fixes.csv", cwd=tmp_path)
    listed = json.loads(in_process("relabel", "--list", "--json", cwd=tmp_path).stdout)
    assert [(each["label"], each["was"]) for each in listed["corrections"]] == [("dog", "cat"), ("cat", "dog")]
    assert listed["runs"][0]["source"] == "fixes.csv"
    undone = in_process("relabel", "--undo", cwd=tmp_path)
    assert "took back what fixes.csv corrected" in undone.stdout
    assert store.dataset().label == LABELS
    assert "photos: no label is corrected" in in_process("relabel", "--list", cwd=tmp_path).stdout
    assert in_process("relabel", "--undo", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("form", "labels", "right", "task"),
    [
        ("", ("cat", "dog"), "dog", ""),
        (SETS, ("cat", "cat|dog"), "dog", "--task multilabel "),
        (NUMBERS, ("length=1|width=2", "length=3|width=4"), "length=5|width=6", "--task multitarget "),
    ],
)
def test_what_uses_the_new_labels_names_their_task(
    store: FeatureStore,
    tmp_path: Path,
    in_process: InProcess,
    form: str,
    labels: tuple[str, str],
    right: str,
    task: str,
) -> None:
    index = store.dataset()
    store.write_dataset(replace(index, label=[labels[row % 2] for row in range(len(index))], label_form=form))
    (tmp_path / "fixes.csv").write_text(f"path,label\n{index.path[0]},{right}\n")
    done = in_process("relabel", "fixes.csv", cwd=tmp_path)
    assert f"`stackbone stack {task}".rstrip() in done.stderr, done.stderr


def test_what_takes_corrections_back_names_the_same_dataset(
    fixes: Path, store: FeatureStore, tmp_path: Path, in_process: InProcess
) -> None:
    done = in_process("relabel", str(fixes), "--dataset", "photos", "--cache", str(store.root), cwd=tmp_path)
    (advice,) = [line for line in done.stderr.splitlines() if "takes this back" in line]
    assert advice == (
        f"`stackbone relabel --undo --cache {store.root} --dataset photos` takes this back; "
        f"`stackbone stack --cache {store.root} --dataset photos` uses the new labels"
    )
    store.write_dataset(replace(store.dataset(), name="later"))
    in_process(*advice.split("`")[1].split()[1:], cwd=tmp_path)
    assert not store.corrections("photos")


def test_suggestions_are_filled_in_and_taken(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    store.write_dataset(replace(store.dataset(), label=[*LABELS[:6], *[""] * 30]))
    done = in_process("suggest", "--budget", "4", "--csv", "next.csv", "--top", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "photos: 6 images with a label, 30 without; 4 images to label next" in done.stdout
    assert "fill in its column label, then type: stackbone relabel next.csv --dataset photos" in done.stderr
    rows = list(csv.DictReader((tmp_path / "next.csv").read_text().splitlines()))
    assert list(rows[0])[:3] == ["path", "label", "was"]
    assert "photos: 0 labels corrected" in in_process("relabel", "next.csv", cwd=tmp_path).stdout
    rows[0]["label"] = "cat"
    with (tmp_path / "next.csv").open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert "photos: 1 label corrected" in in_process("relabel", "next.csv", cwd=tmp_path).stdout
    assert store.dataset().label[store.dataset().path.index(rows[0]["path"])] == "cat"


def test_stack_shows_what_corrections_changed(fixes: Path, tmp_path: Path, in_process: InProcess) -> None:
    fast = ("stack", "--recipe", "oof", "--backbones", "resnet50", "--jobs", "1")
    assert in_process(*fast, "--result", "before.json", cwd=tmp_path).returncode == 0
    in_process("relabel", "fixes.csv", cwd=tmp_path)
    files = ("--changes", "changes.csv", "--report", "report.html")
    done = in_process(*fast, "--against", "before.json", *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "against before.json" in done.stdout
    assert "2 images with another label" in done.stdout
    assert NOTE in done.stderr
    assert (tmp_path / "changes.csv").read_text().startswith("path,change,label,before,now")
    page = (tmp_path / "report.html").read_text()
    assert 'id="changes"' in page
    assert "2 images with another label" in page


@pytest.mark.parametrize(
    ("options", "said", "way_out"),
    [
        (["--seed", "1"], "was scored on other folds: seed 0 (now 1)", ["--seed", "0"]),
        (["--metric", "macro-f1"], "ranks models by accuracy, and this run by macro_f1", ["--metric", "accuracy"]),
        (["--dataset", "others"], "these are different datasets. Add --dataset photos,", ["--dataset", "photos"]),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_before_any_fit(
    store: FeatureStore,
    tmp_path: Path,
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    said: str,
    way_out: list[str],
) -> None:
    index = store.dataset()
    store.write_dataset(replace(index, name="others", label=[*LABELS[:12], *[""] * 24]))
    store.write_dataset(index)
    fast = ("stack", "--recipe", "oof", "--backbones", "resnet50", "--jobs", "1")
    in_process(*fast, "--result", "before.json", cwd=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("stackbone.stack.experiments.run._evaluate", lambda *_, **__: pytest.fail("a fit was made"))
        done = in_process(*fast, *options, "--against", "before.json", "--result", "now.json", cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "now.json").exists()
    done = in_process(*fast, *options, *way_out, "--against", "before.json", cwd=tmp_path)
    assert (done.returncode, "against before.json" in done.stdout) == (0, True), done.stderr


def test_changes_need_an_earlier_result(store: FeatureStore, tmp_path: Path, in_process: InProcess) -> None:
    fast = ("stack", "--recipe", "oof", "--backbones", "resnet50", "--jobs", "1")
    idle = in_process(*fast, "--changes", "changes.csv", cwd=tmp_path)
    assert (idle.returncode, "--changes is for --against" in idle.stderr) == (2, True)
