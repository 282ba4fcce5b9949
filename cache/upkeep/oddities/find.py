"""All checks for what looks odd, the gravest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.upkeep.oddities import labels, sizes, splits
from stackbone.cache.upkeep.oddities.looks import Copies, Looks

QUANTITIES = "numbers as classes"

_CHECKS: dict[str, Callable[[Looks], str]] = {
    "one class": labels.one_class,
    QUANTITIES: labels.quantities,
    "several labels": labels.separators,
    "a class for each image": labels.own_classes,
    "classes named like splits": labels.named_like_splits,
    "class names alike": labels.names_alike,
    "copies with different labels": splits.copies_with_different_labels,
    "copies across splits": splits.copies_across_splits,
    "groups across splits": splits.groups_across_splits,
    "classes not in training": splits.classes_not_in_training,
    "splits without labels": splits.splits_without_labels,
    "rare classes": labels.rare_classes,
    "imbalance": labels.imbalance,
    "small images": sizes.small_images,
    "sizes differ by class": sizes.sizes_differ_by_class,
}


@dataclass(frozen=True)
class Oddity:
    """Something that looks odd.

    Attributes
    ----------
    kind
        Its name, for programs.
    says
        A sentence or two: what was found, and what it means or what to do.
    """

    kind: str
    says: str


def find_oddities(index: DatasetIndex, copies: Copies, inputs: Mapping[str, tuple[int, int]]) -> list[Oddity]:
    """Return what looks odd in a dataset.

    Parameters
    ----------
    copies
        Its sound files of the same bytes.
    inputs
        (width, height) in pixels that networks take, by their names, as far as it is known which ones will see it.
    """
    looks = Looks(index, copies, inputs)
    return [Oddity(kind, says) for kind, check in _CHECKS.items() if (says := check(looks))]
