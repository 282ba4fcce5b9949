"""`export` as people and scripts meet it: what is written and printed, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract.backbones.backbone import get_backbone
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.stack.models.model_file import load_model
from tests.commands.test_cli_predict import CLASSES, LITE0, finished
from tests.made.checkout import ROOT

onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra brings it")

__all__ = ["finished"]  # a fixture: 12 known photographs, their features, a model of them, and 3 new photographs

PLACE = ("m", "--onnx", "o.onnx")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(in_process: Run) -> Run:
    return partial(in_process, "export")


def session_of(file: Path) -> Any:  # noqa: ANN401 - it has no types
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_the_classifiers_answer_as_predict_does(run: Run, in_process: Run, finished: Path, tmp_path: Path) -> None:
    done = run("m", "--onnx", tmp_path / "m.onnx", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["name", "shape", "type"],
        ["input", LITE0, "(n,", "1280)", "float32"],
        ["output", "probabilities", "(n,", "3)", "float32"],
        ["output", "class", "(n)", "int64"],
    ]
    size = (tmp_path / "m.onnx").stat().st_size
    assert done.stderr.splitlines()[-1] == f"the model is in {tmp_path / 'm.onnx'} ({size:,} bytes)"
    predicted = in_process("predict", "photos", "--model", "m", "--json", cwd=finished)
    rows = json.loads(predicted.stdout)["predictions"]
    [feature_set] = FeatureStore(finished / "features").feature_sets()
    index = FeatureStore(finished / "features").dataset()
    features = feature_set.load(index.image_sha256)
    probabilities, best = session_of(tmp_path / "m.onnx").run(None, {LITE0: features})
    by_path = {f"photos/{path}": row for path, row in zip(index.path, probabilities, strict=True)}
    for row in rows:
        ranked = {row[f"class_{i}"]: row[f"probability_{i}"] for i in (1, 2, 3)}
        np.testing.assert_allclose(by_path[row["path"]], [ranked[name] for name in CLASSES], atol=1e-4)
    assert [CLASSES[place] for place in best] == index.label


def test_with_its_network_a_file_answers_as_predict_does_from_photographs(
    run: Run, in_process: Run, finished: Path, tmp_path: Path
) -> None:
    done = run("m", "--onnx", tmp_path / "m.onnx", "--with-backbones", "--json", cwd=finished)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(each["name"], each["shape"], each["type"]) for each in told["inputs"]] == [
        ("pixels", ["n", 3, 224, 224], "uint8")
    ]
    assert (told["inputs"][0]["backbones"], told["opset"]) == ([LITE0], 18)
    predicted = in_process("predict", "new", "--model", "m", "--json", "--engine", "torch", cwd=finished)
    rows = {row["path"]: row for row in json.loads(predicted.stdout)["predictions"]}
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)[1]
    transform = get_backbone(LITE0).transform
    for name in CLASSES:
        scope: dict[str, Any] = {}
        placed = code.replace("clothes.onnx", str(tmp_path / "m.onnx"))
        photo = finished / "new" / f"{name}.jpg"
        exec(placed.replace("photo.jpg", str(photo)), scope)  # the code of the documents: at most a level of 255 apart
        row = rows[f"new/{name}.jpg"]
        ranked = {row[f"class_{i}"]: row[f"probability_{i}"] for i in (1, 2, 3)}
        expected = [ranked[each] for each in CLASSES]
        np.testing.assert_allclose(scope["probabilities"][0], expected, atol=1e-3)
        pixels = apply_transform(decode(photo.read_bytes()), transform).transpose(2, 0, 1)[None]
        probabilities, _ = scope["session"].run(None, {"pixels": pixels})
        np.testing.assert_allclose(probabilities[0], expected, atol=1e-4)


def test_the_documents_code_for_features_runs(run: Run, finished: Path, tmp_path: Path) -> None:
    assert run("m", "--onnx", tmp_path / "m.onnx", "--quiet", cwd=finished).returncode == 0
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)[0]
    [feature_set] = FeatureStore(finished / "features").feature_sets()
    scope: dict[str, Any] = {"features": feature_set.load(feature_set.digests()[:2])}
    exec(code.replace("clothes.onnx", str(tmp_path / "m.onnx")).replace("resnet50", LITE0), scope)
    assert scope["classes"] == load_model(finished / "m").classes


def test_quiet_prints_the_result_alone(run: Run, finished: Path, tmp_path: Path) -> None:
    done = run("m", "--onnx", tmp_path / "m.onnx", "--quiet", cwd=finished)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["m"], 2, "--onnx"),
        (["--onnx", "o.onnx"], 2, "Missing argument 'model'"),
        (["absent", "--onnx", "o.onnx"], 1, "the model absent does not exist"),
        (["photo.jpg", "--onnx", "o.onnx"], 1, "photo.jpg is not a valid model"),
        (["photos", "--onnx", "o.onnx"], 2, "photos is a folder"),
        (["m", "--onnx", "m"], 2, "MODEL and --onnx name the same file"),
        (["m", "--onnx", "photos"], 2, "photos is a folder; name a file in it"),
        (["m", "--onnx", "photo.jpg"], 2, "--onnx writes .onnx, and photo.jpg has another ending"),
        (["m", "--onnx", "new.stackbone"], 2, "new.stackbone has another ending: name a file that ends in .onnx"),
        (["m", "--onnx", "onnx"], 2, "onnx has another ending"),
        (["m", "--onnx", "photo.jpg/o.onnx"], 1, "could not write photo.jpg/o.onnx"),
        (["m", "--onnx", "/dev/null"], 2, "/dev/null is a"),
        ([*PLACE, "--weights", f"{LITE0}=photo.jpg"], 2, "--weights is for the networks"),
        ([*PLACE, "--with-backbones", "--weights", f"{LITE0}=photo.jpg"], 1, f"--weights {LITE0}=FILE"),
        ([*PLACE, "--with-backbones", "--weights", "resnet50=photo.jpg"], 2, "the model's backbones are"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(
    run: Run, finished: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "m").write_bytes((finished / "m").read_bytes())
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    before = sorted(each.name for each in tmp_path.iterdir())
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(each.name for each in tmp_path.iterdir()) == before
