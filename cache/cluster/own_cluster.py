"""A Ray cluster of this machine alone, for as long as standard input is open. Run as a script, by `guard`."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any


def main(options: dict[str, Any]) -> None:
    """Start Ray, tell its address on standard output as JSON, and end it when standard input closes."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Ray prints what nobody reads
    try:
        import ray

        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **options)
        answer = {"address": ray.get_runtime_context().gcs_address}
    except Exception as exc:  # whatever it is, who asked tells it
        answer = {"error": f"{type(exc).__name__}: {exc}"}
    try:
        told.write(json.dumps(answer) + "\n")
        told.flush()
        sys.stdin.buffer.read()
    finally:
        with suppress(Exception):
            ray.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
