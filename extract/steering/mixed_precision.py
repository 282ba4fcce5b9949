"""Training in bfloat16 where the hardware multiplies it, with the attention that is fastest there."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn


def mixed_precision(device: torch.device, autocast: torch.dtype | None) -> torch.autocast:
    """Return the context to compute in; `autocast` is what `choose_autocast` gave."""
    return torch.autocast(device.type, autocast, enabled=autocast is not None)


def choose_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type that mixed precision computes in on a device, or None for float32 throughout.

    ``auto`` is bf16 where the hardware multiplies it: on a CPU without such instructions it is slower than float32.
    """
    if precision == "auto":
        if device.type == "cuda":
            has_it = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            has_it = device.type == "cpu" and any(
                value for name, value in _cpu_capabilities().items() if "bf16" in name
            )
        precision = "bf16" if has_it else "fp32"
    return torch.bfloat16 if precision == "bf16" else None


def set_fast_attention(network: nn.Module, device: torch.device, autocast: torch.dtype | None) -> None:
    """Compute attention as plain matrix products where that trains faster: in bf16 on a CPU.

    ``bench/attention.py`` measures both, and docs/steering.md has the figures.

    timm's own switch is for the whole process; this one is for the modules of one network.
    """
    if device.type == "cpu" and autocast is not None:
        for module in network.modules():
            if hasattr(module, "fused_attn"):
                cast("Any", module).fused_attn = False


def _cpu_capabilities() -> dict[str, Any]:
    """Return what torch knows of the processor; an older torch cannot say, and float32 is the safe choice."""
    return cast("dict[str, Any]", getattr(torch.cpu, "get_capabilities", dict)())
