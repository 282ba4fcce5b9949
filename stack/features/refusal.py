"""Why a steered backbone is not scored: what its steerings saw of a fold's test part, and the ways out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import LOO, Division
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.features.source import data_words
from stackbone.stack.folds.fold import Fold

if TYPE_CHECKING:
    from stackbone.stack.features.steered import Candidate, SteeredBackbone


@dataclass(frozen=True)
class Sight:
    """How many images of a test part a steering saw, and how many others share a group with one that it saw.

    In the order of time also how many it saw that are no older than the test part.
    """

    images: int
    file_groups: int
    later: int

    @property
    def is_fair(self) -> bool:
        """Whether the features may be scored on that test part."""
        return not (self.images or self.file_groups or self.later)

    def words(self, candidate: Candidate, n_test: int) -> str:
        """Return what the steering of these features saw of a test part of so many images."""
        groups = f", and {self.file_groups:,} more share a group with images that it saw" if self.file_groups else ""
        later = (
            f", and {counted(self.later, 'image')} that {'is' if self.later == 1 else 'are'} no older"
            if self.later
            else ""
        )
        saw = f"saw {self.images:,} of its {n_test:,} test images"
        return f"the steering of {candidate.feature_set.id} {saw}{groups}{later}"


def refusal(
    backbone: SteeredBackbone,
    images: LabelledImages,
    folds: Sequence[Fold],
    n: int,
    sights: list[Sight],
    division: Division,
    others: Sequence[str],
) -> str:
    """Return why a fold, the `n`-th from 0, has no fair features, and what can be done; `sights` is by candidate."""
    pairs = zip(backbone.candidates, sights, strict=True)
    found = "; ".join(sight.words(candidate, len(folds[n].test)) for candidate, sight in pairs)
    return (
        f"fold {n + 1} of {len(folds)} has no fair features of the steered backbone {backbone.name}: {found}. Features "
        "hold the labels that their steering saw, so a score on these images would be far too high. "
        f"{_way_out(backbone, data_words(images.index), division, others)}"
    )


def _way_out(backbone: SteeredBackbone, words: Sequence[str], division: Division, others: Sequence[str]) -> str:
    about = backbone.candidates[0].seen.description
    data, name = typed(*words), typed(backbone.candidates[0].feature_set.backbone)
    made = typed("--backbone", about["backbone"], "--method", about["method"])
    how = f"{made} {division.options()}"
    lines = [
        "For each of these folds, train a steering that never saw the images that the fold tests: run "
        f"`stackbone steer {data} {how}` with the options that yours had, cache their features with "
        f"`stackbone extract {data} --backbones {name} --steering FOLDER`, and run this again"
    ]
    if not division.kind.can_be_steered and division.split is None:
        lines = ["`stackbone steer` learns classes and knows no folds of numbers: use plain backbones"]
    if division.plan == LOO:
        lines = [
            f"`stackbone steer` would train a network for each image: ask for --cv with a number in place of {LOO}"
        ]
    if division.repeats > 1:
        lines.append("It divides the images once, so leave --repeats out")
    if division.near_duplicates is not None:
        lines.append("It has no features to compare, so leave --near-duplicates out")
    if backbone.incomplete:
        lines.append(f"Not considered, since images are missing there: {', '.join(backbone.incomplete)}")
    if others:
        lines.append(f"Or leave the backbone out with --backbones {typed(','.join(others))}")
    return ". ".join(lines)
