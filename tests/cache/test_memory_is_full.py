"""A full memory is known by the words of whoever ran out of it."""

from __future__ import annotations

import pytest

from stackbone.cache.errors import says_memory_is_full


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    ],
    ids=str,
)
def test_who_ran_out_of_memory_is_known(error: Exception) -> None:
    assert says_memory_is_full(error)


@pytest.mark.parametrize(
    "message", ["CUDA error: an illegal memory access was encountered", "CUBLAS_STATUS_EXECUTION_FAILED", ""]
)
def test_other_errors_are_no_matter_of_memory(message: str) -> None:
    assert not says_memory_is_full(RuntimeError(message))
