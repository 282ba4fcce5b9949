"""Every kind of file that Stackbone reads, by the name that the table has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from fuzz.trial import Kind


def _kind(module: str, name: str, **options: object) -> Kind:
    """Return a kind; its module, and the libraries that it needs, are imported now."""
    kind: Kind = getattr(import_module(f"fuzz.{module}"), name)(**options)
    return kind


KINDS: dict[str, Callable[[], Kind]] = {
    "shard": partial(_kind, "cache_files", "Shard"),
    "shard, version 1": partial(_kind, "cache_files", "Shard", version=1),
    "index": partial(_kind, "cache_files", "Index"),
    "index, version 1": partial(_kind, "cache_files", "Index", version=1),
    "seen": partial(_kind, "cache_files", "Seen"),
    "seen, version 1": partial(_kind, "cache_files", "Seen", version=1),
    "scores": partial(_kind, "score_files", "Scores"),
    "model": partial(_kind, "tensor_files", "Model"),
    "steering": partial(_kind, "steering_files", "SteeringFile"),
    "checkpoint": partial(_kind, "steering_files", "Checkpoint"),
    "result": partial(_kind, "result_files", "Result"),
    "graph": partial(_kind, "graph_files", "Graph"),
    "table, CSV": partial(_kind, "table_files", "Csv"),
    "table, Parquet": partial(_kind, "table_files", "Parquet"),
}
