"""Fine-tuning unfreezes the last blocks of any network and leaves the statistics of its batch norms alone."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from stackbone.cache import UsageError
from stackbone.extract.methods.finetune.module import FineTuned
from stackbone.extract.networks.network import Pooled
from tests.made.networks import make_cnn, make_vit


def trained_names(module: nn.Module) -> set[str]:
    return {name.split("body.")[-1] for name, each in module.named_parameters() if each.requires_grad}


def test_the_last_blocks_are_trained_with_what_follows_them() -> None:
    names = trained_names(FineTuned(make_vit(depth=3, global_pool="avg"), blocks=1))
    assert {name.split(".")[0] for name in names} == {"blocks", "fc_norm"}
    assert {name.split(".")[1] for name in names if name.startswith("blocks")} == {"2"}
    names = trained_names(FineTuned(make_vit(depth=3, global_pool="avg"), blocks=2))
    assert {name.split(".")[1] for name in names if name.startswith("blocks")} == {"1", "2"}


def test_everything_is_trained_by_default_and_nothing_with_no_block() -> None:
    whole = FineTuned(make_vit(depth=3, global_pool="avg"))
    assert all(each.requires_grad for each in whole.parameters())
    assert trained_names(FineTuned(make_vit(depth=3, global_pool="avg"), blocks=0)) == set()


@pytest.mark.parametrize("pooling", ["avg", "model"])
def test_blocks_of_a_cnn(pooling: str) -> None:
    body = Pooled(make_cnn(channels=(8, 8, 16, 16)), "avg") if pooling == "avg" else make_cnn(channels=(8, 8, 16, 16))
    assert {name.split(".")[0] for name in trained_names(FineTuned(body, blocks=1))} == {"layer4"}
    body = Pooled(make_cnn(channels=(8, 8, 16, 16)), "avg") if pooling == "avg" else make_cnn(channels=(8, 8, 16, 16))
    assert {name.split(".")[0] for name in trained_names(FineTuned(body, blocks=2))} == {"layer3", "layer4"}


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("legacy_xception", {"conv3", "bn3", "conv4", "bn4"}), ("inception_v3", {"Mixed_7c"}), ("vgg11", {"features"})],
)
def test_the_last_block_of_the_named_backbones(architecture: str, expected: set[str]) -> None:
    with torch.device("meta"):
        body = timm.create_model(architecture)
        body.reset_classifier(0)
        body.pre_logits = nn.Identity()
    names = trained_names(FineTuned(Pooled(body, "avg"), blocks=1))
    assert {name.split(".")[0] for name in names} <= expected
    assert names


def test_more_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has 4 blocks, and the last 5 should be trained"):
        FineTuned(make_vit(depth=3, global_pool="avg"), blocks=5)  # three, and the stem


def test_batch_norm_keeps_its_statistics_and_trains_its_scale() -> None:
    torch.manual_seed(0)
    method = FineTuned(make_cnn(channels=(8, 8, 16, 16)))
    norms = [module for module in method.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]  # type: ignore[union-attr]
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    method.train()(torch.randn(4, 3, 32, 32) + 3.0).square().sum().backward()
    optimiser.step()
    assert len(norms) > 4
    for norm, (mean, variance) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)  # type: ignore[arg-type]
        assert torch.equal(norm.running_var, variance)  # type: ignore[arg-type]
        assert int(norm.num_batches_tracked or 0) == 0
    assert any(bool(norm.weight.grad.any()) for norm in norms if norm.weight.grad is not None)
