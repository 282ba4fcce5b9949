"""Where networks run: what ``--device`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbone.cache import UsageError

if TYPE_CHECKING:
    import torch


def check_device(device: str) -> None:
    """Raise `UsageError` if a device that was named cannot be used here; ``auto`` and ``cpu`` can, and cost no look."""
    if device not in ("auto", "cpu"):
        pick_device(device)


def has_accelerator() -> bool:
    """Return whether torch would find a GPU, asking torch only where there are signs of one."""
    import ctypes.util
    import sys
    from pathlib import Path

    if sys.platform == "darwin":
        return pick_device("auto").type != "cpu"
    if not Path("/dev/nvidiactl").exists() and not Path("/dev/kfd").exists() and not ctypes.util.find_library("nvcuda"):
        return False
    return pick_device("auto").type != "cpu"


def pick_device(name: str) -> torch.device:
    """Return the device of a name, ``auto`` for the fastest there is; `UsageError` if it cannot be used here."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        reason = str(exc).splitlines()[0]
        message = f"the device {name!r} cannot be used here ({reason}). Use --device auto or --device cpu"
        raise UsageError(message) from exc
    return device
