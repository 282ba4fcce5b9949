"""Which images of a dataset can tell how good a saved model is: labelled ones that it never saw, of what it knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError, as_keys
from stackbone.cache.choices import nearest
from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.cache.text import counted
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images
from stackbone.stack.judging.asked import check_labels, find_known_split
from stackbone.stack.models.model import StackModel, hash_digests
from stackbone.stack.tasks.known_labels import KnownLabels
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.truth import Truth

_SHOWN = 10  # names in a sentence


@dataclass(frozen=True, eq=False)
class UnseenImages:
    """Images to test a model on.

    Attributes
    ----------
    images : LabelledImages
        Those, with what was left out and why.
    truth : Truth
        What their labels say, in the model's classes.
    unknown : dict of str to int
        Names of classes or labels that the model does not know, with how many images have them.
    split : str, optional
        That they are all of; None where no split was asked for.
    """

    images: LabelledImages
    truth: Truth
    unknown: dict[str, int]
    split: str | None


def feature_sets(model: StackModel, store: FeatureStore) -> dict[str, FeatureSet]:
    """Return every feature set that a model takes, by its id, whether or not a cache has rows of it."""
    found = {}
    for identity, spec in model.specs.items():
        name, _ = parse_feature_set_id(identity) or (identity, "")
        found[identity] = store.feature_set(name, spec)
    return found


def unseen_images(
    model: StackModel, index: DatasetIndex, store: FeatureStore, *, split: str | None = None, group_by: str = "auto"
) -> UnseenImages:
    """Choose the images that a model can be tested on.

    Left out are, each time with their number: what has no label or could not be read, copies, images of other splits,
    those that the model was fitted on, those whose labels a steering of one of its backbones saw, those that share a
    group with either, and those of classes that the model does not know.

    Parameters
    ----------
    model : StackModel
        The model.
    index : DatasetIndex
        The dataset.
    store : FeatureStore
        The cache, with the records of what steerings saw.
    split : str, optional
        Test on this split of the dataset alone.
    group_by : str
        See `stack.divisions.labelled_images.label_images`.

    Raises
    ------
    StackError
        If no image is left, or it is not known what a steering saw.
    UsageError
        If the dataset has no such split, or its labels are of another form than the model's.
    """
    check_labels(model, index)
    named = None if split is None else find_known_split(index, split)
    images = label_images(index, split=named, group_by=group_by)
    if named is not None:
        images = _left_out(images, images.splits != named, "other_splits")
        if not len(images.rows):
            message = (
                f"no image of the split {named!r} of {index.name!r} has a label, so nothing can be tested on it. "
                "Name another --split, or label its images"
            )
            raise StackError(message)
    n = len(images.rows)
    fitted, saw = _fitted_on(model, index, images), _steered_on(model, index, store)
    images = _left_out(images, fitted[images.rows], "trained_on")
    images = _left_out(images, saw[images.rows], "steered_on")
    if images.groups is not None:
        met = np.unique(images.file_groups[(fitted | saw) & index.ok])
        images = _left_out(images, np.isin(images.file_groups[images.rows], met[met >= 0]), "same_group")
    if not len(images.rows):
        raise StackError(_nothing_unseen(model, images, n))
    if model.seen is None:
        images = _noted(
            images,
            "whether the model was fitted on some of these images is unknown: its file is from before models recorded "
            "that. Save it again with `stackbone stack --save FILE` to know",
        )
    return _known(model, images, named)


def _fitted_on(model: StackModel, index: DatasetIndex, images: LabelledImages) -> NDArray[np.bool_]:
    """Return ``(n_listed,)`` whether the model was fitted on each file, as far as its own file tells."""
    known = model.knows(index.image_sha256)
    if known is not None:
        return known
    return np.full(len(index), model.digests_sha256 == hash_digests(images.digests))  # on just these, or unknown


def _steered_on(model: StackModel, index: DatasetIndex, store: FeatureStore) -> NDArray[np.bool_]:
    """Return ``(n_listed,)`` whether a steering of one of the model's backbones saw each file's label."""
    saw, sets = np.zeros(len(index), np.bool_), feature_sets(model, store)
    for identity, spec in model.specs.items():
        if spec.steering is None:
            continue
        record = sets[identity].seen()
        if record is None or not len(record.digests):
            message = (
                f"the record of what the steering of {identity} saw names no image, so that no score of the model can "
                "be trusted. Run `stackbone extract` with --steering and its file again"
            )
            raise StackError(message)
        saw |= np.isin(as_keys(index.image_sha256), as_keys(record.digests))
    return saw


def _known(model: StackModel, images: LabelledImages, split: str | None) -> UnseenImages:
    found = get_task(model.task).read_known(images.labels, model.classes or model.targets)
    if not len(found.rows):
        raise StackError(_nothing_known(model, images, found))
    if found.unknown:
        images = _noted(images, _unknown_note(model, images, found))
    if len(found.rows) < len(images.rows):
        left = np.ones(len(images.rows), np.bool_)
        left[found.rows] = False
        images = _left_out(images, left, "unknown")
    return UnseenImages(images, found.truth, found.unknown, split)


def absent_note(model: StackModel, truth: Truth) -> list[str]:
    """Return a sentence about the classes or labels of a model that no tested image has; none where each is tested."""
    absent = _absent(truth)
    if not absent:
        return []
    which = f"{counted(len(absent), *get_task(model.task).classes_are)} of the model's {len(model.classes):,}"
    return [f"no tested image is of {which}, so nothing is said of {_listed(absent)}"]


def _absent(truth: Truth) -> list[str]:
    """Return the classes or labels that no image has."""
    if not truth.n_classes:
        return []
    presence = truth.presence
    n = np.bincount(truth.values, minlength=truth.n_classes) if presence is None else presence.sum(axis=0)
    return [str(name) for name in truth.classes[n == 0]]


def _left_out(images: LabelledImages, out: NDArray[np.bool_], why: str) -> LabelledImages:
    """Return the images without some, ``(n_images,)``, which are counted by the reason."""
    if not out.any():
        return images
    return replace(images.take(np.flatnonzero(~out)), left_out={**images.left_out, why: int(out.sum())})


def _noted(images: LabelledImages, note: str) -> LabelledImages:
    return replace(images, notes=[*images.notes, note])


def _nothing_unseen(model: StackModel, images: LabelledImages, n: int) -> str:
    left = images.left_out
    said = {
        "trained_on": "that it was fitted on",
        "steered_on": "whose labels a steering of it saw",
        "same_group": "in a group with one of those (--group-by none tests them all the same)",
    }
    counts = ", ".join(f"{left[why]:,} {words}" for why, words in said.items() if left.get(why))
    return (
        f"none of the {counted(n, 'labelled image')} of {images.index.name!r} is new to the model: {counts}. Test it "
        "on images that it never saw, or score it by cross-validation: `stackbone stack`"
    )


def _nothing_known(model: StackModel, images: LabelledImages, found: KnownLabels) -> str:
    first, spelt = next(iter(found.unknown)), {name.lower(): name for name in model.classes}
    lowered = nearest(first.lower(), list(spelt))
    near = nearest(first, model.classes) or (None if lowered is None else spelt[lowered])
    meant = f" ({first!r} is nearly {near!r})" if near else ""
    one, _ = get_task(model.task).classes_are
    return (
        f"none of the {counted(len(images.rows), 'image')} of {images.index.name!r} has a {one} that the model "
        f"knows: they are of {_listed(list(found.unknown))}, and it knows {_listed(model.classes)}{meant}. Correct the "
        "labels with --labels FILE.csv, name their column with --label-column, or choose another model"
    )


def _unknown_note(model: StackModel, images: LabelledImages, found: KnownLabels) -> str:
    spelt = {name.casefold(): name for name in model.classes}
    near = [f"{name} is nearly {spelt[name.casefold()]}" for name in found.unknown if name.casefold() in spelt]
    alike = f" ({_listed(near)}: correct labels with --labels FILE.csv)" if near else ""
    one, several = get_task(model.task).classes_are
    n, names = len(found.unknown), _listed([f"{name} ({count:,})" for name, count in found.unknown.items()])
    if len(found.rows) < len(images.rows):
        out = counted(len(images.rows) - len(found.rows), "image")
        return f"{out} of {counted(n, one, several)} that the model does not know: {names}{alike}"
    return f"the model does not know {counted(n, one, several)} of these images, which are not scored: {names}{alike}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
