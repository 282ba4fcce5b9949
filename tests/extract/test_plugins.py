"""Packages of somebody else's add backbones, kinds of datasets and steering methods, and the command line uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from stackbone.cache import FeatureStore
from tests.made.commands import run_command
from tests.made.photos import write_photos
from tests.made.plugin import install_plugin

BACKBONE = """
    from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform

    BACKBONES = Backbone(
        name="made_resnet",
        architecture="test_resnet.r160_in1k",
        transform=Transform((160, 160), 0.95, "bicubic"),
        **IMAGENET,
        pooling="avg",
        hub="",
    )
"""
KIND = """
    from pathlib import Path

    from stackbone.extract.datasets.kind import DatasetKind, Listing, Request


    def read(request: Request) -> Listing:
        lines = [line.split() for line in request.path.read_text().splitlines()]
        return Listing(request.path.stem, request.path.parent, {path: (label, "", "") for label, path in lines})


    KIND = DatasetKind(
        name="list",
        what="a text file of labels and paths",
        recognises=lambda request: request.path is not None and request.path.suffix == ".list",
        read=read,
    )
"""
METHOD = """
    from stackbone.extract.methods.finetune.recipe import takes_any_network
    from stackbone.extract.methods.method import Recipe, count


    def build(network, options):
        import torch
        from torch import nn

        class Scaled(nn.Module):
            def __init__(self, body):
                super().__init__()
                self.body = body.requires_grad_(False).eval()
                self.scale = nn.Parameter(torch.ones(options["size"]))

            def forward(self, x):
                return self.body(x) * self.scale

        return Scaled(network)


    RECIPE = Recipe(
        name="scale",
        rates={"sgd": 0.1, "adamw": 0.01},
        build=build,
        check_network=takes_any_network,
        options={"size": count("--size", 1)},
    )
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write eight photos, and a list that says of each whether it is a cat or a dog."""
    folder = write_photos(tmp_path / "photos", range(8))
    lines = [f"{'cat' if seed % 2 else 'dog'} {seed:02d}.png\n" for seed in range(8)]
    (folder / "pets.list").write_text("".join(lines))
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    file = tmp_path / "made.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    return f"made_resnet={file}"


def test_a_backbone_and_a_kind_of_dataset_from_outside_are_used(tmp_path: Path, photos: Path, weights: str) -> None:
    plugins = install_plugin(tmp_path / "theirs", "made_net", BACKBONE, {"stackbone.backbones": "BACKBONES"})
    install_plugin(plugins, "made_list", KIND, {"stackbone.datasets": "KIND"})
    listed = run_command("backbones", "--json", cwd=tmp_path, path=plugins)
    assert "made_resnet" in [each["name"] for each in json.loads(listed.stdout)["backbones"]]
    done = run_command(
        *("extract", photos / "pets.list", "--backbones", "made_resnet", "--weights", weights, "--engine", "torch"),
        cwd=tmp_path,
        path=plugins,
    )
    assert done.returncode == 0, done.stderr
    store = FeatureStore(tmp_path / "features")
    index = store.dataset("pets")
    assert (index.path, index.label) == ([f"{i:02d}.png" for i in range(8)], ["dog", "cat"] * 4)
    (feature_set,) = store.covering(index)
    assert feature_set.id.startswith("made_resnet-")
    assert np.isfinite(feature_set.load(index.image_sha256)).all()


def test_without_the_packages_they_are_unknown(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "none").mkdir()
    done = run_command("extract", photos, "--backbones", "made_resnet", cwd=tmp_path, path=tmp_path / "none")
    assert (done.returncode, "unknown backbone 'made_resnet'" in done.stderr) == (2, True)
    done = run_command("extract", photos / "pets.list", cwd=tmp_path, path=tmp_path / "none")
    assert (done.returncode, "neither an image's nor a table's" in done.stderr) == (1, True)


@pytest.mark.parametrize("group", ["stackbone.backbones", "stackbone.datasets"])
def test_a_broken_package_is_named_with_the_way_to_remove_it(tmp_path: Path, photos: Path, group: str) -> None:
    plugins = install_plugin(tmp_path / "theirs", "made_broken", "import no_such_module", {group: "THING"})
    command = ["backbones"] if group == "stackbone.backbones" else ["extract", str(photos)]
    done = run_command(*command, cwd=tmp_path, path=plugins)
    assert done.returncode == 1
    assert f"the package made_broken adds 'made_broken' ({group}: made_broken:THING) to Stackbone" in done.stderr
    assert "No module named 'no_such_module'" in done.stderr
    assert done.stderr.rstrip().endswith("remove it with `pip uninstall made_broken`")


def test_a_steering_method_from_outside_is_trained_and_used(tmp_path: Path, photos: Path, weights: str) -> None:
    plugins = install_plugin(tmp_path / "theirs", "made_scale", METHOD, {"stackbone.methods": "RECIPE"})
    install_plugin(plugins, "made_net", BACKBONE, {"stackbone.backbones": "BACKBONES"})
    install_plugin(plugins, "made_list", KIND, {"stackbone.datasets": "KIND"})
    data, same = photos / "pets.list", ("--weights", weights)
    done = run_command(
        *("steer", data, "--backbone", "made_resnet", "--method", "scale", *same, "--out", "steerings"),
        *("--epochs", "1", "--device", "cpu", "--precision", "fp32"),
        cwd=tmp_path,
        path=plugins,
    )
    assert done.returncode == 0, done.stderr
    done = run_command(
        *("extract", data, "--backbones", "made_resnet_scale", "--steering", "steerings", *same, "--engine", "torch"),
        cwd=tmp_path,
        path=plugins,
    )
    assert done.returncode == 0, done.stderr
    (feature_set,) = FeatureStore(tmp_path / "features").feature_sets()
    record = feature_set.seen()
    assert record is not None
    assert (record.description["method"], feature_set.backbone) == ("scale", "made_resnet_scale")
