"""Which features of a steered backbone an outer fold may use: those whose steering never saw its test part.

A steered backbone was trained on labels. Its features of an image whose label it saw hold that label, so a score on
this image says nothing, and neither does one on an image that belongs together with it. So there are several
feature sets of one steered backbone, one per steering, each with a record of the images that the steering saw; every
fold takes one that is fair to it, and where there is none, nothing is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, Digests, FeatureSet, FeatureSpec, SeenRecord, StackError, as_keys
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.features.refusal import Sight, refusal
from stackbone.stack.folds.fold import Fold

_SHORT = 8  # hex digits of a recipe that tell two of them apart


@dataclass(frozen=True, eq=False)
class Candidate:
    """One feature set of a steered backbone.

    Attributes
    ----------
    feature_set : FeatureSet
        The features.
    spec : FeatureSpec
        What made them.
    seen : SeenRecord
        The images that their steering saw.
    """

    feature_set: FeatureSet
    spec: FeatureSpec
    seen: SeenRecord

    @property
    def way(self) -> tuple[str, str, FeatureSpec]:
        """What it shares with the features of the same backbone, steered in the same way on other images."""
        return self.feature_set.backbone, self.seen.description["recipe"], replace(self.spec, steering=None)

    @property
    def is_of_inner_fold(self) -> bool:
        """Whether its steering was made for an inner fold."""
        return "inner" in (self.seen.description["division"] or {})

    @property
    def long_name(self) -> str:
        """Name of its steered backbone where that backbone was steered in several ways."""
        return f"{self.feature_set.backbone}-{self.seen.description['recipe'][:_SHORT]}-{self.spec.precision}"


@dataclass(frozen=True, eq=False)
class SteeredBackbone:
    """A backbone steered in one way, once or several times on different images.

    Attributes
    ----------
    name : str
        Of the backbone; with recipe and precision where it was steered in several ways.
    candidates : list of Candidate
        Its feature sets, by seed and id.
    incomplete : list of str
        Ids of others of its name that lack images of the dataset.
    """

    name: str
    candidates: list[Candidate]
    incomplete: list[str]


def read_candidate(feature_set: FeatureSet) -> Candidate | None:
    """Return a steered feature set with its record; None if it is not steered.

    Raises
    ------
    StackError
        If it is steered and its record is missing, damaged, or tells too little.
    CacheError
        If its features are damaged.
    """
    spec = feature_set.header().spec
    if spec.steering is None:
        return None
    leave_out = f"Or name other backbones than {feature_set.id} with --backbones"
    try:
        seen = feature_set.seen()
    except CacheError as exc:
        message = f"{exc}. {leave_out}"
        raise StackError(message) from exc
    if seen is None or not len(seen.digests):
        message = (
            f"the record of what the steering of {feature_set.id} saw names no image; no score on its "
            f"features can be trusted. Run `stackbone extract` with --steering and its file again. {leave_out}"
        )
        raise StackError(message)
    return Candidate(feature_set, spec, seen)


def choose_for_folds(
    backbone: SteeredBackbone, images: LabelledImages, folds: Sequence[Fold], division: Division, others: Sequence[str]
) -> list[Candidate]:
    """Return for each fold the features that are fair to it.

    Fair are those whose steering saw no image of the test part, none that shares a group with one, and, in the order of
    time, none that is no older. Of several the one whose steering saw most of the training part is taken, then that of
    the lowest seed.

    Parameters
    ----------
    backbone : SteeredBackbone
        To choose from.
    images : LabelledImages
        The images of the experiment.
    folds : sequence of Fold
        Its outer folds.
    division : Division
        How they were asked for, for the message.
    others : sequence of str
        Names of the other backbones, for the message.

    Raises
    ------
    StackError
        If a fold has none.
    """
    chosen, sights = _fairest(backbone.candidates, images, folds)
    fair = [each for each in chosen if each is not None]
    if len(fair) < len(folds):
        n = chosen.index(None)
        raise StackError(refusal(backbone, images, folds, n, sights[n], division, others))
    return fair


def choose_for_inner(
    backbone: SteeredBackbone, images: LabelledImages, folds: Sequence[Fold], inner: Sequence[Sequence[Fold]]
) -> list[list[Candidate]] | None:
    """Return for each inner fold of each outer fold the features that are fair to both their test parts.

    None unless every inner fold has some, by a steering that was made for an inner fold: then the plain way is left.

    Parameters
    ----------
    backbone, images, folds
        As of `choose_for_folds`.
    inner : sequence of sequence of Fold
        The inner folds of each outer fold, over the rows of its training part.
    """
    made_for_inner = [each for each in backbone.candidates if each.is_of_inner_fold]
    pairs = [
        Fold(fold.train[own.train], np.concatenate([fold.test, fold.train[own.test]]))
        for fold, of_fold in zip(folds, inner, strict=True)
        for own in of_fold
    ]
    chosen, _ = _fairest(made_for_inner, images, pairs)
    fair = iter([each for each in chosen if each is not None])
    return None if None in chosen else [[next(fair) for _ in of_fold] for of_fold in inner]


def _fairest(
    candidates: Sequence[Candidate], images: LabelledImages, folds: Sequence[Fold]
) -> tuple[list[Candidate | None], list[list[Sight]]]:
    """Return the fair candidate that saw most of each fold's training part, and what each saw of its test part."""
    chosen: list[Candidate | None] = [None] * len(folds)
    most = [-1] * len(folds)
    sights: list[list[Sight]] = [[] for _ in folds]
    for candidate in candidates:
        seen = _seen(candidate, images.index.image_sha256)
        file_groups = np.unique(images.file_groups[seen])
        in_seen_group = np.isin(images.file_groups, file_groups[file_groups >= 0])
        for n, fold in enumerate(folds):
            test, train = images.rows[fold.test], images.rows[fold.train]
            later = int(seen[_not_before(images, fold)].sum())
            sight = Sight(int(seen[test].sum()), int((in_seen_group[test] & ~seen[test]).sum()), later)
            sights[n].append(sight)
            if sight.is_fair and int(seen[train].sum()) > most[n]:
                chosen[n], most[n] = candidate, int(seen[train].sum())
    return chosen, sights


def _not_before(images: LabelledImages, fold: Fold) -> NDArray[np.int64]:
    """Return the rows of the index beside the tested that are no older than the oldest of these; none without times."""
    if images.times is None:
        return images.rows[:0]
    late = images.times >= images.times[fold.test].min()
    late[fold.test] = False
    rows: NDArray[np.int64] = images.rows[late]
    return rows


def choose_for_all(backbone: SteeredBackbone, digests: Digests) -> tuple[Candidate, str]:
    """Return the features that a model fitted on every image takes, and a note that says which.

    There is no test part left to keep from them: best are those whose steering saw the most of the images.

    Parameters
    ----------
    backbone : SteeredBackbone
        To choose from.
    digests : Digests
        ``(n_images, 32)`` SHA-256 of the images that the model is fitted on.
    """
    seen = [int(_seen(each, digests).sum()) for each in backbone.candidates]
    best = int(np.argmax(seen))  # the first of equals
    chosen = backbone.candidates[best]
    note = (
        f"the saved model takes {backbone.name} from {chosen.feature_set.id}, whose steering saw {seen[best]:,} of the "
        f"{len(digests):,} images; its score is that of the folds, whose steerings never saw what they were scored on"
    )
    return chosen, note


def remarks(backbone: SteeredBackbone, images: LabelledImages) -> list[str]:
    """Return a sentence on each thing that a steering saw and that the guard cannot know of.

    These are groups of images that the dataset does not list, and images that no record lists, such as those of a
    released checkpoint.

    Parameters
    ----------
    backbone : SteeredBackbone
        Whose features are to be scored.
    images : LabelledImages
        The images of the experiment.
    """
    said = {}
    for candidate in backbone.candidates:
        listed = np.isin(as_keys(candidate.seen.digests), as_keys(images.index.image_sha256))
        unlisted = len(listed) - int(listed.sum())
        if images.groups is not None and unlisted:
            said["groups"] = (
                f"a steering of {backbone.name} saw {unlisted:,} images that the dataset does not list: whether they "
                "belong to groups of images that it does list is unknown"
            )
        parent = candidate.seen.description.get("parent_seen")
        if parent:
            said["parent"] = f"what the steering of {backbone.name} started from saw images that are {parent}"
    return list(said.values())


def _seen(candidate: Candidate, digests: Digests) -> NDArray[np.bool_]:
    return np.isin(as_keys(digests), as_keys(candidate.seen.digests))
