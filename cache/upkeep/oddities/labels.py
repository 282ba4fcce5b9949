"""What looks odd about classes and their sizes."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict

from stackbone.cache.labels.sets import likely_separator
from stackbone.cache.splits import SPLITS, role_of
from stackbone.cache.text import counted, typed
from stackbone.cache.upkeep.oddities.looks import FEW_IMAGES, SHOWN, Looks, cited, listed, more

_FEWEST_OF_CLASS = 3  # images that `stack --cv 3`, the usual command, needs
_FEWEST_CLASSES = 2  # of which one can be told from another
_IMBALANCE = 20  # times that the largest class is as large as the smallest
_MOST_SHARE = 0.8  # of one class
_SEPARATORS = re.compile(r"[\s_-]+")


def one_class(looks: Looks) -> str:
    """Return what to say where all labels are equal."""
    if len(looks.classes) != 1 or looks.are_sets:
        return ""
    [name] = looks.classes
    return (
        f"every label is {cited(name)}, so there is nothing to tell apart. Name the folder that holds the class "
        "folders, or the right label column"
    )


def separators(looks: Looks) -> str:
    """Return what to say where labels seem to be several names each."""
    separator = None if looks.are_sets or looks.are_quantities else likely_separator(looks.classes)
    if separator is None:
        return ""
    found = sorted(name for name in looks.classes if separator in name)
    asked = looks.index.listed.asked
    option = typed("--label-separator", separator)
    how, before = (
        (f"type `stackbone extract {typed(*asked)} {option}`", " (--backbones, --dataset, --cache)")
        if asked
        else (f"open it with label_separator={separator!r}, and extract it", "")
    )
    return (
        f"{counted(len(found), 'class holds', 'classes hold')} {separator!r} ({listed(found)}), so that each "
        f"combination counts as a class of its own. If these are several labels of one image, {how} with the options "
        f"that it had{before}: no image is embedded again"
    )


def quantities(looks: Looks) -> str:
    """Return what to say where labels look like numbers to be predicted."""
    if not looks.are_quantities:
        return ""
    return (
        f"the labels are {len(looks.classes):,} different numbers. If they are quantities and not names of classes, "
        "score them with `stackbone stack --task regression`"
    )


def own_classes(looks: Looks) -> str:
    """Return what to say where most images are a class of their own."""
    if not looks.are_own_classes:
        return ""
    n = sum(n == 1 for n in looks.classes.values())
    return (
        f"{n:,} of {counted(looks.n_labelled, 'labelled image')} have a label that no other has. "
        "Is this the column, or the level of folders, that names the class?"
    )


def named_like_splits(looks: Looks) -> str:
    """Return what to say where classes are called train, test and the like."""
    roles = {name: role for name in looks.classes if (role := role_of(name)) and role.plain and not role.short}
    found = sorted(name for name, role in roles.items() if role.split in SPLITS)
    if len(found) < 2 or 2 * len(found) < len(looks.classes):
        return ""
    return f"the classes {listed(found)} have names of splits. Are the classes one level of folders below?"


def names_alike(looks: Looks) -> str:
    """Return what to say where names differ by their writing alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(looks.classes):
        plain = unicodedata.normalize("NFKC", name).casefold().strip()
        is_word = any(map(str.isalpha, plain))  # in numbers a hyphen means something: -1 is not 1
        alike[_SEPARATORS.sub("", plain) if is_word else plain].append(name)
    found = [" and ".join(map(cited, names)) for names in alike.values() if len(names) > 1]
    if not found:
        return ""
    return (
        f"{'; '.join(found[:SHOWN])}{more(len(found))}: names that differ only in case, spaces, hyphens or underscores "
        f"count as different {'labels' if looks.are_sets else 'classes'}"
    )


def rare_classes(looks: Looks) -> str:
    """Return what to say where classes are too small for three folds."""
    rare = sorted((n, name) for name, n in looks.classes.items() if n < _FEWEST_OF_CLASS)
    if not rare or len(looks.classes) == 1 or looks.are_quantities or looks.are_own_classes:
        return ""
    shown = ", ".join(f"{cited(name)} {n}" for n, name in rare[:SHOWN])
    n_left = len(looks.classes) - len(rare)
    task = "--task multilabel " if looks.are_sets else ""
    one, several = ("label", "labels") if looks.are_sets else ("class", "classes")
    drop = (
        f", or leave such {several} out with `stackbone stack {task}--rare drop`" if n_left >= _FEWEST_CLASSES else ""
    )
    return (
        f"{counted(len(rare), f'{one} has', f'{several} have')} fewer than {_FEWEST_OF_CLASS} images "
        f"({shown}{more(len(rare))}), and each of three folds needs one. Add images{drop}"
    )


def imbalance(looks: Looks) -> str:
    """Return what to say where accuracy would tell of one class alone."""
    if looks.are_sets:
        return ""
    if len(looks.classes) < 2 or looks.n_labelled < FEW_IMAGES or looks.are_quantities or looks.are_own_classes:
        return ""
    ranked = looks.classes.most_common()
    (name, most), (least_name, least) = ranked[0], ranked[-1]
    share = most / looks.n_labelled
    if share >= _MOST_SHARE:
        return (
            f"{share:.0%} of the labels are {cited(name)}, so a model that always says {cited(name)} has that "
            "accuracy. Look at macro-F1"
        )
    if most < _IMBALANCE * least:
        return ""
    return (
        f"{cited(name)} has {most:,} images and {cited(least_name)} {least:,}. Accuracy hides such small classes: "
        "look at macro-F1"
    )
