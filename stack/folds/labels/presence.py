"""Which labels each image has, as a matrix, and which labels can be learnt and tested."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.labels.sets import split_names
from stackbone.cache.text import counted
from stackbone.stack.folds.class_labels import list_first

Presence = NDArray[np.int8]
"""``(n, n_labels)``: 1 where an image has a label, else 0."""

_SHOWN = 10  # labels that a message names


def read_presence(texts: NDArray[np.str_]) -> tuple[NDArray[np.str_], Presence]:
    """Read the labels that an index holds.

    Parameters
    ----------
    texts : NDArray[np.str_]
        ``(n_images,)`` as `cache.labels.sets` writes them, such as ``cat|indoor``.

    Returns
    -------
    names : NDArray[np.str_]
        ``(n_labels,)`` of all labels, ascending.
    presence : NDArray[np.int8]
        ``(n_images, n_labels)``.

    Raises
    ------
    StackError
        If a row has no text, or no image has a label.
    """
    if texts.ndim != 1:
        msg = f"labels have shape {texts.shape}; expected one text per image, such as cat|indoor, shape (n_images,)"
        raise StackError(msg)
    unlabelled = np.flatnonzero(texts == "")
    if len(unlabelled):
        msg = (
            f"{len(unlabelled)} of {len(texts)} images are not labelled (first rows: {list_first(unlabelled)}); "
            "every image needs its labels, or a mark that it has none: label them or leave them out"
        )
        raise StackError(msg)
    distinct, kind = np.unique(texts, return_inverse=True)
    sets = [split_names(str(text)) for text in distinct]
    names = sorted({name for each in sets for name in each})
    if not names:
        msg = f"none of {counted(len(texts), 'image')} has a label; there is nothing to predict: check the label column"
        raise StackError(msg)
    place = {name: number for number, name in enumerate(names)}
    of_kind = np.zeros((len(distinct), len(names)), np.int8)
    for row, each in enumerate(sets):
        of_kind[row, [place[name] for name in each]] = 1
    return np.array(names, np.str_), of_kind[kind]


def sides(presence: Presence, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ``(2, n_labels)`` numbers of groups that have an image without each label, and one with it.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n, n_labels)``.
    group : NDArray[np.int64]
        ``(n,)`` group ids, none negative.
    """
    n_groups, own = len(np.unique(group)), np.unique(group, return_inverse=True)[1]
    if n_groups == len(group):
        n_with = presence.sum(axis=0, dtype=np.int64)
        return np.stack([len(group) - n_with, n_with])
    found = np.zeros((2, n_groups, presence.shape[1]), np.bool_)
    for side in (0, 1):
        rows, columns = np.nonzero(presence == side)
        found[side, own[rows], columns] = True
    counts: NDArray[np.int64] = found.sum(axis=1)
    return counts


def find_rare_labels(presence: Presence, group: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Return which labels fewer than `least` groups have, or lack: ``(n_labels,)``."""
    rare: NDArray[np.bool_] = sides(presence, group).min(axis=0) < least
    return rare


def say_rare(names: NDArray[np.str_], presence: Presence, group: NDArray[np.int64], least: int) -> str:
    """Return in words which labels `find_rare_labels` finds, and what is found of each."""
    lacking, having = sides(presence, group)
    nouns = ("image", "images") if len(np.unique(group)) == len(group) else ("group", "groups")
    said = []
    for name, without, n_with in zip(names, lacking.tolist(), having.tolist(), strict=True):
        if min(without, n_with) < least:
            found = (
                f"in {counted(n_with, *nouns)}"
                if n_with < least
                else ("in all" if not without else f"in all but {without:,}")
            )
            said.append(f"{str(name)!r} ({found})")
    more = f" and {len(said) - _SHOWN:,} more" if len(said) > _SHOWN else ""
    return ", ".join(said[:_SHOWN]) + more


def check_both_sides(names: NDArray[np.str_], presence: Presence, where: str) -> None:
    """Require an image with each label, and one without it.

    Parameters
    ----------
    names : NDArray[np.str_]
        ``(n_labels,)``.
    presence : NDArray[np.int8]
        ``(n, n_labels)`` of the rows that are learnt from.
    where : str
        What the message calls these rows.

    Raises
    ------
    StackError
        If there is none of a label.
    """
    everyone = np.arange(len(presence))
    rare = find_rare_labels(presence, everyone, 1)
    if rare.any():
        msg = (
            f"{where} cannot teach {counted(int(rare.sum()), 'label')}: {say_rare(names, presence, everyone, 1)}; a "
            "classifier needs images with each label and images without it"
        )
        raise StackError(msg)
