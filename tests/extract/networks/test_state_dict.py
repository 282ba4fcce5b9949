"""Weights are those whose SHA-256 names the features, whatever happens to their file between the two."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stackbone.cache import WeightsError, sha256_file
from stackbone.extract.networks.state_dict import read_state_dict


@pytest.fixture(params=["safetensors", "torch"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(path := tmp_path / "weights", request.param, 1.0)
    return path


def write(path: Path, kind: str, value: float) -> None:
    tensors = {"a.weight": torch.full((2, 3), value)}
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": {f"module.{name}": each for name, each in tensors.items()}}, path)


def identity(path: Path) -> str:
    return f"sha256:{sha256_file(path).hex()}"


def test_tensors_come_back(file: Path) -> None:
    found = read_state_dict("resnet50", file, identity(file))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a.weight": [[1.0] * 3] * 2}


@pytest.mark.parametrize("change", ["swapped", "cut", "gone"])
def test_a_file_that_changed_since_it_was_hashed_is_refused(file: Path, change: str) -> None:
    before = identity(file)
    if change == "swapped":
        write(file, "torch", 2.0)
    elif change == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    with pytest.raises(WeightsError, match=r"Nothing was computed with it"):
        read_state_dict("resnet50", file, before)


@pytest.mark.parametrize("n", [1 << 12, 1 << 16, 1 << 20])
def test_an_archive_that_would_inflate_is_refused_before_it_does(tmp_path: Path, n: int) -> None:
    stored = io.BytesIO()
    torch.save({"a.weight": torch.zeros(n)}, stored)
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(stored) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(WeightsError, match=r"its [\d,]+ bytes would become [\d,]+"):
        read_state_dict("resnet50", path, identity(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], r"weights\.pth holds a list\. Expected tensors by name"),
        (torch.zeros(2), r"weights\.pth holds a Tensor\. Expected tensors by name"),
        ({"model": "resnet50", "epoch": 3}, r"weights\.pth holds no tensors"),
    ],
    ids=["list", "tensor", "name of a model"],
)
def test_what_holds_no_tensors_by_name_is_told_from_what_is_unsafe(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, path := tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict("resnet50", path, identity(path))


def test_a_models_name_beside_its_tensors_is_passed_over(tmp_path: Path) -> None:
    content = {"model_ema": None, "state_dict": {"a.weight": torch.ones(2)}, "model": "resnet50"}
    torch.save(content, path := tmp_path / "weights.pth")
    assert read_state_dict("resnet50", path, identity(path))["a.weight"].tolist() == [1.0, 1.0]
