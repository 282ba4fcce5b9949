"""`transfer` as people and scripts meet it: what is printed where, exit codes, files."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.stack import load_model
from tests.made.domain_caches import add_domain, labels_of, make_domains

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose cache has two domains, and a third dataset that holds two."""
    folder = tmp_path_factory.mktemp("transfer")
    make_domains(folder / "features")
    cameras = ["old", "new"] * 30
    contents = [f"both/{i}" for i in range(60)]
    labels = [label for label in labels_of(30) for _ in range(2)]
    add_domain(FeatureStore(folder / "features"), "both", labels, columns={"camera": cameras}, contents=contents)
    return folder


@pytest.fixture
def run(in_process: Run, folder: Path) -> Run:
    """Return a way to run `transfer` in that folder."""
    return partial(in_process, "transfer", cwd=folder)


STUDIO_TO_PHONE = ("--source", "studio", "--target", "phone", "--methods", "baseline")


def test_a_table_and_a_verdict_for_each_setting(run: Run) -> None:
    done = run(*STUDIO_TO_PHONE, "--target-labels", "none,all")
    assert done.returncode == 0, done.stderr
    none, every, gap = done.stdout.split("\n\n")
    assert none.splitlines()[0].endswith("3 folds of the target, seed 0; no target labels")
    assert "not run: target-only, pooled: needs labels of target images" in none
    assert every.splitlines()[0].startswith("studio (60 images) to phone (45 images), 3 classes")
    assert [line.split()[0] for line in every.splitlines()[2:5]] == ["source-only", "target-only", "pooled"]
    assert "ource images" in every.splitlines()[-1]
    assert [line.split(":")[0] for line in gap.splitlines()[:2]] == ["resnet50", "vgg19"]
    assert "source images hurt a classifier trained on the source" in gap
    assert "Traceback" not in done.stderr


def test_domains_by_a_column(run: Run) -> None:
    done = run("--domain-column", "camera", "--dataset", "both", "--target", "new", "--methods", "baseline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("old (30 images) to new (30 images)")


def test_files_hold_what_was_printed(run: Run, folder: Path) -> None:
    files = ("--result", "r.json", "--csv", "r.csv", "--report", "r.html", "--save", "m", "--save-method", "pooled")
    done = run(*STUDIO_TO_PHONE, "--json", *files)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((folder / "r.json").read_text())
    rows = list(csv.DictReader(StringIO((folder / "r.csv").read_text(encoding="utf-8-sig"))))
    assert [row["method"] for row in rows] == ["source-only", "target-only", "pooled"]
    assert float(rows[2]["accuracy"]) == printed["settings"][0]["results"][2]["accuracy"]["mean"]
    assert "studio to phone" in (folder / "r.html").read_text()
    model = load_model(folder / "m")
    assert model.transfer is not None
    assert model.transfer["method"] == "pooled"
    assert "use it: stackbone predict PHOTOS --model m" in done.stderr


def test_a_table_stands_though_its_model_cannot_be_made(run: Run, folder: Path) -> None:
    files = ("--save", "lost", "--save-method", "pooled", "--csv", "kept.csv")
    done = run(*STUDIO_TO_PHONE, "--target-labels", "none", *files)
    assert done.returncode == 2
    assert "source-only" in done.stdout
    assert (folder / "kept.csv").exists()
    assert not (folder / "lost").exists()
    assert "pooled cannot be saved, since it was not run: needs labels of target images" in done.stderr


def test_a_result_is_shown_as_the_report_that_came_with_it(in_process: Run, run: Run, folder: Path) -> None:
    done = run(*STUDIO_TO_PHONE, "--result", "again.json", "--report", "first.html", "--projection", "pca")
    assert done.returncode == 0, done.stderr
    again = in_process("report", "again.json", "--projection", "pca", "--json", cwd=folder)
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert (said["report"], said["source"], said["target"]) == ("again.html", ["studio"], "phone")
    assert said["lacking"] == []
    pages = [(folder / name).read_text() for name in ("first.html", "again.html")]
    assert len({re.sub("<time.*?</time>", "", page) for page in pages}) == 1
    lost = in_process("report", "again.json", "--projection", "pca", "--cache", "elsewhere", cwd=folder)
    assert lost.returncode == 0, lost.stderr
    assert "the maps of both domains are left out: " in lost.stderr


@pytest.mark.parametrize("option", ["--learning-curve", "--jobs"])
def test_a_transfer_s_report_refuses_what_it_has_no_use_for(
    in_process: Run, run: Run, folder: Path, option: str
) -> None:
    run(*STUDIO_TO_PHONE, "--result", "idle.json")
    value = ("2",) if option == "--jobs" else ()
    done = in_process("report", "idle.json", option, *value, cwd=folder)
    assert done.returncode == 2
    assert f"whose report has no use for {option}" in done.stderr


def test_what_all_leaves_out_is_said_where_all_is_meant(run: Run) -> None:
    said = "--methods all leaves out dann, since it takes longest: to compare it too, type --methods all,dann"
    assert said in run(*STUDIO_TO_PHONE[:4], "--cv", "2").stderr
    assert said not in run(*STUDIO_TO_PHONE).stderr
    assert said not in run("--source", "studio", "--target", "studios").stderr  # what is refused is not commented on


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "studio"), "--target"),
        (("--target", "phone"), "no source to learn from"),
        (("--target", "phone", "--source", "phone"), "both source and target"),
        ((*STUDIO_TO_PHONE, "--save-method", "pooled"), "add --save FILE"),
        ((*STUDIO_TO_PHONE, "--projection", "pca"), "add --report FILE or --figures FOLDER"),
        ((*STUDIO_TO_PHONE[:4], "--methods", "tca", "--save", "m"), "tca is no linear map"),
        ((*STUDIO_TO_PHONE[:4], "--methods", ","), "--methods names no method"),
        ((*STUDIO_TO_PHONE, "--target-labels", "few"), "few:10"),
        ((*STUDIO_TO_PHONE, "--methods", "corall"), "unknown method 'corall'"),
        ((*STUDIO_TO_PHONE, "--cv", "loo"), "--cv loo"),
        ((*STUDIO_TO_PHONE, "--cv", "3", "--split", "test"), "no split|use one of the two"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(run: Run, words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert any(each in done.stderr for each in message.split("|")), done.stderr
    assert "Traceback" not in done.stderr
