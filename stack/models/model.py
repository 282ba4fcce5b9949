"""The finished stack: all that it takes to turn the features of a new image into an answer.

A model is plain data (arrays, names, numbers): it predicts from features alone and knows nothing of images or
networks. `stack.models.model_file` writes it to a file and reads it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, ModelError, UsageError, as_keys
from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import COMBINE, SCORES, MetaOptions
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.tasks.registry import TASKS

_SEEN_BYTES = 8  # of each digest of a training image


@dataclass(frozen=True)
class ModelBackbone:
    """One backbone of a model.

    Attributes
    ----------
    name
        Key of its features in `StackModel.log_probabilities`; unique in the model.
    feature_set
        ``NAME-XXXXXXXXXXXX``, the identity of the features that the model takes.
    spec
        What that identity stands for.
    """

    name: str
    feature_set: str
    spec: FeatureSpec


@dataclass(frozen=True, eq=False)
class StackModel:
    """Base learners of several backbones under one meta-learner, fitted on everything.

    Attributes
    ----------
    task
        ``classification`` or ``regression``.
    classes
        The K class names, in the order of the columns; empty for regression.
    backbones
        One per base learner.
    bases
        In the same order, ``(dim, K)`` maps from raw features to decision values; ``(dim, 1)`` for regression.
    learner
        The meta-learner: ``svm``, ``lr``, ``mean``; ``linear`` for regression.
    scores, combine
        What the meta-learner sees: see `stack.learners.meta_model.meta_features`. For regression ``decision`` and
        ``concat``.
    meta_linear
        The meta-learner's map from B times K (``concat``) or K (``average``) meta-features; None for ``mean``.
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
    members
        How many backbones in a row are outputs of one network whose decision values add up, for each member that the
        meta-learner sees; by default every backbone is a member.

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
    members: list[int] | None = None

    def __post_init__(self) -> None:
        checks = (_option_problems, _backbone_problems, _member_problems, _seen_problems, _shape_problems)
        problem = next(chain.from_iterable(check(self) for check in checks), None)
        if problem:
            message = f"the model is not valid: {problem}. Fit it again, with `stackbone stack --save FILE`"
            raise ModelError(message)

    @property
    def n_outputs(self) -> int:
        """Columns of decision values: the number of classes, or 1 for regression."""
        return len(self.classes) or 1

    def log_probabilities(self, blocks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return calibrated class probabilities.

        Parameters
        ----------
        blocks
            Name of each of the model's backbones to its ``(n, dim)`` features, raw; the same rows in every block.

        Returns
        -------
        NDArray[np.float64]
            ``(n, K)`` natural-log probabilities; the columns are `classes`.

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
        return self._meta().log_probabilities(self._decide(blocks))

    def predict_values(self, blocks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return ``(n,)`` predicted values, in the unit of the labels; arguments and errors as `log_probabilities`."""
        if self.classes:
            message = f"the model's task is {self.task}: it predicts no numbers. Call `log_probabilities`"
            raise UsageError(message)
        return self._meta().values([each[:, 0] for each in self._decide(blocks)])

    def knows(self, digests: Digests) -> NDArray[np.bool_] | None:
        """Return ``(n,)`` whether it was fitted on each of ``(n, 32)`` images; None where that is unknown.

        By the first 8 bytes of each digest: of a million new images one in 18 million million is taken for one of a
        million known ones.
        """
        return None if self.seen is None else np.isin(_first_words(digests), _first_words(self.seen))

    def describe(self) -> str:
        """Return in one line what it is made of and how well it does."""
        what = f"{len(self.classes)} classes" if self.classes else "a number"
        names = ", ".join(backbone.name for backbone in self.backbones)
        score = ", ".join(f"{name} {_shown(value)}" for name, value in self.score.items()) or "never scored"
        return f"{what} by {self.learner} on {names}; {self.n_images:,} training images; on unseen images: {score}"

    def _decide(self, blocks: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        problem = next(_block_problems(self, blocks), None)
        if problem:
            message = f"{problem}. Embed the images with the feature sets that the model names"
            raise ModelError(message)
        pairs = zip(self.backbones, self.bases, strict=True)
        each = [base.decide(blocks[backbone.name]) for backbone, base in pairs]
        ends = np.cumsum(self.members or [1] * len(each)).tolist()
        return [np.sum(each[start:end], axis=0) for start, end in pairwise([0, *ends])]

    def _meta(self) -> MetaModel:
        options = MetaOptions(self.learner, self.scores, self.combine)
        return MetaModel(options, None, self.meta_linear, self.scale)


def hash_digests(digests: Digests) -> str:
    """Return the hex SHA-256 over the sorted, distinct rows of ``(n, 32)`` image digests: which images, in any order.

    A later question whether a model was fitted on exactly these images needs no list of them.
    """
    return hashlib.sha256(np.unique(as_keys(digests)).tobytes()).hexdigest()


def shorten_digests(digests: Digests) -> NDArray[np.uint8]:
    """Return the ``(n_distinct, 8)`` first bytes of ``(n, 32)`` image digests, ascending: see `StackModel.seen`."""
    return np.unique(_first_words(digests)).astype(">u8").view(np.uint8).reshape(-1, _SEEN_BYTES)


def _first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each row as a number."""
    words = np.ascontiguousarray(digests[:, :_SEEN_BYTES]).view(">u8")
    return words.reshape(len(digests)).astype(np.uint64)


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _option_problems(model: StackModel) -> Iterator[str]:
    task = TASKS.get(model.task)
    known: Sequence[tuple[str, str, Sequence[str]]] = (
        ("task", model.task, tuple(TASKS)),
        ("meta-learner", model.learner, task.saved_learners if task else ()),
        ("scores", model.scores, SCORES),
        ("combination", model.combine, COMBINE),
    )
    for what, value, choices in known:
        if value not in choices:
            yield f"its {what} is {value!r}, expected one of {', '.join(choices)}"
    problem = task.classes_problem(model.classes) if task else None
    if problem:
        yield problem
    if not (np.isfinite(model.scale) and model.scale > 0):
        yield f"its calibration factor is {model.scale}, expected a positive number"
    if model.n_images < 1:
        yield f"it was fitted on {model.n_images} images"
    if len(model.digests_sha256) != 64 or set(model.digests_sha256) - set("0123456789abcdef"):
        yield f"the hash of its training images is {model.digests_sha256!r}, expected 64 hex digits"


def _member_problems(model: StackModel) -> Iterator[str]:
    sizes = model.members
    if sizes is not None and (sum(sizes) != len(model.backbones) or min(sizes, default=0) < 1):
        yield f"its members have {sizes} backbones, and it has {len(model.backbones)}"


def _seen_problems(model: StackModel) -> Iterator[str]:
    seen = model.seen
    if seen is not None and (seen.dtype != np.uint8 or seen.shape != (model.n_images, _SEEN_BYTES)):
        expected = f"({model.n_images}, {_SEEN_BYTES}) and uint8"
        yield f"the digests of its training images have shape {seen.shape} and type {seen.dtype}, expected {expected}"


def _backbone_problems(model: StackModel) -> Iterator[str]:
    names = [backbone.name for backbone in model.backbones]
    if not names:
        yield "it has no backbone"
    if len(set(names)) != len(names):
        yield f"two of its backbones have one name: {', '.join(names)}"
    if len(model.bases) != len(names):
        yield f"it has {len(model.bases)} base learners for {len(names)} backbones"
    for backbone in model.backbones:
        parsed = parse_feature_set_id(backbone.feature_set)
        if parsed is None or parsed[1] != backbone.spec.fingerprint:
            yield f"the spec of {backbone.name!r} is not that of the feature set {backbone.feature_set!r}"


def _shape_problems(model: StackModel) -> Iterator[str]:
    for backbone, base in zip(model.backbones, model.bases, strict=True):
        yield from _map_problems(f"the base learner of {backbone.name}", base, None, model.n_outputs)
    if (model.learner == "mean") != (model.meta_linear is None):
        have = "lack" if model.meta_linear is None else "exist"
        yield f"its meta-learner is {model.learner!r}, and coefficients {have}"
    if model.meta_linear is not None:
        n_members = len(model.members or model.bases)
        n_inputs = model.n_outputs * (n_members if model.combine == "concat" else 1)
        yield from _map_problems("the meta-learner", model.meta_linear, n_inputs, model.n_outputs)


def _map_problems(what: str, linear: LinearMap, n_inputs: int | None, n_outputs: int) -> Iterator[str]:
    coef, intercept = linear.coef, linear.intercept
    expected = (coef.shape[0] if n_inputs is None and coef.ndim == 2 else n_inputs, n_outputs)
    if coef.dtype != np.float32 or intercept.dtype != np.float32:
        yield f"{what} has numbers of type {coef.dtype} and {intercept.dtype}, expected float32"
    elif coef.shape != expected or intercept.shape != (n_outputs,) or not coef.size:
        yield (
            f"{what} has coefficients of shape {coef.shape} and intercepts of shape {intercept.shape}, "
            f"expected ({n_inputs or 'dim'}, {n_outputs}) and ({n_outputs},)"
        )
    elif linear.mean is not None and (linear.mean.dtype != np.float32 or linear.mean.shape != coef.shape[:1]):
        found = f"shape {linear.mean.shape} and type {linear.mean.dtype}"
        yield f"{what} has a mean of {found}, expected {coef.shape[:1]} and float32"
    elif not all(np.isfinite(each).all() for each in (coef, intercept, linear.mean) if each is not None):
        yield f"{what} has numbers that are not finite"


def _block_problems(model: StackModel, blocks: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    n_rows: int | None = None
    for backbone, base in zip(model.backbones, model.bases, strict=True):
        block = blocks.get(backbone.name)
        if block is None:
            yield f"features of {backbone.name!r} are missing; there are {', '.join(sorted(blocks)) or 'none'}"
            return
        n_rows = len(block) if n_rows is None else n_rows
        expected = (n_rows, base.coef.shape[0])
        if block.shape != expected:
            yield f"the features of {backbone.name!r} have shape {block.shape}, expected {expected}"
        elif not np.isfinite(block).all():
            row = int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            yield f"the features of {backbone.name!r} are not finite in row {row}"
