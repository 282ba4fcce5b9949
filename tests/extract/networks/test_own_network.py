"""A network of the user's own is run from its very bytes, and tried: one row of features an image, and of it alone."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stackbone.cache import UsageError, WeightsError
from stackbone.extract.backbones.backbone import Backbone, Transform
from stackbone.extract.backbones.own_file import parse_module_options
from stackbone.extract.backbones.weights import Weights, find_weights, random_weights
from stackbone.extract.engines.engine import TorchEngine, make_engine
from stackbone.extract.engines.network import build_network

HEAD = "import torch\nfrom torch import nn\n\n\n"
NET = (
    HEAD
    + """
class Net(nn.Module):
    input_size = (8, 12)
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.conv(x)).mean((2, 3))
"""
)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), np.uint8)


def backbone_of(folder: Path, source: str = NET) -> Backbone:
    (folder / "my.py").write_text(source)
    [backbone] = parse_module_options([f"{folder / 'my.py'}:Net"])
    return backbone


def of_forward(body: str, init: str = "pass") -> str:
    return (
        f"{HEAD}class Net(nn.Module):\n    input_size = 8\n    def __init__(self):\n        super().__init__()\n"
        f"        {init}\n    def forward(self, x):\n        {body}\n"
    )


def test_features_are_those_of_the_class_with_the_files_tensors(tmp_path: Path) -> None:
    backbone = backbone_of(tmp_path)
    torch.manual_seed(1)
    conv = nn.Conv2d(3, 5, 3)
    save_file({f"conv.{name}": tensor for name, tensor in conv.state_dict().items()}, tmp_path / "w.safetensors")
    weights = find_weights([backbone], {"Net": tmp_path / "w.safetensors"})["Net"]
    [found] = make_engine(backbone, weights).embed(PIXELS)
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255
    expected = conv((images - 0.5) / 0.25).mean((2, 3)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_torch_runs_it_unless_openvino_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    backbone = backbone_of(tmp_path)
    by_torch = make_engine(backbone, random_weights(0))
    assert isinstance(by_torch, TorchEngine)
    by_openvino = make_engine(backbone, random_weights(0), "openvino")
    np.testing.assert_allclose(by_torch.embed(PIXELS)[0], by_openvino.embed(PIXELS)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"conv.weight": (5, 3, 3, 3)}, "it lacks the tensor conv.bias (5,)"),
        ({"conv.weight": (5, 3, 5, 5), "conv.bias": (5,)}, "conv.weight has shape (5, 3, 5, 5), expected (5, 3, 3, 3)"),
        (
            {"conv.weight": (5, 3, 3, 3), "conv.bias": (5,), "head.weight": (2, 5)},
            "it has a tensor head.weight that the network lacks",
        ),
    ],
)
def test_another_networks_tensors_are_refused(tmp_path: Path, state: dict[str, Any], words: str) -> None:
    backbone = backbone_of(tmp_path)
    save_file({name: torch.zeros(shape) for name, shape in state.items()}, tmp_path / "w.safetensors")
    weights = find_weights([backbone], {"Net": tmp_path / "w.safetensors"})["Net"]
    with pytest.raises(WeightsError) as caught:
        build_network(backbone, weights)
    assert words in str(caught.value)
    assert "--weights Net=FILE" in str(caught.value)


def test_without_weights_the_way_out_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Net: its weights come as a file alone(.|\n)*--weights Net=FILE"):
        find_weights([backbone_of(tmp_path)], {})


def test_code_that_was_changed_since_is_not_run(tmp_path: Path) -> None:
    backbone = backbone_of(tmp_path)
    (tmp_path / "my.py").write_text(NET + "raise SystemExit(3)\n")
    with pytest.raises(UsageError, match=r"my\.py was changed since it was read\. Nothing was computed"):
        build_network(backbone, random_weights(0))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import no_such_module\nclass Net: pass",
            "ModuleNotFoundError: No module named 'no_such_module', in line 1 of",
        ),
        (HEAD + "class Net(nn.Module): pass\nraise SystemExit(0)", "SystemExit: 0, in line"),
        (HEAD + "class Net(nn.Module): pass\nsys.exit()", "NameError"),
        ("class Net: pass", "Expected a class below torch.nn.Module"),
        (HEAD + "class Net(nn.Module): pass\nNet = 3", "is a int. Expected a class below torch.nn.Module"),
        (HEAD + "class Net(nn.Module):\n    def __init__(self, size): super().__init__()", "It must need no arguments"),
        (HEAD + "class Net(nn.Module):\n    def __init__(self): raise ValueError('\\x1b[2J no')", r"\x1b[2J no"),
        (HEAD + "class Net(nn.Module):\n    def forward(self, x, y): return x", "cannot take images (2, 3, 224, 224)"),
        (HEAD + "class Net(nn.Module): pass", "NotImplementedError"),
    ],
)
def test_code_that_makes_no_network_is_refused(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_network(backbone_of(tmp_path, source), random_weights(0))
    assert words in str(caught.value)
    assert re.search(rf"{re.escape(str(tmp_path / 'my.py'))}|the network Net ", str(caught.value))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (of_forward("return x"), "a tensor (2, 3, 8, 8), where (2, dim) was expected"),
        (of_forward("return x.mean()"), "a tensor (), where (2, dim) was expected"),
        (of_forward("return x.mean((2, 3))[:1]"), "a tensor (1, 3), where (2, dim) was expected"),
        (of_forward("return x.mean((2, 3))[:, :0]"), "a tensor (2, 0), where (2, dim) was expected"),
        (of_forward("return x.mean((2, 3)), x"), "a tuple of 2. Return the one tensor of features"),
        (of_forward("return {'cls': x.mean((2, 3))}"), "a dict of 1. Return the one tensor of features"),
        (of_forward("return None"), "a NoneType. Return a tensor"),
        (of_forward("return x.mean((2, 3)).numpy()"), "a ndarray. Return a tensor"),
        (of_forward("return x.mean((2, 3)).argsort()"), "a tensor of torch.int64"),
        (of_forward("return x.mean((2, 3)) / 0 * 0"), "features that are not finite"),
        (of_forward("return self.linear(x)", "self.linear = nn.Linear(7, 2)"), "cannot take images (2, 3, 8, 8)"),
        (of_forward("return torch.rand(len(x), 4)"), "other features for the same images when it is asked twice"),
        (
            of_forward("self.n = getattr(self, 'n', 0) + 1; return x.mean((2, 3)) + self.n"),
            "other features for the same images when it is asked twice",
        ),
        (of_forward("return x.mean((2, 3)) - x.mean((0, 2, 3))"), "it mixes the images of a batch"),
        (
            of_forward("return self.norm(x.mean((2, 3)))", "self.norm = nn.BatchNorm1d(3, track_running_stats=False)"),
            "the network Net",
        ),
    ],
)
def test_what_gives_no_features_is_refused(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_network(backbone_of(tmp_path, source), random_weights(0))
    assert words in str(caught.value)


def test_what_the_code_prints_is_kept_from_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = NET.replace("return self", "print('seen'); return self") + "print('loaded')\n"
    build_network(backbone_of(tmp_path, source), random_weights(0))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert {"loaded", "seen"} <= set(shown.err.split())


def test_nothing_of_the_folder_is_imported_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 1\n")
    with pytest.raises(UsageError, match="All code must be in this one file or in installed packages"):
        build_network(backbone_of(tmp_path, "import beside\n" + NET), random_weights(0))
    assert "beside" not in sys.modules


# A network in memory


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 0.25, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * self.scale


def in_memory(network: nn.Module) -> tuple[Backbone, Weights]:
    backbone = Backbone.from_module(network, Transform((8, 12), 1.0, "bilinear"), name="halved", mean=(0.0, 0.0, 0.0))
    return backbone, find_weights([backbone], {})["halved"]


def test_a_network_in_memory_is_run_as_it_is_and_left_alone() -> None:
    network = Halved().train()
    backbone, weights = in_memory(network)
    built = build_network(replace(backbone, std=(1.0, 1.0, 1.0)), weights)
    found = built(torch.from_numpy(PIXELS)).numpy()
    expected = PIXELS.mean((1, 2)) / 255 * np.array([0.5, 0.25, 2.0])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert network.training
    assert network.scale.requires_grad


def test_a_network_that_was_trained_on_is_refused() -> None:
    network = Halved()
    backbone, weights = in_memory(network)
    network.scale.data += 1
    with pytest.raises(UsageError, match=r"halved was changed since Backbone\.from_module looked at it"):
        build_network(backbone, weights)


def test_a_file_for_a_network_in_memory_is_refused(tmp_path: Path) -> None:
    backbone, _ = in_memory(Halved())
    (tmp_path / "w.pth").touch()
    with pytest.raises(UsageError, match="which is a network in memory and has its tensors"):
        find_weights([backbone], {"halved": tmp_path / "w.pth"})
