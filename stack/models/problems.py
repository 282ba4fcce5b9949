"""What makes a saved model invalid: everything in its file is anybody's word until it was checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.cache.records.views import is_known_view
from stackbone.stack.learners.class_weight import BALANCED
from stackbone.stack.learners.options import COMBINE, SCORES
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.tasks.registry import TASKS

if TYPE_CHECKING:
    from stackbone.stack.models.model import StackModel

SEEN_BYTES = 8
"""Of the digest of a training image, in a model's list of those that it was fitted on."""

TRANSFER_KEYS = {"method", "source", "target", "target_labels", "statistics"}
"""What a model says of the two domains that it was learnt from."""

_ROUNDING = 1e-6  # by which weights may miss their sum


def problems(model: StackModel) -> Iterator[str]:
    """Yield what is wrong with a model, in words, the first of which says enough."""
    checks = (
        _option_problems,
        _backbone_problems,
        _member_problems,
        _head_problems,
        _weight_problems,
        _seen_problems,
        _shape_problems,
        _threshold_problems,
        _novelty_problems,
        _class_weight_problems,
        _transfer_problems,
    )
    yield from chain.from_iterable(check(model) for check in checks)


def _option_problems(model: StackModel) -> Iterator[str]:
    task = TASKS.get(model.task)
    known: Sequence[tuple[str, str, Sequence[str]]] = (
        ("task", model.task, tuple(TASKS)),
        ("meta-learner", model.learner, task.saved_learners if task else ()),
        ("scores", model.scores, SCORES),
        ("combination", model.combine, COMBINE if task is None or task.averages else COMBINE[:1]),
    )
    for what, value, choices in known:
        if value not in choices:
            yield f"its {what} is {value!r}, expected one of {', '.join(choices)}"
    problem = (task.classes_problem(model.classes) or task.targets_problem(model.targets)) if task else None
    if problem:
        yield problem
    if not (np.isfinite(model.scale) and model.scale > 0):
        yield f"its calibration factor is {model.scale}, expected a positive number"
    if not model.train_views or not all(is_known_view(view) for view in model.train_views):
        yield f"it was fitted on the views {list(model.train_views)}"
    if model.n_images < 1:
        yield f"it was fitted on {model.n_images} images"
    if len(model.digests_sha256) != 64 or set(model.digests_sha256) - set("0123456789abcdef"):
        yield f"the hash of its training images is {model.digests_sha256!r}, expected 64 hex digits"


def _member_problems(model: StackModel) -> Iterator[str]:
    sizes = model.members
    if sizes is not None and (sum(sizes) != len(model.backbones) or min(sizes, default=0) < 1):
        yield f"its members have {sizes} backbones, and it has {len(model.backbones)}"


def _head_problems(model: StackModel) -> Iterator[str]:
    if len(set(model.heads)) < len(model.heads) or not all(model.heads):
        yield f"its heads are {', '.join(map(repr, model.heads))}, expected distinct names"


def _weight_problems(model: StackModel) -> Iterator[str]:
    learner = META_LEARNERS.get(model.learner)
    has_weights = bool(model.classes) and learner is not None and learner.averages and learner.has_weights
    weights, n = model.weights, len(model.members or model.bases) * model.n_heads
    if (weights is not None) != has_weights:
        have = "lack" if weights is None else "exist"
        yield f"its meta-learner is {model.learner!r}, and weights of a mean {have}"
    elif weights is not None and (
        len(weights) != n
        or not all(np.isfinite(each) and each >= 0 for each in weights)
        or abs(sum(weights) - 1) > _ROUNDING
    ):
        yield f"its weights are {weights[:5]}, expected {n} numbers of 0 or more that add up to 1"


def _seen_problems(model: StackModel) -> Iterator[str]:
    seen = model.seen
    if seen is not None and (seen.dtype != np.uint8 or seen.shape != (model.n_images, SEEN_BYTES)):
        expected = f"({model.n_images}, {SEEN_BYTES}) and uint8"
        yield f"the digests of its training images have shape {seen.shape} and type {seen.dtype}, expected {expected}"


def _backbone_problems(model: StackModel) -> Iterator[str]:
    names = [backbone.name for backbone in model.backbones]
    if not names:
        yield "it has no backbone"
    if len(set(names)) != len(names):
        yield f"two of its backbones have one name: {', '.join(names)}"
    if len({backbone.feature_set for backbone in model.backbones}) != len(names):
        yield f"two of its backbones have one feature set: {', '.join(names)}"
    if len(model.bases) != len(names):
        yield f"it has {len(model.bases)} base learners for {len(names)} backbones"
    for backbone in model.backbones:
        for identity, spec in [(backbone.feature_set, backbone.spec), *backbone.others]:
            parsed = parse_feature_set_id(identity)
            if parsed is None or parsed[1] != spec.fingerprint:
                yield f"the spec of {backbone.name!r} is not that of the feature set {identity!r}"
        if len(backbone.specs) != 1 + len(backbone.others):
            yield f"{backbone.name!r} takes one of its feature sets twice"


def _shape_problems(model: StackModel) -> Iterator[str]:
    for backbone, base in zip(model.backbones, model.bases, strict=True):
        yield from _map_problems(f"the base learner of {backbone.name}", base, None, model.n_outputs * model.n_heads)
    learner = META_LEARNERS.get(model.learner)
    is_mean = learner is not None and learner.averages
    if is_mean != (model.meta_linear is None):
        have = "lack" if model.meta_linear is None else "exist"
        yield f"its meta-learner is {model.learner!r}, and coefficients {have}"
    if model.meta_linear is not None:
        n_members = len(model.members or model.bases) * model.n_heads
        n_inputs = model.n_outputs * (n_members if model.combine == "concat" else 1)
        yield from _map_problems("the meta-learner", model.meta_linear, n_inputs, model.n_outputs)


def _threshold_problems(model: StackModel) -> Iterator[str]:
    found, task = model.thresholds, TASKS.get(model.task)
    if (found is not None) != (task is not None and task.has_thresholds):
        yield f"it has {'no ' if found is None else ''}thresholds of labels, and its task is {model.task}"
    elif found is not None and (found.dtype != np.float32 or found.shape != (model.n_outputs,)):
        expected = f"({model.n_outputs},) and float32"
        yield f"its thresholds have shape {found.shape} and type {found.dtype}, expected {expected}"
    elif found is not None and not ((found >= 0) & (found <= 1)).all():
        yield "its thresholds are no probabilities"


def _novelty_problems(model: StackModel) -> Iterator[str]:
    novelty = model.novelty
    if novelty is None:
        return
    dims = {each.name: base.coef.shape[0] for each, base in zip(model.backbones, model.bases, strict=True)}
    if not novelty.features or not set(novelty.features) <= set(dims) or set(novelty.scales) != set(novelty.features):
        yield f"it keeps features of the backbones {sorted(novelty.features)}, and its own are {sorted(dims)}"
        return
    fewest, n_rows = max(1, novelty.k), {each.shape[:1] for each in novelty.features.values()}
    for name, kept in novelty.features.items():
        is_right = kept.dtype == np.float16 and kept.shape[1:] == (dims[name],) and len(n_rows) == 1
        if not is_right or not fewest <= len(kept) <= model.n_images:
            yield (
                f"the features that it keeps of {name} have shape {kept.shape} and type {kept.dtype}, expected "
                f"({fewest} to {model.n_images}, {dims[name]}) and float16"
            )
        elif not np.isfinite(kept).all():
            yield f"the features that it keeps of {name} are not finite"
        if not (np.isfinite(novelty.scales[name]) and novelty.scales[name] > 0):
            yield f"the scale of distances of {name} is {novelty.scales[name]}, expected a positive number"
    if novelty.k < 1:
        yield f"its neighbour to measure is number {novelty.k}, expected 1 or more"
    yield from _calibration_problems(novelty.calibration, model.n_images)


def _calibration_problems(far: NDArray[np.float32], n_images: int) -> Iterator[str]:
    if far.dtype != np.float32 or far.ndim != 1 or not 1 <= len(far) <= n_images:
        expected = f"(1 to {n_images},) and float32"
        yield f"the distances of its training images have shape {far.shape} and type {far.dtype}, expected {expected}"
    elif not np.isfinite(far).all() or far[0] < 0 or (np.diff(far) < 0).any():
        yield "the distances of its training images are not ascending numbers of 0 or more"


def _class_weight_problems(model: StackModel) -> Iterator[str]:
    weight = model.class_weight
    if isinstance(weight, str) and weight != BALANCED:
        yield f"the weights of its classes are {weight!r}, expected {BALANCED!r} or a number for each class"
    elif isinstance(weight, Mapping) and (
        set(weight) != set(model.classes) or not all(np.isfinite(each) and each > 0 for each in weight.values())
    ):
        yield f"it has weights of the classes {sorted(weight)[:5]}, expected a number above 0 for each of its own"


def _transfer_problems(model: StackModel) -> Iterator[str]:
    told = model.transfer
    if told is not None and set(told) != TRANSFER_KEYS:
        yield f"what it was transferred by has the keys {sorted(told)}, expected {sorted(TRANSFER_KEYS)}"


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
