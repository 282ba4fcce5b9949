"""Torch's engine on a GPU against itself on a CPU, and what of it can be held without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stackbone.cache import StackboneError
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines import engine as engine_module
from stackbone.extract.engines.engine import TorchEngine
from stackbone.extract.engines.staging import Staging

LITE0 = BACKBONES["efficientnet_lite0"]

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def pixels_of(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 224, 224, 3), np.uint8)


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.fixture(scope="module")
def on_cpu() -> TorchEngine:
    return TorchEngine(LITE0, random_weights(0), "cpu")


def test_copies_on_a_cpu_are_the_same_values() -> None:
    staging, pixels = Staging(torch.device("cpu")), pixels_of(2)
    np.testing.assert_array_equal(staging.to_device(pixels).numpy(), pixels)
    (back,) = staging.from_device([torch.arange(6.0).reshape(2, 3)])()
    np.testing.assert_array_equal(back, np.arange(6, dtype=np.float32).reshape(2, 3))


def test_seconds_of_a_gpu_are_those_between_two_marks_among_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Mark:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            said.append(f"mark on {stream}")

        def synchronize(self) -> None:
            said.append("wait")

        def elapsed_time(self, _last: Mark) -> float:
            return 1500.0

    staging = Staging(torch.device("cpu"))
    monkeypatch.setattr(staging, "_arriving", object())
    monkeypatch.setattr(torch.cuda, "Event", Mark)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "the network's")
    stop = staging.stopwatch()
    said.append("launch")
    seconds = stop()
    assert said == ["mark on the network's", "launch", "mark on the network's"]
    assert seconds() == 1.5
    assert said[3:] == ["wait"]


def test_a_cpu_does_not_run_ahead(on_cpu: TorchEngine) -> None:
    assert not on_cpu.runs_ahead


def test_what_is_launched_is_what_is_embedded(on_cpu: TorchEngine) -> None:
    pixels = pixels_of(2)
    np.testing.assert_array_equal(on_cpu.launch(pixels)().features[0], on_cpu.embed(pixels)[0])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB"), MemoryError),
        (RuntimeError("CUDA error: out of memory"), MemoryError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), MemoryError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), MemoryError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), StackboneError),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_errors_of_a_device_are_translated_whenever_they_come(
    on_cpu: TorchEngine,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: type[Exception],
    *,
    late: bool,
) -> None:
    def fail(*_: object) -> object:
        raise error

    class Late(Staging):
        from_device = staticmethod(lambda _features: fail if late else fail())  # type: ignore[assignment]

    monkeypatch.setattr(on_cpu, "_staging", Late(torch.device("cpu")))
    if not late:
        with pytest.raises(expected):
            on_cpu.launch(pixels_of(1))
        return
    wait = on_cpu.launch(pixels_of(1))
    with pytest.raises(expected):
        wait()


def test_products_are_never_those_of_tf32(on_cpu: TorchEngine) -> None:
    assert on_cpu.provenance["device"] == "cpu"
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert engine_module.PRECISIONS == ("fp32", "bf16", "fp16")


@on_gpu
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-4), ("bf16", 0.1), ("fp16", 0.02)])
def test_a_gpu_gives_the_features_of_a_cpu(on_cpu: TorchEngine, precision: str, most: float) -> None:
    pixels = pixels_of(5)
    engine = TorchEngine(LITE0, random_weights(0), "cuda", precision)
    waits = [engine.launch(pixels[i : i + 1]) for i in range(5)]  # all under way before the first is waited for
    found = np.concatenate([wait().features[0] for wait in waits])
    assert relative(found, on_cpu.embed(pixels)[0]) < most
    assert relative(engine.embed(pixels)[0], found) < most


@on_gpu
def test_a_gpu_that_is_full_says_so_at_once() -> None:
    engine = TorchEngine(LITE0, random_weights(0), "cuda")
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(MemoryError):
            engine.launch(pixels_of(64))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.embed(pixels_of(1))[0].shape == (1, 1280)
