"""`verify --recompute` judges by a network made from the weights alone, and says by which."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from stackbone.cache import FeatureStore
from stackbone.extract import extract, open_dataset
from stackbone.extract.backbones.backbone import get_backbone
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.embedding.recompute import Recomputation, recompute
from stackbone.extract.engines.graphs import import_openvino, load_graph

RESNET = "timm:test_resnet.r160_in1k"
BY = {
    "auto": "torch on cpu, from the weights alone",
    "torch": "torch on cpu, from the weights alone",
    "openvino": "openvino on cpu, from the weights alone",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return two weights files of one network, of random numbers."""
    folder = tmp_path_factory.mktemp("weights")
    found = {}
    for seed, name in enumerate(("right", "wrong")):
        torch.manual_seed(seed)
        found[name] = folder / f"{name}.safetensors"
        save_file(timm.create_model(RESNET.removeprefix("timm:")).state_dict(), found[name])
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((90, 70), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{seed}.png")
    return tmp_path / "photos"


def keep_a_wrong_graph(files: dict[str, Path], folder: Path) -> None:
    """Put the graph of other weights in the place of the right one's, its record renewed."""
    backbone = get_backbone(RESNET)
    records = {}
    for name, file in files.items():
        before = set(folder.glob("*.json"))
        load_graph(backbone, find_weights([backbone], {RESNET: file})[RESNET])
        [records[name]] = set(folder.glob("*.json")) - before
    digests = {}
    for suffix in (".xml", ".bin"):
        content = records["wrong"].with_suffix(suffix).read_bytes()
        records["right"].with_suffix(suffix).write_bytes(content)
        digests[suffix] = hashlib.sha256(content).hexdigest()
    record = json.loads(records["right"].read_text())
    records["right"].write_text(json.dumps({**record, "sha256": {**record["sha256"], **digests}}))


@pytest.mark.slow
def test_features_of_a_wrong_kept_graph_are_off_and_sound_ones_the_same(
    files: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_openvino()
    monkeypatch.setenv("STACKBONE_GRAPHS", str(tmp_path / "graphs"))
    named = {RESNET: files["right"]}
    dataset = open_dataset(photos, label_column=None)
    extract(dataset, RESNET, FeatureStore(tmp_path / "sound"), weights=named, engine="torch", device="cpu")
    keep_a_wrong_graph(files, tmp_path / "graphs")
    extract(dataset, RESNET, FeatureStore(tmp_path / "wrong"), weights=named, engine="openvino")
    for engine, by in BY.items():
        [off] = recompute(FeatureStore(tmp_path / "wrong"), 3, weights=named, engine=engine)
        assert (off.n_images, off.by.lower()) == (3, by)
        assert off.largest is not None
        assert off.largest > 0.01
        assert "differs by more than is allowed" in off.problem
        assert f"embedded again by {off.by}; largest relative difference" in off.line()
        assert off.line().endswith(f"OFF: {off.problem}")
        [same] = recompute(FeatureStore(tmp_path / "sound"), 3, weights=named, engine=engine)
        assert (same.problem, same.by) == ("", off.by)
        assert same.line().endswith("(allowed 1e-04): same")


def test_what_embedded_nothing_is_not_named() -> None:
    line = Recomputation("resnet50-0123456789ab", 0, None, 1e-4, "its images are gone").line()
    assert line == "resnet50-0123456789ab: could not be embedded again: its images are gone"
