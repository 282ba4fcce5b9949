"""Whether an experiment can be compared with an earlier result: its images and folds say it before any fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackbone.cache import StackError
from stackbone.cache.text import counted, typed
from stackbone.stack.experiments.against.earlier import Earlier
from stackbone.stack.experiments.against.image_answers import images_tested
from stackbone.stack.experiments.against.same_folds import FOLDS, SharedImages, differing_options, share_images
from stackbone.stack.experiments.experiment import Planned


def check_against(planned: Planned, earlier: Earlier) -> None:
    """Refuse an experiment that cannot be compared with an earlier result.

    Raises
    ------
    StackError
        If the two are of different datasets, tasks, metrics or folds: the message says what to type.
    """
    content, file = earlier.content, earlier.file
    if content.get("task") != planned.task:
        message = (
            f"{file} is of the task {content.get('task')}, and this is {planned.task}: their scores cannot be "
            f"compared. Type `stackbone stack --task {typed(content.get('task'))}`, or compare with another result"
        )
        raise StackError(message)
    shared = None if earlier.images is None else share_images(earlier.images, images_tested(planned))
    _check_dataset(planned, earlier, shared)
    if other := differing_options(content, planned.division.as_recorded()):
        raise StackError(_other_folds(other, planned, earlier))
    if planned.ranked_by != earlier.metric:
        message = (
            f"{file} ranks models by {earlier.metric}, and this run by {planned.ranked_by}: add --metric "
            f"{typed(earlier.metric)}, or compare with a result of the same metric"
        )
        raise StackError(message)
    if shared is not None and not shared.keeps_folds:
        message = (
            f"{file} tested {len(shared.rows):,} of these images too, but only {len(shared.same):,} of them in the "
            "same fold: images that were added, or labels that changed, moved the others. Scores of different folds "
            "cannot be compared: write a result with --dealing digests before the next change, which moves few images"
        )
        raise StackError(message)


def _check_dataset(planned: Planned, earlier: Earlier, shared: SharedImages | None) -> None:
    content, file = earlier.content, earlier.file
    name = content.get("dataset")
    if shared is None:
        if name != planned.dataset:
            message = (
                f"{file} is of the dataset {name!r}, and this is {planned.dataset!r}: add --dataset {typed(name)}, or "
                "compare with a result of this one"
            )
            raise StackError(message)
        if content.get("n_images") != planned.n_images:
            message = (
                f"{file} tested {content.get('n_images')} images, and there are {planned.n_images}; it was written by "
                f"Stackbone {content.get('stackbone')}, whose results do not tell which images, so that those that "
                "both tested cannot be compared. Compare with a result of this version"
            )
            raise StackError(message)
    elif not shared.is_one_dataset:
        n_both = len(shared.rows)
        message = (
            f"{file} is of the dataset {name!r} and tested {counted(n_both + shared.n_gone, 'image')}, of which "
            f"{n_both:,} are among the {n_both + shared.n_new:,} of {planned.dataset!r}: these are different datasets. "
            f"{_same_one(name, planned)}, or compare with a result of this one"
        )
        raise StackError(message)


def _same_one(name: object, planned: Planned) -> str:
    return "Name the same one with --dataset" if name == planned.dataset else f"Add --dataset {typed(name)}"


def _other_folds(other: Sequence[str], planned: Planned, earlier: Earlier) -> str:
    """Return that two results are of other folds, and which options lead to those of the earlier one."""
    now = planned.division.as_recorded()
    found, current = ({name: each.get(name, FOLDS[name][1]) for name in other} for each in (earlier.content, now))
    told = ", ".join(f"{name} {found[name]} (now {current[name]})" for name in other)
    return (
        f"{earlier.file} was scored on other folds: {told}. Scores of different folds cannot be compared: "
        f"{_way_to(other, found)}write a result on these folds with --result FILE first"
    )


def _way_to(other: Sequence[str], folds: Mapping[str, Any]) -> str:
    """Return which options lead to these folds, where options do: those to add, and those to leave out."""
    if not all(FOLDS[name][0] for name in other):
        return ""
    to_add = [word for name in other if folds[name] is not None for word in (FOLDS[name][0], folds[name])]
    to_leave = [FOLDS[name][0] for name in other if folds[name] is None]
    parts = ([f"add {typed(*to_add)}"] if to_add else []) + ([f"leave {', '.join(to_leave)} out"] if to_leave else [])
    return f"{' and '.join(parts)} for its folds, or "
