"""bf16 is chosen where the hardware has it, and attention is switched for one network only."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from stackbone.extract.steering.mixed_precision import choose_autocast, mixed_precision, set_fast_attention
from tests.made.networks import make_vit

CPU = torch.device("cpu")


def fused(network: nn.Module) -> list[bool]:
    return [bool(module.fused_attn) for module in network.modules() if hasattr(module, "fused_attn")]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, None),
        ({}, None),
    ],
)
def test_auto_follows_the_processor(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_autocast("auto", CPU) == expected
    assert choose_autocast("fp32", CPU) is None
    assert choose_autocast("bf16", CPU) is torch.bfloat16


def test_auto_is_fp32_where_torch_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_autocast("auto", CPU) is None


@pytest.mark.parametrize("has_it", [True, False])
def test_auto_follows_the_gpu(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_it and not including_emulation)
    assert choose_autocast("auto", torch.device("cuda")) == (torch.bfloat16 if has_it else None)


def test_only_the_attention_of_this_network_is_switched() -> None:
    one, other = make_vit(), make_vit()
    set_fast_attention(one, CPU, None)
    set_fast_attention(one, torch.device("cuda"), torch.bfloat16)
    assert fused(one) == [True, True]
    set_fast_attention(one, CPU, torch.bfloat16)
    assert fused(one) == [False, False]
    assert fused(other) == [True, True]
    assert timm.layers.use_fused_attn()
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(one(x), other(x), rtol=1e-5, atol=1e-5)


def test_mixed_precision_computes_in_bf16_where_asked() -> None:
    linear, x = nn.Linear(4, 4), torch.randn(2, 4)
    with mixed_precision(CPU, torch.bfloat16):
        assert linear(x).dtype == torch.bfloat16
    with mixed_precision(CPU, None):
        assert linear(x).dtype == torch.float32
