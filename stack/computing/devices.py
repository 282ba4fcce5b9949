"""Where solvers compute: what ``--device`` names."""

from __future__ import annotations

from stackbone.cache.errors import UsageError
from stackbone.stack.computing.arithmetic import CPU, HOST, Arithmetic

AUTO = "auto"


def choose_arithmetic(device: str) -> Arithmetic:
    """Return the arithmetic of a device.

    Parameters
    ----------
    device : str
        ``cpu``, which loads no torch; ``cuda`` or ``cuda:1``; ``auto`` for the first GPU, or the CPU where there is
        none: `Arithmetic.name` tells which.

    Raises
    ------
    UsageError
        If there is no such device here, or it cannot be used: nothing else is taken in its place.
    """
    if device == CPU:
        return HOST
    if device != AUTO and device.split(":")[0] != "cuda":
        message = f"--device is {device!r}; solvers run on cpu, cuda or cuda:N, or auto for a GPU if there is one"
        raise UsageError(message)
    import torch

    if device == AUTO and not torch.cuda.is_available():
        return HOST
    try:
        found = torch.device("cuda" if device == AUTO else device)
        torch.empty(1, device=found)
        name = f"cuda:{torch.cuda.current_device() if found.index is None else found.index}"
    except (RuntimeError, AssertionError) as exc:  # torch without CUDA asserts
        reason = str(exc).splitlines()[0]
        message = f"the device {device!r} cannot be used here ({reason}). Use --device cpu, or auto for what there is"
        raise UsageError(message) from exc
    from stackbone.stack.computing.torch_arithmetic import TorchArithmetic

    return TorchArithmetic(name)
