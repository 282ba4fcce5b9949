"""What looks odd about copies, splits and groups: above all what is on both sides of a split."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from stackbone.cache.hdf5.coded_texts import code_texts
from stackbone.cache.splits import canonical_split
from stackbone.cache.text import counted
from stackbone.cache.upkeep.oddities.looks import Looks, listed


def copies_with_different_labels(looks: Looks) -> str:
    """Return what to say where the same bytes have different labels."""
    labels = [{looks.index.label[row] for row in members} - {""} for members in looks.copies.members]
    n = sum(len(each) > 1 for each in labels)
    if not n:
        return ""
    return (
        f"{counted(n, 'image is', 'images are')} there several times, byte for byte, under different labels. `stack` "
        "leaves them out; correct the labels to keep them"
    )


def copies_across_splits(looks: Looks) -> str:
    """Return what to say where the same bytes are in several splits."""
    split = looks.index.split
    n = sum(len({split[row] for row in members} - {""}) > 1 for members in looks.copies.members)
    if not n:
        return ""
    return (
        f"{counted(n, 'image is', 'images are')} in more than one split, byte for byte. `stack --split` trains on none "
        "that it tests; other tools would"
    )


def groups_across_splits(looks: Looks) -> str:
    """Return what to say where a group is in several splits."""
    group, split = code_texts(looks.index.group), code_texts(looks.index.split)
    pairs = group.codes[looks.rows].astype(np.int64) * len(split.names) + split.codes[looks.rows]
    found: dict[str, set[str]] = defaultdict(set)
    for of_group, of_split in (divmod(pair, len(split.names)) for pair in np.unique(pairs).tolist()):
        if group.names[of_group] and split.names[of_split]:
            found[group.names[of_group]].add(split.names[of_split])
    across = sorted(name for name, splits in found.items() if len(splits) > 1)
    if not across:
        return ""
    groups = counted(len(across), "group is", "groups are")
    return (
        f"{groups} in more than one split ({listed(across)}), so that what belongs together is both trained on and "
        "tested. Folds keep groups together: `stackbone stack --cv 3`"
    )


def classes_not_in_training(looks: Looks) -> str:
    """Return what to say where a class is tested and never trained on."""
    labelled = {name: set(labels) - {""} for name, labels in looks.splits.items()}
    training = [name for name in labelled if canonical_split(name) == "train"]
    if not training or looks.are_quantities:
        return ""
    trained = set().union(*(labelled[name] for name in training))
    lacking = sorted(set().union(*labelled.values()) - trained)
    if not lacking:
        return ""
    classes = counted(len(lacking), "class has", "classes have")
    return f"{classes} no training image ({listed(lacking)}), and no model can learn from none"


def splits_without_labels(looks: Looks) -> str:
    """Return what to say where a whole split is unlabelled, as the tests of competitions are."""
    found = sorted(name for name, labels in looks.splits.items() if set(labels) == {""})
    if not found or not looks.classes:
        return ""
    noun = "split" if len(found) == 1 else "splits"
    return f"no image of the {noun} {listed(found)} has a label: they can be predicted, not scored"
