"""What a saved detector is made of, for people and programs."""

from __future__ import annotations

from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.detection.models.model import DetectionModel

_CLASSES_SHOWN = 20


def model_dict(model: DetectionModel) -> dict[str, Any]:
    """Return a JSON-able object of all but the numbers that a model finds objects with."""
    return {
        "task": "detection",
        "classes": list(model.classes),
        "backbones": {each.name: list(each.specs) for each in model.backbones},
        "head": model.head,
        "weights": dict(zip((each.name for each in model.backbones), model.weights, strict=True)),
        "overlap": model.overlap,
        "thresholds": dict(zip(model.classes, map(float, model.thresholds), strict=True)),
        "n_images": model.n_images,
        "digests_sha256": model.digests_sha256,
        "score": model.score,
        "versions": model.versions,
        "created": model.created,
    }


def model_lines(model: DetectionModel) -> list[str]:
    """Return lines for people."""
    shown = list(zip(model.classes, model.thresholds, strict=True))[:_CLASSES_SHOWN]
    more = len(model.classes) - len(shown)
    listed = ", ".join(f"{name} (from {threshold:.2f} on)" for name, threshold in shown)
    versions = ", ".join(f"{name} {each}" for name, each in model.versions.items())
    return [
        model.describe(),
        f"  classes, and the score from which on a box is shown: {listed}{f' and {more:,} more' if more > 0 else ''}",
        *(
            f"  takes {each.feature_set}, which counts {weight:.2f}"
            for each, weight in zip(model.backbones, model.weights, strict=True)
        ),
        f"  fitted on {counted(model.n_images, 'image')}",
        f"  made {model.created} with {versions or 'unknown versions'}",
    ]
