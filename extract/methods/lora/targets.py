"""The layers of a ViT's block that LoRA can be added to, by name."""

from __future__ import annotations

TARGETS: dict[str, tuple[str, int | None]] = {
    "qkv": ("attn.qkv", None),
    "q_proj": ("attn.qkv", 0),
    "k_proj": ("attn.qkv", 1),
    "v_proj": ("attn.qkv", 2),
    "proj": ("attn.proj", None),
    "fc1": ("mlp.fc1", None),
    "fc2": ("mlp.fc2", None),
}
"""Name, as peft's ``target_modules`` has it, to the layer of a block in timm, and the third of its output."""
USUAL = "qkv,proj"
