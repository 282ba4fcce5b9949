"""Engines: OpenVINO and torch, and which of them runs a network on this machine's hardware."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackboneError, UsageError
from stackbone.cache.choices import check_choice
from stackbone.cache.errors import says_memory_is_full
from stackbone.cache.records.feature_name import POOLED
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.engines.batches import usual_batch
from stackbone.extract.engines.contract import Computed, Engine
from stackbone.extract.engines.devices import has_accelerator, pick_device

_log = logging.getLogger(__name__)

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("fp32", "bf16", "fp16")
# Larger ones push activations out of the processor's caches: see bench/engines.py --batch-size.
_OPENVINO_BATCH = 8
_CPU_BATCH = 16
_GPU_BATCH = 64
# Threads that are bound to cores wait there behind threads that decode, and cannot go where a core is free: see
# bench/pinning.py.
OPENVINO_SETTINGS: dict[str, str | bool] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}


def check_engine(name: str) -> None:
    """Raise `UsageError` unless `name` is one of `ENGINES`."""
    check_choice("engine", name, ENGINES)


def check_precision(name: str) -> None:
    """Raise `UsageError` unless `name` is one of `PRECISIONS`."""
    check_choice("precision", name, PRECISIONS)


def make_engine(
    backbone: Backbone,
    weights: Weights,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    *,
    outputs: Sequence[str] = (POOLED,),
    reuse: bool = True,
) -> Engine:
    """Return an engine that runs `backbone` here; building it takes from a second to a minute.

    Parameters
    ----------
    engine
        ``torch``, ``openvino`` (CPU only), or ``auto``: OpenVINO on a CPU where it is installed, else torch, and
        torch for a network of the user's own.
    device
        ``auto`` (CUDA, then MPS, then CPU), or a torch device such as ``cuda:1``.
    precision
        ``fp32`` (truly so, on every device), ``bf16``, or, on CUDA, ``fp16``.
    outputs
        Which outputs one pass gives, see `extract.backbones.outputs`.
    reuse
        Whether a network that an earlier run converted and kept may serve; without, it is converted in memory.

    Raises
    ------
    UsageError
        If the engine is unknown or not installed, or does not run on the device or in the precision; or if the network
        lacks one of the outputs.
    WeightsError
        If the weights are not this architecture's.
    StackboneError
        If the network cannot be run; with ``auto``, torch is tried after OpenVINO.
    """
    check_precision(precision)
    # To trace code that nobody knows may fix what depends on its input: only who asks for it gets OpenVINO.
    chosen = _engine_class("torch" if engine == "auto" and backbone.own else engine, device)
    try:
        if chosen is OpenVinoEngine:
            return OpenVinoEngine(backbone, weights, device, precision, outputs=outputs, reuse=reuse)
        return TorchEngine(backbone, weights, device, precision, outputs=outputs)
    except RuntimeError as exc:  # OpenVINO has one type for all its errors
        reason = str(exc).strip().splitlines()[-1]
        if engine != "auto" or chosen is TorchEngine:
            message = f"{backbone.name} cannot be run here ({reason}). Try another --engine: {', '.join(ENGINES[1:])}"
            raise StackboneError(message) from exc
        _log.warning("%s: OpenVINO does not take it (%s); running it with torch", backbone.name, reason)
        return TorchEngine(backbone, weights, device, precision, outputs=outputs)


def _engine_class(engine: str, device: str) -> type[OpenVinoEngine | TorchEngine]:
    check_engine(engine)
    installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino":
        if not installed:
            message = "the engine openvino is not installed here. Run `pip install openvino`, or use --engine torch"
            raise UsageError(message)
        if device not in ("auto", "cpu"):
            message = f"the engine openvino runs on the CPU, not on {device!r}. Use --engine torch for this device"
            raise UsageError(message)
        return OpenVinoEngine
    if engine == "auto" and installed and device in ("auto", "cpu") and not (device == "auto" and has_accelerator()):
        return OpenVinoEngine
    return TorchEngine


def _failed_message(exc: RuntimeError) -> str:
    reason = str(exc).strip().splitlines()[-1]
    return f"the engine failed on a batch: {reason}. What was computed is kept; run again, or try another --engine"


class OpenVinoEngine:
    """OpenVINO on a CPU; see `make_engine` for the parameters and errors."""

    is_bound_to_batch = False

    def __init__(
        self,
        backbone: Backbone,
        weights: Weights,
        device: str = "auto",
        precision: str = "fp32",
        *,
        outputs: Sequence[str] = (POOLED,),
        reuse: bool = True,
    ) -> None:
        import PIL

        from stackbone.extract.engines.graphs import CONVERTERS, convert_graph, import_openvino, load_graph

        openvino = import_openvino()
        self.batch_size = usual_batch(_OPENVINO_BATCH, backbone)
        core = openvino.Core()
        if precision == "fp16" or (
            precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        ):
            message = f"this processor does not compute in {precision} with OpenVINO. Use --precision fp32"
            raise UsageError(message)
        # Unless asked not to, OpenVINO computes in bf16 where the processor has it.
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        settings = {"INFERENCE_PRECISION_HINT": hint, **OPENVINO_SETTINGS}
        load = load_graph if reuse else convert_graph
        graph, self.forms = load(backbone, weights, outputs)
        try:
            self._compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError:
            if not reuse:
                raise
            # A kept graph that was tampered with may be read and not compile; a new one tells whether it was that.
            graph, self.forms = load_graph(backbone, weights, outputs, reuse=False)
            self._compiled = core.compile_model(graph, "CPU", settings)
        versions = {name: version(name) for name in CONVERTERS}
        self.provenance = {"engine": "openvino", "device": "cpu", **versions, "pillow": PIL.__version__}

    def embed(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return (B, n_columns) float32 for each output, of pixels (B, H, W, 3) uint8."""
        try:
            results = self._compiled(pixels)
        except RuntimeError as exc:
            if "alloc" in str(exc):  # as in std::bad_alloc: OpenVINO has one type for all its errors
                raise MemoryError(str(exc)) from exc
            raise StackboneError(_failed_message(exc)) from exc
        return [results[i] for i in range(len(self.forms))]


class TorchEngine:
    """Eager PyTorch, channels last; see `make_engine` for the parameters and errors."""

    is_bound_to_batch = True  # its products and convolutions choose their algorithm by the shape

    def __init__(
        self,
        backbone: Backbone,
        weights: Weights,
        device: str = "auto",
        precision: str = "fp32",
        *,
        outputs: Sequence[str] = (POOLED,),
    ) -> None:
        import PIL
        import timm
        import torch

        from stackbone.extract.engines.network import build_outputs
        from stackbone.extract.engines.staging import Staging

        self._torch = torch
        self._device = pick_device(device)
        self.runs_ahead = self._device.type == "cuda"
        if precision == "fp16" and self._device.type != "cuda":
            message = f"fp16 is for CUDA, and this is {self._device}. Use --precision bf16 or fp32"
            raise UsageError(message)
        self._autocast = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.batch_size = usual_batch(_CPU_BATCH if self._device.type == "cpu" else _GPU_BATCH, backbone)
        # Recent GPUs would compute in TF32, and a cache made there would not serve elsewhere.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self._network = build_outputs(backbone, weights, outputs).to(self._device)
        self.forms = self._network.forms
        self._staging = Staging(self._device)
        self.provenance = {
            "engine": "torch",
            "device": str(self._device),
            "torch": torch.__version__,
            "timm": timm.__version__,
            "pillow": PIL.__version__,
        }

    def embed(self, pixels: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return (B, n_columns) float32 for each output, of pixels (B, H, W, 3) uint8."""
        return self.launch(pixels)().features

    def launch(self, pixels: NDArray[np.uint8]) -> Callable[[], Computed]:
        """Start the same, which a GPU does by itself, and return what waits for it."""
        torch = self._torch
        autocast = torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None)
        with self._translated(), torch.inference_mode(), autocast:
            arriving = self._staging.to_device(pixels)
            stopwatch = self._staging.stopwatch()
            wait = self._staging.from_device(self._network(arriving))
            seconds = stopwatch()

        def result() -> Computed:
            with self._translated():
                return Computed(wait(), seconds())

        return result

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as exc:
            if says_memory_is_full(exc):
                raise MemoryError(str(exc)) from exc
            raise StackboneError(_failed_message(exc)) from exc
