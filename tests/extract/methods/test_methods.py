"""Each method is built by its name, says what it cannot steer, and loads its own tensors and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from torch import nn

from stackbone.cache import UsageError, WeightsError
from stackbone.extract.methods.method import (
    RECIPES,
    build_method,
    check_options,
    default_options,
    load_parameters,
    rebuild_method,
    steering_parameters,
    supports,
    with_unnamed,
    without_unnamed,
)
from stackbone.extract.networks.network import Pooled
from tests.made.networks import make_cnn, make_convnext, make_vit


@pytest.mark.parametrize("method", RECIPES)
def test_every_method_gives_features_of_a_vit_and_trains_what_it_should(method: str) -> None:
    module = build_method(method, make_vit(), {})
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 16)
    trained = [name for name, each in module.named_parameters() if each.requires_grad]
    assert bool(trained) == (method != "linear")
    assert all(name.startswith("body.") == (method == "finetune") for name in trained)


@pytest.mark.parametrize("method", ["linear", "finetune"])
def test_methods_for_any_network_take_a_cnn(method: str) -> None:
    module = build_method(method, Pooled(make_cnn(), "avg"), {})
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 8)


@pytest.mark.parametrize("method", ["toast", "toast-lite", "lora", "vpt"])
@pytest.mark.parametrize("wrap", [False, True])
def test_a_backbone_that_is_no_vit_is_refused(method: str, wrap: bool) -> None:  # noqa: FBT001
    body = Pooled(make_cnn(), "avg") if wrap else make_cnn()
    with pytest.raises(UsageError, match=r"this backbone's network is ResNet\. Choose a ViT .* --method finetune"):
        supports(method, body)
    with pytest.raises(UsageError, match="this backbone's network is ResNet"):
        build_method(method, body, {})


def test_toast_takes_a_convnext_and_lora_does_not() -> None:
    assert default_options("toast", make_convnext()) == {"as_released": True}
    assert default_options("toast-lite", make_convnext()) == {"rank": 4, "alpha": None, "as_released": True}
    module = build_method("toast-lite", make_convnext(), {"rank": 2})
    assert module(torch.zeros(1, 3, 64, 64)).shape == (1, 16)
    with pytest.raises(UsageError, match="ConvNeXt"):
        supports("lora", make_convnext())


def test_a_vit_without_the_joint_projection_is_refused_but_takes_prompts() -> None:
    parallel = VisionTransformer(
        img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0, block_fn=ParallelScalingBlock
    )
    for method in ("toast", "toast-lite", "lora"):
        with pytest.raises(UsageError, match=r"attn\.qkv, and the blocks of this ViT \(ParallelScalingBlock\)"):
            supports(method, parallel)
    assert build_method("vpt", parallel, {})(torch.zeros(1, 3, 16, 16)).shape == (1, 16)


def test_default_options_of_a_vit() -> None:
    found = {method: default_options(method, make_vit()) for method in RECIPES}
    assert found == {
        "toast": {"value_bias": True},
        "toast-lite": {"value_bias": True, "rank": 4, "alpha": None},
        "linear": {},
        "lora": {"rank": 4, "alpha": None, "targets": "qkv,proj"},
        "vpt": {"n_prompts": 10, "shallow": False},
        "finetune": {"blocks": None},
    }


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("lara", {}, r"unknown method 'lara': choose from finetune, .*, toast-lite, vpt; did you mean 'lora'\?"),
        ("lora", {"n_prompts": 3}, "the method lora has no option --prompts: it takes --rank"),
        ("linear", {"rank": 3}, "it takes none"),
        ("lora", {"rank": 0}, "rank of the method lora is 0, expected a whole number from 1"),
        ("lora", {"rank": True}, "rank of the method lora is True"),
        ("vpt", {"n_prompts": 2.0}, "--prompts of the method vpt is 2.0"),
        ("vpt", {"n_prompts": 1_001}, "--prompts of the method vpt is 1001, expected a whole number from 1 to 1,000"),
        ("toast", {"value_bias": 1}, "expected True or False"),
        ("finetune", {"blocks": 0}, "blocks of the method finetune is 0"),
        ("lora", {"alpha": 0.0}, "--alpha of the method lora is 0.0, expected a number above 0"),
        ("toast-lite", {"alpha": float("nan")}, "--alpha of the method toast-lite is nan"),
        ("lora", {"alpha": True}, "--alpha of the method lora is True"),
        ("lora", {"targets": "query"}, "--targets of the method lora is 'query', expected names from qkv, q_proj, "),
        ("lora", {"targets": "qkv,q_proj"}, "--targets of the method lora is 'qkv,q_proj', .* none twice"),
        ("lora", {"targets": "fc1,fc1"}, "--targets of the method lora is 'fc1,fc1'"),
        ("lora", {"targets": ""}, "--targets of the method lora is ''"),
        ("vpt", {"shallow": 1}, "--shallow of the method vpt is 1"),
    ],
)
def test_wrong_options_are_refused(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_options(method, options)


@pytest.mark.parametrize(
    ("method", "make"), [("lora", make_vit), ("toast-lite", make_vit), ("toast-lite", make_convnext)]
)
def test_a_rank_above_the_width_of_the_network_is_refused(method: str, make: Callable[[], nn.Module]) -> None:
    build_method(method, make(), {"rank": 16})
    with pytest.raises(UsageError, match=rf"--rank of the method {method} is 17, .* has 16 channels"):
        build_method(method, make(), {"rank": 17})


def test_an_option_that_the_network_has_no_use_for_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--value-bias of the method toast changes nothing .* ConvNeXt\. Leave it out"
    ):
        build_method("toast", make_convnext(), {"value_bias": False})
    with pytest.raises(UsageError, match=r"as_released of the method toast changes nothing .* VisionTransformer"):
        build_method("toast", make_vit(), {"as_released": True})


@pytest.mark.parametrize(
    ("method", "options", "named"),
    [
        ("lora", {"rank": 2, "alpha": None, "targets": "qkv,proj"}, {"rank": 2}),
        ("lora", {"rank": 2, "alpha": 8, "targets": "q_proj"}, {"rank": 2, "alpha": 8, "targets": "q_proj"}),
        ("vpt", {"n_prompts": 3, "shallow": False}, {"n_prompts": 3}),
        ("toast", {"as_released": True}, {"as_released": True}),
        ("toast", {"as_released": False}, {}),
        ("finetune", {"blocks": None}, {"blocks": None}),
    ],
)
def test_a_file_names_later_options_only_where_they_change_something(
    method: str, options: dict[str, Any], named: dict[str, Any]
) -> None:
    assert without_unnamed(method, options) == named
    assert with_unnamed(method, named) == options


def test_a_file_of_an_earlier_version_is_rebuilt_as_it_was_trained() -> None:
    assert rebuild_method("toast", make_convnext(), {}).get_parameter("feedback.0.weight").shape[1] == 8
    assert build_method("toast", make_convnext(), {}).get_parameter("feedback.0.weight").shape[1] == 3
    assert rebuild_method("lora", make_vit(), {"rank": 2}).get_parameter("proj.0.down").shape == (2, 16)
    assert rebuild_method("toast", make_vit(), {"value_bias": True}).get_parameter("xi").shape == (16,)
    with pytest.raises(UsageError, match="changes nothing on this backbone"):
        rebuild_method("toast", make_vit(), {"as_released": True})


def test_options_reach_the_module() -> None:
    assert build_method("lora", make_vit(), {"rank": 2}).get_parameter("qkv.0.down").shape == (2, 16)
    assert build_method("vpt", make_vit(), {"n_prompts": 5}).get_parameter("prompts.1.tokens").shape == (5, 16)
    names = steering_parameters(build_method("finetune", make_vit(), {"blocks": 1}))
    assert {name.rsplit(".", 2)[0] for name in names} >= {"body.blocks.1.attn"}
    assert not any(name.startswith("body.blocks.0") for name in names)


@pytest.mark.parametrize("method", RECIPES)
def test_parameters_come_back(method: str) -> None:
    torch.manual_seed(1)
    one = build_method(method, make_vit(), {})
    with torch.no_grad():
        for each in steering_parameters(one).values():
            each.add_(torch.randn(each.shape) * 0.1)
    tensors = {name: each.detach().numpy().copy() for name, each in steering_parameters(one).items()}
    torch.manual_seed(2)
    other = build_method(method, make_vit(), {})
    load_parameters(other, tensors | {"head.weight": np.zeros((2, 16), np.float32)}, "file")
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(one(x), other(x))


def test_the_frozen_matrices_of_toast_lite_are_part_of_its_file() -> None:
    module = build_method("toast-lite", make_vit(), {})
    frozen = {name for name, each in steering_parameters(module).items() if not each.requires_grad}
    assert {"feedback.0.weight", "output.1.weight"} <= frozen


def test_tensors_that_do_not_fit_are_refused_by_name() -> None:
    module = build_method("lora", make_vit(), {"rank": 2})
    tensors = {name: each.detach().numpy() for name, each in steering_parameters(module).items()}
    lacking = {name: each for name, each in tensors.items() if name != "proj.1.up"}
    with pytest.raises(WeightsError, match=r"my.file does not steer this network: its tensor proj.1.up has the shape"):
        load_parameters(module, lacking, "my.file")
    with pytest.raises(WeightsError, match=r"tensor odd has the shape \(1,\), expected None"):
        load_parameters(module, tensors | {"odd": np.zeros(1, np.float32)}, "my.file")
    with pytest.raises(WeightsError, match=r"qkv.0.down has the shape \(3, 16\), expected \(2, 16\)"):
        load_parameters(module, tensors | {"qkv.0.down": np.zeros((3, 16), np.float32)}, "my.file")
