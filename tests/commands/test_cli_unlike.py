"""What a saved model keeps of its training images, from `stack --save` to `inspect --model`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore
from stackbone.stack import MetaOptions, StackOptions, load_model, run_experiment

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FAST = ("stack", "--recipe", "mean", "--c", "0.1", "--inner-cv", "2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., FeatureStore]) -> Path:
    folder = tmp_path_factory.mktemp("place")
    make_cache(folder / "features", ["cat", "dog", "emu"] * 12)
    make_cache(folder / "few", ["cat", "dog", "emu"] * 6)
    return folder


@pytest.fixture
def here(in_process: Run, place: Path) -> Run:
    return partial(in_process, cwd=place)


def test_saving_says_what_is_kept_and_how_to_leave_it_out(here: Run, place: Path, tmp_path: Path) -> None:
    file = tmp_path / "model"
    done = here(*FAST, "--save", file)
    assert done.returncode == 0, done.stderr
    assert (
        "it holds features of 36 training images (0.0 MB), by which `predict` knows images that are unlike them; "
        "--save-without-features leaves them out\n"
    ) in done.stderr
    novelty = load_model(file).novelty
    assert novelty is not None
    assert (novelty.n_kept, list(novelty.features)) == (36, ["resnet50", "vgg19"])
    without = here(*FAST, "--save", file, "--save-without-features")
    assert "training images" not in without.stderr
    assert load_model(file).novelty is None
    few = here(*FAST, "--save", file, "--cache", "few")
    assert re.search(r"the model, fitted on all 18 images in \d+\.\d s, is in ", few.stderr)
    assert "will not know images that are unlike these: it takes 20 training images" in few.stderr
    assert load_model(file).novelty is None


@pytest.mark.parametrize("recipe", ["oof", "mean", "concat", "published"])
def test_what_is_left_out_is_not_computed(place: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    monkeypatch.setattr("stackbone.stack.models.refit.find_novelty", lambda *_: pytest.fail("features were measured"))
    options = StackOptions(c=0.1, inner_splits=2, meta=MetaOptions(c=0.1))
    asked: dict[str, Any] = {"recipes": [recipe], "options": options, "with_model": True, "n_jobs": 1}
    found = run_experiment(FeatureStore(place / "features"), keep_features=False, **asked)
    assert found.model is not None
    assert found.model.novelty is None
    assert found.model_seconds > 0


def test_leaving_out_what_is_not_saved_is_refused(here: Run) -> None:
    done = here(*FAST, "--save-without-features")
    assert done.returncode == 2
    assert "--save-without-features is for --save" in done.stderr


@pytest.mark.parametrize(
    ("words", "said", "weights"),
    [
        ((), [], None),
        (("--class-weight", "balanced"), ["  fitted with weights: class weights balanced"], "balanced"),
        (
            ("--class-weight", '{"cat": 1, "dog": 2.5, "emu": 1}'),
            ["  fitted with weights: class weights cat 1, dog 2.5, emu 1"],
            {"cat": 1.0, "dog": 2.5, "emu": 1.0},
        ),
    ],
)
def test_a_model_is_inspected(
    here: Run, tmp_path: Path, words: tuple[str, ...], said: list[str], weights: object
) -> None:
    file = tmp_path / "model"
    assert here(*FAST, *words, "--save", file).returncode == 0
    shown = here("inspect", "--model", file)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == load_model(file).describe()
    assert lines[1] == "  classes: cat, dog, emu"
    assert "  fitted on 36 images, views plain" in lines
    assert any("keeps features of 36 of them (0.0 MB)" in line for line in lines)
    assert [line for line in lines if "with weights" in line] == said
    content = json.loads(here("inspect", "--model", file, "--json").stdout)
    assert (content["n_images"], content["class_weight"], content["weight_column"]) == (36, weights, None)
    assert content["novelty"]["n_kept"] == 36
    assert list(content["backbones"]) == ["resnet50", "vgg19"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--model", "absent"), 1, "the model absent does not exist"),
        (("--model", "features/datasets/photos.h5"), 1, "is not a valid model"),
        (("--model", "absent", "--cache", "few"), 2, "leave --cache out"),
    ],
)
def test_what_is_no_model_is_not_inspected(here: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = here("inspect", *words)
    assert done.returncode == code
    assert said in done.stderr
