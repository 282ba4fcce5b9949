"""The version of ONNX that Stackbone writes."""

from __future__ import annotations

import importlib.util

from stackbone.cache.errors import UsageError

OPSET = 18
"""Version of ONNX's operators, which ONNX Runtime knows from 1.14 on."""
IR_VERSION = 8
"""Version of the file format: the oldest that goes with `OPSET`."""
ROWS = "n"
"""Name of the first dimension of every input and output: as many images as the caller has."""
MOST_BYTES = 2**31 - 1
"""Of a file: what protobuf, in which it is written, can hold."""


def check_onnx() -> None:
    """Raise `UsageError` unless the libraries that write ONNX files, and try what is in them, are installed."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        message = f"writing ONNX needs {' and '.join(missing)}, not installed here. Run `pip install 'stackbone[onnx]'`"
        raise UsageError(message)
