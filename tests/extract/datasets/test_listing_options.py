"""Tests of the words that list a dataset again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackbone.extract.datasets.dataset import open_dataset

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs two folders deep, with a table of labels and one of the whole."""
    for path in ("animals/cat/1.png", "animals/dog/2.png", "plants/oak/3.png", "plants/oak/3_mask.png"):
        place = tmp_path / "photos" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(place)
    (tmp_path / "fixes.csv").write_text("path,kind\nanimals/cat/1.png,lion\n")
    (tmp_path / "all.csv").write_text("pic,label\nphotos/animals/cat/1,NA\nphotos/plants/oak/3,oak\n")
    return tmp_path


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("photos", {"class_level": "leaf", "exclude": ["*_mask.png", "dog"]}),
        ("photos", {"labels": "fixes.csv", "label_column": "kind", "only_listed": True}),
        ("all.csv", {"path_column": "pic", "suffix": ".png", "keep_na": True}),
        ("photos", {"label_column": None, "split_folders": "none"}),
        ("photos/animals/cat/1.png", {}),
    ],
)
def test_a_dataset_says_what_to_type_for_it(
    folder: Path, in_process: Run, monkeypatch: pytest.MonkeyPatch, data: str, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(folder)
    dataset = open_dataset(data, **options)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    words = ["extract", *dataset.asked, "--dry-run", "--json", "--backbones", "efficientnet_lite0"]
    again = in_process(*words, cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)["summary"]
    counts = {name: dataset.labels.count(name) for name in dataset.classes}
    assert (summary["n_listed"], summary["classes"]) == (dataset.n, counts)


def test_images_in_memory_cannot_be_typed() -> None:
    assert open_dataset(np.zeros((2, 8, 8), np.uint8)).asked == ()


def test_words_are_absolute(folder: Path) -> None:
    asked = open_dataset(os.path.relpath(folder / "photos"), exclude="dog").asked
    assert asked == (str(folder / "photos"), "--exclude", "dog")
