"""A saved detector tested on annotated images: those that it was fitted on are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackbone.cache import DatasetIndex
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.errors import StackError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.detection.experiments.scoring import score_detectors
from stackbone.stack.detection.models.model import DetectionModel
from stackbone.stack.detection.records.annotated import TASK, annotated_images
from stackbone.stack.detection.records.experiment import DetectionExperiment, FoldDetector
from stackbone.stack.detection.records.sources import MapBackbone
from stackbone.stack.divisions.division import Division
from stackbone.stack.folds.fold import Fold


def judge_detector(
    model: DetectionModel,
    index: DatasetIndex,
    table: BoxTable,
    backbones: Sequence[MapBackbone],
    *,
    split: str | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> DetectionExperiment:
    """Return how well a model finds the objects of a dataset, as an experiment of one fold without a training part.

    Parameters
    ----------
    model : DetectionModel
        Saved.
    index : DatasetIndex
        The dataset.
    table : BoxTable
        Its boxes.
    backbones : sequence of MapBackbone
        The model's, with maps of the images.
    split : str, optional
        Test on the images of this split alone.
    notes : sequence of str
        What a reader of the scores should know of the boxes.
    seed : int
        Of the interval.
    progress : callable
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If no annotated image is left, or none shows an object of the model's classes.
    """
    annotated = annotated_images(index, table, split=split).note(*notes)
    left_out = dict(annotated.images.left_out)
    keep = np.ones(len(annotated), np.bool_)
    if split is not None:
        keep = annotated.images.splits == split
        left_out["other_splits"] = int((~keep).sum())
    known = model.knows(annotated.images.digests)
    left_out["trained_on"] = int((keep & known).sum())
    rows = np.flatnonzero(keep & ~known)
    if not len(rows):
        message = (
            f"no annotated image of the dataset {index.name!r} is left to test: the model was fitted on "
            f"{counted(left_out['trained_on'], 'image')} of them. Test on others, or score by folds: "
            "`stackbone detect --cv 3`"
        )
        raise StackError(message)
    annotated = annotated.take(rows)
    annotated.images.left_out.update(left_out)
    other = sorted({name for each in annotated.boxes for name in each.classes} - set(model.classes))
    annotated = annotated.only(model.classes)
    if other:
        annotated = annotated.note(
            f"not scored, since the model does not know {'it' if len(other) == 1 else 'them'}: {', '.join(other)}"
        )
    if not annotated.presence.any():
        message = (
            f"the {counted(len(rows), 'image')} of the dataset {index.name!r} that the model was not fitted on show no "
            f"object of its classes: {', '.join(model.classes)}. Test on others"
        )
        raise StackError(message)
    digests = annotated.images.digests
    found = model.detect([each.maps for each in backbones], digests, annotated.sizes, progress=progress)
    fold = Fold(np.zeros(0, np.int64), np.arange(len(rows)))
    work = {model.name: [FoldDetector(found, model.thresholds, np.nan, 0.0)]}
    scores, _ = score_detectors(annotated, [fold], work, model.head, seed, progress)
    return DetectionExperiment(
        annotated=annotated,
        division=Division(task=TASK, split=split, seed=seed),
        folds=[fold],
        backbones=backbones,
        heads=(model.head,),
        detectors=work,
        scores=scores,
        gain=None,
        settings={},
        model=model,
        tested=f"a saved model on {counted(len(rows), 'image')} that it was not fitted on",
    )
