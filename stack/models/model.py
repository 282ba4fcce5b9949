"""The finished stack: all that it takes to turn the features of a new image into an answer.

A model is plain data (arrays, names, numbers): it predicts from features alone and knows nothing of images or
networks. `stack.models.model_file` writes it to a file and reads it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, ModelError, UsageError, as_keys
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.text import counted
from stackbone.stack.folds.per_fold import mean_of_views
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.problems import SEEN_BYTES, problems
from stackbone.stack.models.unlike.novelty import Novelty
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.tasks.registry import get_task

_EMBED = "Embed the images with the feature sets that the model names"


@dataclass(frozen=True, eq=False)
class StackModel:
    """Base learners of several backbones under one meta-learner, fitted on everything.

    Attributes
    ----------
    task
        Name of the task: ``classification``, ``multilabel``, ``multitarget`` or ``regression``.
    classes
        The K names of classes or labels, in the order of the columns; empty where numbers are predicted.
    backbones
        One per base learner.
    bases
        In the same order, ``(dim, K)`` maps from raw features to decision values; K is 1 for one number. Of H
        heads ``(dim, H * K)``, those of one after those of the other.
    learner
        The meta-learner: one of `stack.learners.meta`; ``linear`` for regression.
    scores, combine
        What the meta-learner sees: see `stack.learners.meta_model.meta_features`. For regression ``decision`` and
        ``concat``.
    meta_linear
        The meta-learner's map from B times K (``concat``) or K (``average``) meta-features; None for means of
        probabilities.
    scale
        Calibration factor of the decision values, the inverse of a temperature; 1 for regression.
    n_images
        Images that it was fitted on.
    digests_sha256
        Which: see `hash_digests`.
    score
        Its score on images that it had not seen, as printed: ``{"accuracy": "0.905 ± 0.004 (3 folds)"}``.
    versions
        Libraries that made it, by name.
    created
        When, in ISO 8601.
    seen
        ``(n_images, 8)`` the first bytes of the digests of the images that it was fitted on, ascending; None where
        they are unknown, as of files before version 3.
    train_views
        The views of each image that it was fitted on.
    thresholds
        ``(K,)`` probabilities from which on an image is said to have each label, float32; None where it has one.
    members
        How many backbones in a row are outputs of one network whose decision values add up, for each member that the
        meta-learner sees; by default every backbone is a member.
    heads
        Base learners whose decision values `bases` give, in order; none is the task's own alone.
    weights
        One for each member and head, 0 or more and 1 in sum, of a weighted mean of probabilities; None for any other
        meta-learner.
    novelty
        What says how far an image is from those that it was fitted on; None where nothing does.
    class_weight
        What an image of each class counted for where it was fitted: ``balanced``, a number above 0 by class, or None
        where all counted alike.
    weight_column
        Column of the dataset with what each image counted for; None where there was none.
    targets
        The K names of the numbers, in the order of the columns, where several are predicted; else empty.
    transfer
        Of a model that was learnt from one domain for another: ``method``, ``source``, ``target``, ``target_labels``
        (as ``transfer --target-labels`` takes them) and ``statistics``, whose means and covariances it is built on.

    Raises
    ------
    ModelError
        If the parts contradict each other: names, shapes, numbers that are not finite.
    """

    task: str
    classes: list[str]
    backbones: list[ModelBackbone]
    bases: list[LinearMap]
    learner: str
    scores: str
    combine: str
    meta_linear: LinearMap | None
    scale: float
    n_images: int
    digests_sha256: str
    score: dict[str, str | float]
    versions: dict[str, str]
    created: str
    seen: NDArray[np.uint8] | None = None
    train_views: tuple[str, ...] = (PLAIN,)
    members: list[int] | None = None
    thresholds: NDArray[np.float32] | None = None
    heads: tuple[str, ...] = ()
    weights: list[float] | None = None
    novelty: Novelty | None = None
    class_weight: str | Mapping[str, float] | None = None
    weight_column: str | None = None
    targets: tuple[str, ...] = ()
    transfer: dict[str, str] | None = None

    def __post_init__(self) -> None:
        problem = next(problems(self), None)
        if problem:
            message = f"the model is not valid: {problem}. Fit it again, with `stackbone stack --save FILE`"
            raise ModelError(message)

    @property
    def n_outputs(self) -> int:
        """Columns of decision values of one head: the number of classes, or of numbers that are predicted."""
        return len(self.classes) or len(self.targets) or 1

    @property
    def n_heads(self) -> int:
        """Base learners on each backbone."""
        return max(1, len(self.heads))

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """Every feature set that it takes, with what it stands for: of all backbones and views."""
        return {identity: spec for backbone in self.backbones for identity, spec in backbone.specs.items()}

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where the backbones of each member begin and end: their decision values add up."""
        return list(pairwise([0, *np.cumsum(self.members or [1] * len(self.backbones)).tolist()]))

    @property
    def meta(self) -> MetaModel:
        """The meta-learner."""
        options = MetaOptions(self.learner, self.scores, self.combine)
        weights = None if self.weights is None else np.array(self.weights)
        thresholds = None if self.thresholds is None else self.thresholds.astype(np.float64)
        return MetaModel(options, None, self.meta_linear, self.scale, thresholds=thresholds, weights=weights)

    def blocks(self, features: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return what it takes, ``(n, dim)`` by backbone, of the features of each of its feature sets."""
        return {each.name: mean_of_views([features[identity] for identity in each.specs]) for each in self.backbones}

    def log_probabilities(self, blocks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return calibrated class probabilities.

        Parameters
        ----------
        blocks
            Name of each of the model's backbones to its ``(n, dim)`` features, raw; the same rows in every block.

        Returns
        -------
        NDArray[np.float64]
            ``(n, K)`` natural-log probabilities; the columns are `classes`. Those of labels do not sum to 1.

        Raises
        ------
        ModelError
            If features of a backbone are missing, not finite, or of another shape.
        UsageError
            If this is a regression.
        """
        if not self.classes:
            message = f"a {self.task} model has no probabilities; call predict_values"
            raise UsageError(message)
        return self.combined(self._decide(blocks))

    def predict_values(self, blocks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return ``(n,)`` predicted values in the unit of the labels, or ``(n, K)`` of K `targets`.

        Arguments and errors are those of `log_probabilities`.
        """
        if self.classes:
            message = f"the model's task is {self.task}: it predicts no numbers. Call `log_probabilities`"
            raise UsageError(message)
        return self.combined(self._decide(blocks))

    def decide(self, name: str, features: NDArray[np.float32], n_rows: int | None = None) -> NDArray[np.float32]:
        """Return the ``(n, H * K)`` decision values of a backbone, of ``(n, dim)`` raw features; K is 1 for numbers.

        `n_rows` is how many rows there must be, if that is known. Raises `ModelError` as `log_probabilities` does.
        """
        base = next(base for backbone, base in zip(self.backbones, self.bases, strict=True) if backbone.name == name)
        expected, problem = (len(features) if n_rows is None else n_rows, base.coef.shape[0]), ""
        if features.shape != expected:
            problem = f"the features of {name!r} have shape {features.shape}, expected {expected}"
        elif not np.isfinite(features).all():
            row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            problem = f"the features of {name!r} are not finite in row {row}"
        if problem:
            message = f"{problem}. {_EMBED}"
            raise ModelError(message)
        return base.decide(features)

    @property
    def deciders(self) -> dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
        """What `decide` does with features of each of its feature sets, by id: all that `decisions` needs of them."""
        return {identity: partial(self.decide, each.name) for each in self.backbones for identity in each.specs}

    def decisions(self, decided: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return what `decide` returns for each backbone, of what `deciders` make of its feature sets.

        Of several views it is the mean: decisions are affine in the features, whose mean `blocks` takes.
        """
        return [mean_of_views([decided[identity] for identity in each.specs]) for each in self.backbones]

    def said(self, decisions: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return the ``(n, K)`` decision values that the meta-learner sees, from what `decide` returns, in order.

        They are those of each member and head: of all heads of the first member, then of the next.
        """
        of_members = [np.sum(decisions[start:end], axis=0) for start, end in self.spans]
        return [each for own in of_members for each in np.split(own, self.n_heads, axis=1)]

    def combined(self, decisions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return `log_probabilities` or `predict_values` from what `decide` returns for each backbone, in order."""
        task = get_task(self.task)
        said = [task.as_scores(each) for each in self.said(decisions)]
        return task.combine(self.meta, said).scores.astype(np.float64)

    def knows(self, digests: Digests) -> NDArray[np.bool_] | None:
        """Return ``(n,)`` whether it was fitted on each of ``(n, 32)`` images; None where that is unknown.

        By the first 8 bytes of each digest: of a million new images one in 18 million million is taken for one of a
        million known ones.
        """
        return None if self.seen is None else np.isin(_first_words(digests), _first_words(self.seen))

    def describe(self) -> str:
        """Return in one line what it is made of and how well it does."""
        named = len(self.classes or self.targets)
        what = counted(named, *get_task(self.task).classes_are) if named else "a number"
        names = ", ".join(backbone.name for backbone in self.backbones)
        score = ", ".join(f"{name} {_shown(value)}" for name, value in self.score.items()) or "never scored"
        heads = f"{', '.join(self.heads)} of " if self.heads else ""
        return (
            f"{what} by {self.learner} on {heads}{names}{self._transferred()}; {self.n_images:,} training images; on "
            f"unseen images: {score}"
        )

    def _transferred(self) -> str:
        """Return from where to where it was transferred, and whose statistics it is built on; "" if it was not."""
        words = "; for {target} by {method} from {source} (target labels: {target_labels}), on {statistics}"
        return "" if self.transfer is None else words.format_map(self.transfer)

    def _decide(self, blocks: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        names = [backbone.name for backbone in self.backbones]
        missing = next((name for name in names if name not in blocks), None)
        if missing is not None:
            message = f"features of {missing!r} are missing; there are {', '.join(sorted(blocks)) or 'none'}. {_EMBED}"
            raise ModelError(message)
        return [self.decide(name, blocks[name], len(blocks[names[0]])) for name in names]


def hash_digests(digests: Digests) -> str:
    """Return the hex SHA-256 over the sorted, distinct rows of ``(n, 32)`` image digests: which images, in any order.

    A later question whether a model was fitted on exactly these images needs no list of them.
    """
    return hashlib.sha256(np.unique(as_keys(digests)).tobytes()).hexdigest()


def shorten_digests(digests: Digests) -> NDArray[np.uint8]:
    """Return the ``(n_distinct, 8)`` first bytes of ``(n, 32)`` image digests, ascending: see `StackModel.seen`."""
    return np.unique(_first_words(digests)).astype(">u8").view(np.uint8).reshape(-1, SEEN_BYTES)


def _first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each row as a number."""
    words = np.ascontiguousarray(digests[:, :SEEN_BYTES]).view(">u8")
    return words.reshape(len(digests)).astype(np.uint64)


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"
