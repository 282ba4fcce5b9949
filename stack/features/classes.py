"""Whether the labels of a dataset name classes."""

from __future__ import annotations

from stackbone.cache import DatasetIndex
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS
from stackbone.cache.upkeep.oddities.looks import Copies, Looks

_IMAGES_OF_NUMBER = 5  # a label, in the mean, from which on whole numbers are taken for names of classes


def are_numbers(index: DatasetIndex) -> bool:
    """Return whether labels are numbers: several a label, or one that does not come back as classes do.

    Whole numbers of five images or more in the mean, such as 0 to 99 of CIFAR-100, are names of classes.
    """
    if index.label_form == NUMBERS:
        return True
    looks = Looks(index, Copies([]), {})
    if not looks.are_quantities:
        return False
    are_whole = all(label.strip().isdecimal() for label in looks.classes)
    return not are_whole or looks.n_labelled < _IMAGES_OF_NUMBER * len(looks.classes)


def unclassed(index: DatasetIndex) -> str:
    """Return why labels do not name one class each, as a sentence may say it; ``""`` where they do."""
    if not any(index.label[row] for row in range(len(index)) if index.ok[row]):
        return "no image has a label"
    if index.label_form == SETS:
        return "an image can have several labels"
    return "labels are numbers" if are_numbers(index) else ""
