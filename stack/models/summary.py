"""What a saved model is made of, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.registry import get_task

_CLASSES_SHOWN = 20


def model_dict(model: StackModel) -> dict[str, Any]:
    """Return a JSON-able object of all but the numbers that a model predicts with."""
    novelty = model.novelty
    return {
        "task": model.task,
        "classes": model.classes,
        "targets": list(model.targets),
        "backbones": {each.name: list(each.specs) for each in model.backbones},
        "heads": list(model.heads),
        "meta": {"learner": model.learner, "scores": model.scores, "combine": model.combine, "weights": model.weights},
        "n_images": model.n_images,
        "digests_sha256": model.digests_sha256,
        "train_views": list(model.train_views),
        "class_weight": model.class_weight,
        "weight_column": model.weight_column,
        "score": model.score,
        "novelty": novelty and {"n_kept": novelty.n_kept, "n_bytes": novelty.n_bytes, "k": novelty.k},
        "versions": model.versions,
        "created": model.created,
    }


def model_lines(model: StackModel) -> list[str]:
    """Return lines for people."""
    names = _first_of(model.classes or model.targets)
    versions = ", ".join(f"{name} {each}" for name, each in model.versions.items())
    kept = "keeps no features of them: it cannot tell unlike images"
    if model.novelty is not None:
        size = f"{model.novelty.n_bytes / 1e6:,.1f} MB"
        kept = f"keeps features of {model.novelty.n_kept:,} of them ({size}), to know images that are unlike them"
    return [
        model.describe(),
        *([f"  {get_task(model.task).classes_are[1]}: {names}"] if names else []),
        *(f"  takes {identity}" for each in model.backbones for identity in each.specs),
        f"  fitted on {counted(model.n_images, 'image')}, views {', '.join(model.train_views)}",
        f"  {kept}",
        *_weighed_by(model),
        f"  made {model.created} with {versions or 'unknown versions'}",
    ]


def _first_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _CLASSES_SHOWN:,} more" if len(names) > _CLASSES_SHOWN else ""
    return f"{', '.join(names[:_CLASSES_SHOWN])}{more}"


def _weighed_by(model: StackModel) -> list[str]:
    """Return in a line what its training images counted for; no line where all counted alike."""
    weight = model.class_weight
    if isinstance(weight, Mapping):
        weight = _first_of([f"{name} {each:g}" for name, each in weight.items()])
    said = [f"class weights {weight}"] if weight is not None else []
    said += [f"each image by the column {model.weight_column!r}"] if model.weight_column is not None else []
    return [f"  fitted with weights: {'; '.join(said)}"] if said else []
