"""Own networks and given features go the whole way: extract, stack, predict, verify; each says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import stackbone as sb
from stackbone.cache import UsageError
from stackbone.extract.embedding.recompute import recompute
from tests.conftest import InProcess
from tests.made.photos import write_photos

NET = """
from torch import nn


class Net(nn.Module):
    input_size = 16

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""


class Means(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def means() -> sb.Backbone:
    return sb.Backbone.from_module(Means(), sb.Transform((16, 16), 1.0, "bilinear"), name="means")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with 12 photographs of two classes, a file with a network, and its weights."""
    for label, seeds in {"cat": range(6), "dog": range(6, 12)}.items():
        write_photos(tmp_path / "photos" / label, seeds)
    (tmp_path / "my.py").write_text(NET)
    torch.manual_seed(0)
    state = {f"conv.{name}": tensor for name, tensor in nn.Conv2d(3, 6, 3).state_dict().items()}
    save_file(state, tmp_path / "f.safetensors")
    return tmp_path


OWN = ("--backbone-module", "my.py:Net", "--weights", "f.safetensors")


def test_the_command_line_takes_a_network_all_the_way(place: Path, in_process: InProcess) -> None:
    done = in_process("extract", "photos", *OWN, cwd=place)
    assert done.returncode == 0, done.stderr
    [feature_set] = sb.FeatureStore(place / "features").feature_sets()
    assert (feature_set.backbone, feature_set.header().dim) == ("Net", 6)
    again = in_process("extract", "photos", *OWN, "--json", cwd=place)
    assert json.loads(again.stdout)["backbones"][0]["n_embedded"] == 0

    stacked = in_process("stack", "--cv", "3", "--recipe", "concat", "--save", "m.stackbone", cwd=place)
    assert stacked.returncode == 0, stacked.stderr
    checked = in_process("verify", "--recompute", "4", *OWN, cwd=place)
    assert (checked.returncode, "4 images embedded again by torch" in checked.stdout) == (0, True), checked.stdout

    write_photos(place / "new", range(20, 22))
    lacking = in_process("predict", "new", "--model", "m.stackbone", cwd=place)
    assert lacking.returncode == 2
    assert "--backbone-module Net=FILE.py:Net --weights Net=FILE" in lacking.stderr
    predicted = in_process("predict", "new", "--model", "m.stackbone", *OWN, "--json", cwd=place)
    assert predicted.returncode == 0, predicted.stderr
    assert len(json.loads(predicted.stdout)["predictions"]) == 2

    (place / "my.py").write_text(NET.replace("mean((2, 3))", "amax((2, 3))"))
    changed = in_process("predict", "new", "--model", "m.stackbone", *OWN, cwd=place)
    assert changed.returncode == 2
    assert "my.py made none of the features that are asked for" in changed.stderr
    unproven = in_process("verify", "--recompute", "4", *OWN, cwd=place)
    assert (unproven.returncode, "my.py is not it" in unproven.stdout) == (1, True)
    assert in_process("extract", "photos", *OWN, cwd=place).returncode == 0
    assert len(sb.FeatureStore(place / "features").feature_sets()) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backbone-module", "my.py:Nett", "--weights", "f.safetensors"), "did you mean 'Net'?"),
        (("--backbone-module", "my.py:Net"), "--weights Net=FILE"),
        (("--backbone-module", "my.py:Net", "--weights", "g.safetensors"), "--weights Net: there is no file"),
        ((*OWN, "--backbones", "efficientnet_lite0"), "--backbone-module makes Net, which --backbones"),
        ((*OWN, "--backbone-module", "B=my.py:Net"), "--weights takes NAME=FILE"),
        ((*OWN, "--backbone-module", "my.py:Net"), "makes Net twice"),
    ],
)
def test_a_wrong_command_says_what_to_type(
    place: Path, in_process: InProcess, options: tuple[str, ...], words: str
) -> None:
    done = in_process("extract", "photos", *options, cwd=place)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_python_takes_a_network_in_memory(place: Path) -> None:
    store, dataset = sb.FeatureStore(place / "features"), sb.open_dataset(place / "photos")
    report = sb.extract(dataset, None, store, modules=[means()])
    [feature_set] = store.feature_sets()
    assert [each.backbone for each in report.backbones] == ["means"]
    assert feature_set.provenance()["weights"] == "a network in memory"
    assert sb.extract(dataset, "means", store, modules=[means()]).n_decoded == 0
    with pytest.raises(UsageError, match="unknown backbone 'means'"):
        sb.extract(dataset, "means", store)
    embedded = sb.embed_for({feature_set.id: feature_set.header().spec}, dataset, store, modules=[means()])
    assert embedded.n_embedded == 0
    [found] = recompute(store, 4, modules=[means()])
    assert (found.problem, found.n_images) == ("", 4)
    [found] = recompute(store, 4)
    assert "of a network that was in memory, in Python: modules=[Backbone.from_module(...)]" in found.problem


def test_features_that_were_given_stack_like_any_other(place: Path, in_process: InProcess) -> None:
    store, dataset = sb.FeatureStore(place / "features"), sb.open_dataset(place / "photos")
    index = sb.extract(dataset, None, store, modules=[means()]).index
    x = np.random.default_rng(0).normal(size=(len(index), 5)).astype(np.float32)
    store.add_features("mine", index.image_sha256, x, {"model": "mine"})
    both = ("--recipe", "concat", "--json")
    done = in_process("stack", "--cv", "3", *both, cwd=place)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["backbones"]) == {"means", "mine"}
    checked = in_process("verify", "--recompute", "2", cwd=place)
    line = next(line for line in checked.stdout.splitlines() if line.startswith("mine-"))
    assert line.endswith("given with add_features, not made from images, so that it cannot be recomputed")
    assert "given with add_features" in in_process("inspect", cwd=place).stdout
    alone = ("--backbones", "mine", "--recipe", "concat", "--save", "m.stackbone")
    assert in_process("stack", "--cv", "3", *alone, cwd=place).returncode == 0
    write_photos(place / "new", range(20, 21))
    lacking = in_process("predict", "new", "--model", "m.stackbone", cwd=place)
    assert lacking.returncode == 2
    assert "cannot be made from images. Add those of these images" in lacking.stderr


def test_verify_alone_with_given_features_succeeds(place: Path, in_process: InProcess) -> None:
    store = sb.FeatureStore(place / "features")
    store.add_features("mine", ["ab" * 32], np.ones((1, 3), np.float32), {"model": "mine"})
    assert in_process("verify", "--recompute", "2", cwd=place).returncode == 0
