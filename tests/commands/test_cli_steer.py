"""Steering and reporting as people do it: steer, extract, stack, report and predict, one command after the other."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

VIT = "timm:test_vit.r160_in1k"
CLASSES = ("coat", "hat", "shoe")
Here = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos of three classes and weights of a very small ViT."""
    folder = tmp_path_factory.mktemp("steer")
    rng = np.random.default_rng(0)
    for i in range(24):
        file = folder / "photos" / CLASSES[i % 3] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(rng.normal(np.roll([200, 90, 30], i % 3), 40, (32, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file)
    vit = timm.create_model("test_vit.r160_in1k", pretrained=False)
    save_file(vit.state_dict(), folder / "vit.safetensors")
    return folder


@pytest.fixture
def here(folder: Path, in_process: Here) -> Here:
    """Return a way to run a command in this process, in the folder."""
    return partial(in_process, cwd=folder)


STEER = ("steer", "photos", "--backbone", VIT, "--weights", f"{VIT}=vit.safetensors", "--epochs", "1")
UNCONVERTED = ("--engine", "torch")  # to convert each steered network takes longer than all of its images


@pytest.mark.slow
def test_from_photos_to_a_report_with_a_steered_backbone(folder: Path, here: Here) -> None:
    steered = here(*STEER, "--cv", "2", "--pictures", "pictures")
    assert steered.returncode == 0, steered.stderr
    files = sorted((folder / "steering" / "photos").glob("*.safetensors"))
    assert len(files) == 2
    assert "epoch   1 of 1" in steered.stderr
    given = ["--weights", f"{VIT}=vit.safetensors"]
    followed = ["stackbone", "extract", "photos", "--backbones", "vit_toast"]
    followed += [word for file in files for word in ("--steering", str(file.relative_to(folder)))]
    assert shlex.split(steered.stdout.split("next: ")[1]) == [*followed, *given]
    assert len(list((folder / "pictures" / files[0].stem).glob("*.png"))) == 24
    again = here(*STEER, "--cv", "2")
    assert again.stdout.count("nothing to train") == 2

    names = f"{VIT},vit_toast"
    embedded = here(
        "extract", "photos", "--backbones", names, "--steering", "steering/photos", "--weights", STEER[5], *UNCONVERTED
    )
    assert embedded.returncode == 0, embedded.stderr
    assert embedded.stdout.count("vit_toast-") == 2
    assert "next: stackbone stack --cv 2 --seed 0 --report report.html" in embedded.stdout

    page = ("--report", "report.html", "--steering", "steering/photos", "--weights", STEER[5])
    scored = here("stack", "--cv", "2", "--inner-cv", "2", "--result", "result.json", "--save", "model", *page)
    assert scored.returncode == 0, scored.stderr
    assert "lr:vit_toast" in scored.stdout
    written = json.loads((folder / "result.json").read_text())
    assert len(set(written["backbones"]["vit_toast"])) == 2
    text = (folder / "report.html").read_text()
    assert 'id="attention"' in text
    assert text.count("data:image/webp") > 24

    refused = here("stack", "--cv", "3", "--inner-cv", "2")
    assert refused.returncode == 1
    assert "saw" in refused.stderr
    assert "stackbone steer" in refused.stderr
    assert "--cv 3 --seed 0" in refused.stderr

    reported = here("report", "result.json")
    assert reported.returncode == 0, reported.stderr
    assert (folder / "result.html").stat().st_size > 1_000_000
    assert "with --steering FILES the report shows the steered attention too" in reported.stderr

    new = folder / "new.png"
    Image.new("RGB", (40, 32), (200, 90, 30)).save(new)
    lacking = here("predict", new, "--model", "model")
    assert lacking.returncode == 2
    assert "--steering FILE" in lacking.stderr
    answered = here("predict", new, "--model", "model", "--steering", "steering/photos", "--weights", STEER[5])
    assert answered.returncode == 0, answered.stderr
    assert "new.png" in answered.stdout


@pytest.mark.slow
def test_nested_steerings_are_of_the_inner_folds_that_stack_asks_for(folder: Path, here: Here) -> None:
    asked = ("--method", "lora", "--cv", "2", "--nested", "--inner-cv", "2", "--cache", "inner cache", "--out", "inner")
    steered = here(*STEER, *asked)
    assert steered.returncode == 0, steered.stderr
    assert "--nested: 6 trainings to come" in steered.stderr
    assert len(list((folder / "inner").glob("*.safetensors"))) == 6
    embedded = here(*shlex.split(steered.stdout.split("next: stackbone ")[1]), *UNCONVERTED)
    assert embedded.returncode == 0, embedded.stderr
    advised = shlex.split(embedded.stdout.split("next: stackbone ")[1])
    assert advised[:7] == ["stack", "--cv", "2", "--seed", "0", "--inner-cv", "2"]
    fitted = ("--c", "0.1", "--recipe", "oof", "--cache", "inner cache")
    found = here(*advised[:7], *fitted)
    assert found.returncode == 0, found.stderr
    assert "were made for the inner folds, and saw no label" in " ".join(found.stderr.split())
    other = here(*advised[:5], "--inner-cv", "3", *fitted)  # four would be halves of the two
    assert other.returncode == 0, other.stderr
    expected = "steer with --nested --cv 2 --seed 0 --inner-cv 3; or ask for theirs, --cv 2 --seed 0 --inner-cv 2"
    assert expected in " ".join(other.stderr.split())


def test_wrong_options_of_a_training_are_all_named_at_once(here: Here) -> None:
    done = here("steer", "photos", "--epochs", "0", "--validation", "0.9", "--momentum-like", "1")
    assert done.returncode == 2
    done = here("steer", "photos", "--epochs", "0", "--validation", "0.9", "--learning-rate", "-1")
    assert done.returncode == 2
    assert all(option in done.stderr for option in ("--epochs is 0", "--validation is 0.9", "--learning-rate is -1.0"))


def test_a_method_that_the_backbone_does_not_take_says_what_to_use(here: Here) -> None:
    done = here("steer", "photos", "--backbone", "efficientnet_lite0", "--method", "toast", "--out", "other")
    assert done.returncode == 2
    assert "--method finetune" in done.stderr


def test_extract_asks_for_the_file_of_a_steered_backbone(here: Here) -> None:
    done = here("extract", "photos", "--backbones", "vit_toast")
    assert done.returncode == 2
    assert "--steering FILE" in done.stderr


@pytest.mark.slow
def test_what_to_type_next_repeats_what_was_typed(folder: Path, here: Here) -> None:
    lines = [f"{file.relative_to(folder)},{file.parent.name}" for file in sorted((folder / "photos").glob("*/*.png"))]
    (folder / "my table.csv").write_text("\n".join(["file,kind", *lines]))
    columns = ("--path-column", "file", "--label-column", "kind", "--cache", "other cache")
    options = ("--method", "lora", "--backbone", VIT, "--weights", f"{VIT}=vit.safetensors", "--epochs", "1")
    steered = here("steer", "my table.csv", *options, *columns)
    assert steered.returncode == 0, steered.stderr
    followed = shlex.split(steered.stdout.split("next: stackbone ")[1])
    assert followed[0] == "extract"
    embedded = here(*followed, *UNCONVERTED)
    assert embedded.returncode == 0
    assert "next: steer once for each fold" in embedded.stdout, "this steering saw every image"
    pretuned = here("steer", "photos", *options, "--stage", "pretune", "--out", "pretuned")
    assert pretuned.returncode == 0, pretuned.stderr
    followed = shlex.split(pretuned.stdout.split("next: stackbone ")[1])
    assert followed[:2] == ["steer", "TASK"]
    tuned = here("steer", "photos", *followed[2:], "--epochs", "1", "--out", "tuned")
    assert tuned.returncode == 0, tuned.stderr


def test_pictures_of_what_has_no_attention_are_refused_before_training(here: Here) -> None:
    done = here("steer", "photos", "--backbone", "timm:convnext_atto.d2_in1k", "--pictures", "p", "--out", "other")
    assert done.returncode == 2
    assert "--pictures shows the attention of a ViT that TOAST steers, not toast of timm:convnext" in done.stderr


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("--cv", "3"), "--cv"),
        (("--folds", "fold"), "--folds"),
        (("--time-column", "taken", "--cv", "3"), "--cv and --time-column"),
    ],
)
def test_a_start_for_each_fold_is_refused(here: Here, words: tuple[str, ...], asked: str) -> None:
    done = here("steer", "photos", "--stage", "pretune", *words)
    assert done.returncode == 2
    assert f"leave {asked} out" in done.stderr


@pytest.mark.slow
def test_nested_steerings_are_said_before_they_start_and_used_by_the_stack(folder: Path, here: Here) -> None:
    options = (*STEER, "--method", "lora", "--cv", "2", "--nested", "--out", "nested", "--cache", "nested cache")
    steered = here(*options)
    assert steered.returncode == 0, steered.stderr
    said = "--nested: 10 trainings to come, each of up to 1 epoch, of which the steps take less than a minute here"
    assert said in " ".join(steered.stderr.split())
    assert len(list((folder / "nested").glob("*-cv2-fold2-inner4.safetensors"))) == 1
    again = here(*options)
    assert again.stdout.count("nothing to train") == 10
    assert "to come" not in again.stderr
    embedded = here(*shlex.split(steered.stdout.split("next: stackbone ")[1]), *UNCONVERTED)
    assert embedded.returncode == 0, embedded.stderr
    assert "next: stackbone stack --cv 2 --seed 0" in embedded.stdout
    stack = ("stack", "--cache", "nested cache", "--result", "nested.json", "--cv", "2")
    scored = here(*stack)
    assert scored.returncode == 0, scored.stderr
    shown = " ".join((scored.stdout + scored.stderr).split())
    assert "the stack learnt to trust it on features of the inner folds" in shown
    notes = json.loads((folder / "nested.json").read_text())["notes"]
    assert any("saw no label that they are compared with" in note for note in notes)
    other = here(*stack, "--inner-cv", "2")
    assert "the steering did see labels of the training part" in " ".join((other.stdout + other.stderr).split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give --cv or --split too"),
        (("--cv", "2", "--method", "linear"), "the method linear changes none: leave it out"),
    ],
)
def test_nested_steerings_without_folds_or_features_are_refused(
    here: Here, options: tuple[str, ...], words: str
) -> None:
    done = here(*STEER, "--nested", "--out", "other", "--cache", "other cache", *options)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("verify", "--engine", "torch"), "--engine is for embedding a sample again"),
        (("stack", "--report", "r.html", "--weights", "a=b"), "--weights needs --steering: give both or neither"),
        (
            ("stack", "--self-check", "--projection", "pca"),
            "--self-check prints one sentence and takes no --projection",
        ),
        (("verify", "--steering", "f"), "--steering is for embedding a sample again: add --recompute N"),
        (("stack", "--projection", "pca"), "--projection is for the report: add --report FILE"),
        (("stack", "--figures", "f", "--steering", "f"), "--steering is for the report: add --report FILE"),
        (
            ("stack", "--report", "r.html", "--projection", "tnse"),
            "did you mean 'tsne'?",
        ),
    ],
)
def test_an_option_without_effect_is_refused_before_the_work(here: Here, command: tuple[str, ...], words: str) -> None:
    done = here(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_an_option_of_another_method_is_refused(here: Here) -> None:
    done = here("steer", "photos", "--method", "lora", "--no-value-bias")
    assert done.returncode == 2
    assert "the method lora has no option --value-bias: it takes --rank" in done.stderr
