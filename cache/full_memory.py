"""Whether an error says that memory is full, in the words of the many who run out of it."""

from __future__ import annotations

_WORDS = (
    "out of memory",  # torch's allocators of every device, and CUDA itself
    "allocate memory",  # torch on a CPU, and the system
    "alloc_failed",  # cuBLAS, cuDNN and cuSOLVER: CUBLAS_STATUS_ALLOC_FAILED
    "allocation_failed",  # cuDNN from 9 on: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
)


def says_memory_is_full(exc: BaseException) -> bool:
    """Return whether an error says that the memory, of this machine or of a device, is full.

    Torch raises a type of its own for its allocator alone; what a library below it runs out of comes as `RuntimeError`.
    """
    said = str(exc).lower()
    return isinstance(exc, MemoryError) or any(word in said for word in _WORDS)
