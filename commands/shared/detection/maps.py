"""Maps of images for a detection model: what the cache has, and what is made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared.console import err, progress
from stackbone.commands.shared.options import DecodingOptions, SourceOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stackbone.cache import FeatureStore
    from stackbone.extract import Dataset
    from stackbone.extract.embedding.images import EmbeddedImages
    from stackbone.stack.detection.models.model import DetectionModel


def open_detector(file: Path) -> DetectionModel:
    """Read a detection model, and say what it is."""
    from stackbone.stack.detection.models.model_file import load_detection_model

    model = load_detection_model(file)
    err.note(f"{file.name}: {model.describe()}")
    return model


def embed_maps(
    model: DetectionModel,
    dataset: Dataset,
    store: FeatureStore,
    sources: SourceOptions,
    decoding: DecodingOptions,
    *,
    engine: str,
    device: str,
    only: NDArray[np.bool_] | None = None,
) -> EmbeddedImages:
    """Return what reads the maps of a dataset's images; remarks and failures are printed."""
    from stackbone.extract.embedding.predict import embed_for

    how: dict[str, Any] = {"engine": engine, "device": device, **asdict(decoding)}
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embedded = embed_for(
            model.specs,
            dataset,
            store,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            only=only,
            load=False,
            on_progress=on_progress,
            **how,
        )
    for path, remark in embedded.remarks:
        err.print(f"note: {path!r}: {remark}")
    for path, reason in embedded.failures:
        err.print(f"failed: {path!r}: {reason}")
    return embedded


def refuse_label_options(words: Sequence[str], model: Path) -> None:
    """Raise `UsageError` where options were typed that say what labels of images are, which a detector has no use for.

    `words` are those that `as_given` returns.
    """
    if words:
        options = [each for each in words if each.startswith("--")]
        message = (
            f"{typed(model)} is a detection model, which finds boxes and labels no images: leave out "
            f"{', '.join(dict.fromkeys(options))}"
        )
        raise UsageError(message)
