"""What the table says a backbone gives and takes is what its network has and does, by torch's own counting."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from stackbone.cache.backbone_groups import GROUPS
from stackbone.extract.backbones.backbone import BACKBONES, Backbone

KNOWN = [BACKBONES[name] for name in BACKBONES.our_names]


def on_meta(backbone: Backbone) -> Any:  # noqa: ANN401 - timm has no types
    """Return timm's model without classifier, with no memory behind its tensors."""
    try:
        with torch.device("meta"):
            network = timm.create_model(backbone.architecture)
    except NotImplementedError:  # older timm looks at numbers while it makes a RegNet
        network = timm.create_model(backbone.architecture).to("meta")
    network.eval().requires_grad_(requires_grad=False)
    network.reset_classifier(0)
    if backbone.pooling == "avg" and isinstance(getattr(network, "pre_logits", None), torch.nn.Module):
        network.pre_logits = torch.nn.Identity()
    return network


def measured(backbone: Backbone) -> tuple[int, float, float]:
    """Return the width, the millions of parameters and the billions of operations of a backbone."""
    network = on_meta(backbone)
    image = torch.empty(1, 3, *backbone.transform.input_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        found = network.forward_features(image).mean((2, 3)) if backbone.pooling == "avg" else network(image)
    n_parameters = sum(each.numel() for each in network.parameters())
    return found.shape[1], n_parameters / 1e6, counter.get_total_flops() / 1e9


@pytest.mark.parametrize("backbone", KNOWN, ids=lambda each: each.name)
def test_width_parameters_and_operations_are_what_torch_counts(backbone: Backbone) -> None:
    assert backbone.parameters is not None
    assert backbone.gflop is not None
    width, parameters, gflop = measured(backbone)
    assert backbone.width == width
    assert backbone.parameters == pytest.approx(parameters, abs=0.051)
    # Libraries count a few of the small operations otherwise from version to version.
    assert backbone.gflop == pytest.approx(gflop, rel=0.02, abs=0.006)


@pytest.mark.parametrize("backbone", [each for each in KNOWN if each.hub], ids=lambda each: each.name)
def test_licences_are_those_of_timms_registry(backbone: Backbone) -> None:
    assert backbone.licence == timm.get_pretrained_cfg(backbone.architecture).license
    assert not backbone.gated


def test_groups_are_what_they_say() -> None:
    small = [BACKBONES[name] for name in GROUPS["small"]]
    modern = [BACKBONES[name] for name in GROUPS["modern"]]
    assert max(each.gflop or 0 for each in small) < min(each.gflop or 0 for each in modern)
    assert all(each.parameters is not None and each.parameters < 30 for each in small)
    assert "cc-by-nc-4.0" not in {each.licence for each in [*small, *modern]}
