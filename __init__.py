"""Stackbone: embed images once with several frozen pretrained backbones, then stack classifiers on the features.

The public names, each loaded when it is first used: ``import stackbone`` itself loads neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ROOMS = {
    "cache": ("FeatureStore", "StackboneError"),
    "extract": ("available_backbones", "extract", "index_dataset", "open_dataset"),
    "extract.embedding.predict": ("embed_for",),
    "extract.steering.steer": ("steer",),
    "stack": (
        "Experiment",
        "StackOptions",
        "StackedBackbones",
        "StackedBackbonesRegressor",
        "evaluate",
        "load_model",
        "run_experiment",
        "save_model",
        "stack_options",
    ),
    "stack.models.predict": ("predict",),
    "stack.report.page": ("write_report",),
}
_PLACES = {name: f"stackbone.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _PLACES:
        message = f"module 'stackbone' has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(message)
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
