"""A network in memory is a backbone by its tensors, its classes' code and its settings, wherever it is made."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stackbone.cache import UsageError
from stackbone.extract.backbones.backbone import Backbone, Transform
from tests.made.checkout import ROOT

SMALL = Transform((16, 16), 1.0, "bilinear")


class Inner(nn.Module):
    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.pow(self.power)


class Net(nn.Module):
    def __init__(self, power: float = 2.0, **settings: Any) -> None:  # noqa: ANN401 - whatever a network keeps
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.inner = Inner(power)
        self.register_buffer("shift", torch.zeros(4), persistent=False)
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.inner(self.norm(self.linear(x.mean((2, 3))))) + self.shift
        return features


def made(network: nn.Module, **options: Any) -> Backbone:  # noqa: ANN401 - options of `from_module`
    return Backbone.from_module(network, SMALL, name="mine", **options)


def key(network: nn.Module, **options: Any) -> tuple[str, str]:  # noqa: ANN401 - options of `from_module`
    own = made(network, **options).own
    assert own is not None
    return own.architecture, own.weights


def test_a_network_makes_a_backbone() -> None:
    network = Net()
    backbone = made(network, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0))
    assert backbone.own is not None
    assert (backbone.name, backbone.architecture) == ("mine", backbone.own.architecture)
    assert backbone.architecture.startswith("own:Net:sha256:")
    assert (backbone.transform, backbone.mean, backbone.std) == (SMALL, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    assert backbone.own.network is network


def test_equal_networks_have_one_key_whatever_state_they_are_in() -> None:
    trained = Net()
    trained.train().requires_grad_(requires_grad=False)
    assert key(Net()) == key(Net().eval()) == key(trained)
    assert key(Net().half()) != key(Net())


def test_the_key_is_the_same_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_net.py").write_text(
        textwrap.dedent("""
        import functools, torch
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(3, 4)
                self.linear.weight.data.fill_(1), self.linear.bias.data.fill_(0)
                self.act = functools.partial(torch.clamp, min=0)
                self.labels = {"a", "b", "c"}
            def forward(self, x):
                return self.act(self.linear(x.mean((2, 3))))
        """)
    )
    code = (
        "from made_net import Net; from stackbone.extract.backbones.backbone import Backbone, Transform\n"
        "b = Backbone.from_module(Net(), Transform((16, 16), 1.0, 'bilinear'), name='n')\n"
        "print(b.architecture, b.own.weights)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT / '.types'}", "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.syspath_prepend(tmp_path)
    from made_net import Net as Here  # type: ignore[import-not-found]

    assert there.stdout.split() == list(key(Here()))


def change_weight(network: Any) -> None:  # noqa: ANN401 - a Net
    network.linear.weight.data[0, 0] += 1e-7


def change_statistics(network: Any) -> None:  # noqa: ANN401 - a Net
    network.norm.running_mean += 1


def change_hidden_buffer(network: Any) -> None:  # noqa: ANN401 - a Net
    network.shift += 1


@pytest.mark.parametrize("change", [change_weight, change_statistics, change_hidden_buffer])
def test_other_tensors_are_other_weights(change: Callable[[Any], None]) -> None:
    network = Net()
    code, weights = key(network)
    change(network)
    assert key(network)[0] == code
    assert key(network)[1] != weights


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"power": 2.0}, {"power": 3.0}),
        ({"scale": (1, 2)}, {"scale": (1, 3)}),
        ({"table": {"a": 1}}, {"table": {"a": 2}}),
        ({"fixed": np.zeros(3)}, {"fixed": np.ones(3)}),
        ({"fixed": torch.zeros(3)}, {"fixed": [torch.ones(3)]}),
        ({"act": torch.relu}, {"act": functools.partial(torch.clamp, min=0)}),
        ({"act": functools.partial(torch.clamp, min=0)}, {"act": functools.partial(torch.clamp, min=1)}),
        ({"hidden": [nn.Linear(2, 2, bias=False)]}, {"hidden": [nn.Linear(2, 3, bias=False)]}),
        ({"kind": nn.ReLU}, {"kind": nn.GELU}),
        ({"act": torch.relu}, {"act": torch.tanh}),
        ({"config": SimpleNamespace(eps=1)}, {"config": SimpleNamespace(eps=2)}),
    ],
    ids=lambda setting: next(iter(setting)),  # the same in every process, unlike addresses
)
def test_other_settings_are_other_code(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(Net(**one))[0] == key(Net(**one))[0]
    assert key(Net(**one))[0] != key(Net(**other))[0]


def test_other_layers_are_other_code() -> None:
    assert key(nn.Sequential(nn.Flatten(), nn.ReLU()))[0] != key(nn.Sequential(nn.Flatten(), nn.GELU()))[0]
    assert key(nn.Conv2d(3, 4, 1, stride=1))[0] != key(nn.Conv2d(3, 4, 1, stride=2))[0]


def test_another_source_is_other_code_and_a_version_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = "from torch import nn\nclass Own(nn.Module):\n    def forward(self, x):\n        return x.mean((2, 3))"
    keys, versions = set(), set()
    for number, text in enumerate([source, f"{source} + 1", f"{source}\n# a remark"]):
        (tmp_path / f"own_{number}.py").write_text(text)
        module = __import__(f"own_{number}")
        keys.add(key(module.Own()))
        versions.add(key(module.Own(), version="7"))
    assert len(keys) == 3
    assert len(versions) == 1
    assert key(Net(), version="7") != key(Net(), version="8")


def test_code_that_cannot_be_read_asks_for_a_version() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("from torch import nn\nclass Typed(nn.Module):\n    def forward(self, x): return x.mean((2, 3))", names)
    with pytest.raises(UsageError, match=r'source of Typed cannot be read .* give version="1"'):
        made(names["Typed"]())
    assert made(names["Typed"](), version="1").own is not None
    hooked = Net()
    hooked.inner.register_forward_hook(lambda _module, _x, y: y + 1)
    with pytest.raises(UsageError, match=r'its module inner has hooks.* give version="1"'):
        made(hooked)
    with pytest.raises(UsageError, match=r'was traced, and holds code of its own.* give version="1"'):
        made(torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Net, "not the class Net"),
        (lambda x: x, "not a function"),
        ({"state": "dict"}, "not a dict"),
        (nn.Linear(3, 3, device="meta"), "tensor weight of the network has no bytes"),
    ],
)
def test_what_is_no_network_is_refused(network: Any, words: str) -> None:  # noqa: ANN401 - anything
    with pytest.raises(UsageError) as caught:
        made(network)
    assert words in str(caught.value).replace("the tensor bias", "the tensor weight")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "resnet50"}, "is one of Stackbone's own"),
        ({"name": "my net"}, "cannot name a network"),
        ({"transform": Transform((0, 16), 1.0, "bicubic")}, "input_size is (0, 16)"),
        ({"transform": Transform((16, 16), 1.0, "nearest")}, "interpolation is 'nearest'"),
        ({"mean": (1.0,)}, "mean is (1.0,)"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Backbone.from_module(Net(), **{"transform": SMALL, "name": "mine", **options})
    assert words in str(caught.value)
