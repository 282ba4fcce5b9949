"""What `predict` does with a detection model: boxes of new images, as a table, JSON, rows, and drawn pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackbone.cache.text import counted
from stackbone.commands.shared.console import err, print_json, progress
from stackbone.commands.shared.detection.maps import embed_maps, open_detector
from stackbone.commands.shared.endings import Outputs, exit_if_too_many_failed
from stackbone.commands.shared.options import DecodingOptions, RowOptions, SourceOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.extract import Dataset
    from stackbone.extract.embedding.images import EmbeddedImages
    from stackbone.extract.images.drawn.boxes import PictureToDraw
    from stackbone.stack.detection.models.answers import DetectedImage
    from stackbone.stack.detection.models.model import DetectionModel


@dataclass(frozen=True)
class DetectionAsked:
    """What `predict` was asked beside images and model."""

    sources: SourceOptions
    decoding: DecodingOptions
    engine: str
    device: str
    files: RowOptions
    draw: Path | None
    max_failed: float
    as_json: bool


def predict_boxes(file: Path, dataset: Dataset, store: FeatureStore, asked: DetectionAsked) -> None:
    """Find objects in images, print what was found, and write what was asked for."""
    from stackbone.stack.detection.models import answers

    model = open_detector(file)
    embedded = embed_maps(
        model, dataset, store, asked.sources, asked.decoding, engine=asked.engine, device=asked.device
    )
    images = _detected(model, embedded)
    if note := answers.about_training(images):
        err.note(f"note: {note}")
    if asked.as_json:
        failed = [{"path": path, "reason": reason} for path, reason in embedded.failures]
        told = answers.coco_results(images, model.classes, model.thresholds)
        print_json({"model": str(file), **told, "failed": failed})
    elif images:
        print_table(answers.IMAGE_HEADER, answers.image_rows(images, model.classes), shorten=["path"])
    with Outputs() as outputs:
        types = {"path": str, "class": str, **dict.fromkeys(["score", "left", "top", "right", "bottom"], float)}
        asked.files.write(answers.box_columns(images, model.classes), outputs, types)
        if asked.draw is not None:
            with outputs.file():
                _draw(model, dataset, embedded, images, asked.draw, asked.decoding)
    n_failed = len(embedded.failures)
    exit_if_too_many_failed(n_failed, len(embedded.paths), asked.max_failed, "objects are found in all others")


def _detected(model: DetectionModel, embedded: EmbeddedImages) -> list[DetectedImage]:
    from stackbone.stack.detection.models.answers import DetectedImage

    digests, sizes = embedded.sound_digests, embedded.sound_sizes
    if not len(digests):
        return []
    sources = [embedded.maps[each.feature_set] for each in model.backbones]
    with progress() as on_progress:
        found = model.detect(sources, digests, sizes, progress=on_progress)
    rows = zip(embedded.sound_paths, sizes.tolist(), found, model.knows(digests).tolist(), strict=True)
    return [
        DetectedImage(path, width, height, each, each.above(model.thresholds), is_known)
        for path, (width, height), each, is_known in rows
    ]


def _draw(
    model: DetectionModel,
    dataset: Dataset,
    embedded: EmbeddedImages,
    images: list[DetectedImage],
    folder: Path,
    decoding: DecodingOptions,
) -> None:
    from stackbone.extract.images.drawn.boxes import draw_pictures
    from stackbone.extract.images.limits import limits_of

    pictures = _pictures(model, dataset, embedded, images)
    limits = limits_of(allow_truncated=decoding.allow_truncated, max_pixels=decoding.max_pixels)
    with progress() as on_progress:
        failed = draw_pictures(
            pictures, folder, limits=limits, on_progress=lambda done, total: on_progress("drawing", done, total)
        )
    for name, reason in failed:
        err.print(f"not drawn: {name!r}: {reason}")
    n_drawn = len(pictures) - len(failed)
    err.note(f"{counted(n_drawn, 'picture')} with boxes {'is' if n_drawn == 1 else 'are'} in {folder}")


def _pictures(
    model: DetectionModel, dataset: Dataset, embedded: EmbeddedImages, images: list[DetectedImage]
) -> list[PictureToDraw]:
    from stackbone.extract.images.drawn.boxes import LabelledBox, PictureToDraw

    listed = embedded.sound(dataset.paths)
    found = []
    for path, image, digest in zip(listed, images, embedded.sound_digests, strict=True):
        boxes = [
            LabelledBox((left, top, right, bottom), f"{model.classes[code]} {score:.2f}", code)
            for (left, top, right, bottom), code, score in zip(
                image.shown.corners.tolist(), image.shown.classes.tolist(), image.shown.scores.tolist(), strict=True
            )
        ]
        place = dataset.root / path
        name = path if not Path(path).is_absolute() else Path(path).name
        found.append(PictureToDraw(place, name, digest.tobytes(), boxes[::-1]))
    return found
