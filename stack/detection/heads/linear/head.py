"""The `linear` head: on each level one logistic regression tells classes of cells, one ridge regression their boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import ModelError
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.cells import BACKGROUND, Cells, corners_of
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.finding import find_objects
from stackbone.stack.detection.framed import framed_boxes, image_sizes
from stackbone.stack.detection.head import FittedHead, Head, Tensors
from stackbone.stack.detection.heads.linear.descriptors import describe_level
from stackbone.stack.detection.heads.linear.sampling import Sample, draw_samples
from stackbone.stack.detection.source import Digests, Maps, MapSource, check_pyramid, pyramid_shape
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge

C, ALPHA = 1e-3, 0.15
"""Strengths of regularisation: of the logistic regressions, and of the ridge regressions for each cell with an object.

They were chosen on the training and validation parts of BCCD.
"""

_LEAST = 0.05  # strides: the logarithm of a smaller distance would outweigh all others
_MOST = np.log(1000)
_FEWEST = 5  # cells with objects that a level needs: below, it finds nothing
_BOX, _CENTRE = slice(0, 4), 4

Floats = NDArray[np.float32]


class LinearFitted(FittedHead):
    """A trained `linear` head.

    Parameters
    ----------
    classify, place : list of (LinearMap or None)
        Of each level: to logits of background and every class, and to logarithms of distances to the edges, in
        strides, and centre-ness; None where no object is found.
    facts : dict
        See `FittedHead`.
    """

    head = "linear"

    def __init__(self, classify: list[LinearMap | None], place: list[LinearMap | None], facts: dict[str, Any]) -> None:
        self._classify, self._place, self.facts = classify, place, facts
        self.classes = tuple(facts["classes"])

    def detect(
        self, source: MapSource, digests: Digests, sizes: NDArray[np.integer], *, on_progress: Progress = silent
    ) -> list[Detections]:
        """Find objects: see `FittedHead.detect`."""
        check_pyramid(source, self.facts["pyramid"])
        cells = Cells.of(source.levels)

        def say(maps: Maps) -> tuple[Floats, Floats]:
            told = [self._outputs([each[number] for each in maps], source) for number in range(len(maps[0]))]
            scores, edges = (np.stack(each) for each in zip(*told, strict=True))
            return scores, corners_of(cells, edges)

        return find_objects(say, source, digests, sizes, on_progress)

    def _outputs(self, maps: Sequence[NDArray[np.float16]], source: MapSource) -> tuple[Floats, Floats]:
        """Return ``(n_cells, n_classes)`` scores and ``(n_cells, 4)`` distances of the cells of one image."""
        scores, edges = [], []
        for level, (classify, place) in enumerate(zip(self._classify, self._place, strict=True)):
            own = source.levels[level]
            if classify is None or place is None:
                scores.append(np.zeros((own.height * own.width, len(self.classes)), np.float32))
                edges.append(np.ones((own.height * own.width, 4), np.float32))
                continue
            features = describe_level(maps, source.levels, level)
            told = place.decide(features)
            shares: Floats = softmax(classify.decide(features), axis=1)[:, 1:]
            scores.append(np.sqrt(shares * np.clip(told[:, _CENTRE, None], 0, 1)))
            edges.append(np.exp(np.clip(told[:, _BOX], -_MOST, _MOST)))
        return np.concatenate(scores), np.concatenate(edges)

    def to_tensors(self) -> Tensors:
        """Return coefficients, intercepts and means of all regressions."""
        tensors: Tensors = {}
        for kind, maps in (("classify", self._classify), ("place", self._place)):
            for level, each in enumerate(maps):
                if each is not None and each.mean is not None:
                    parts = {"coef": each.coef, "intercept": each.intercept, "mean": each.mean}
                    tensors |= {f"{kind}{level}.{name}": array for name, array in parts.items()}
        return tensors


class Linear(Head):
    """See the module."""

    name = "linear"
    what = "logistic and ridge regressions of single cells, one of each on every level"
    source = "after Tian et al. 2019 (FCOS), with linear models in place of the network"
    place = 1

    def fit(
        self,
        source: MapSource,
        digests: Digests,
        boxes: Sequence[ImageBoxes],
        classes: Sequence[str],
        seed: int,
        *,
        sizes: NDArray[np.integer] | None = None,
        mirrored: MapSource | None = None,
        checkpoint: Place | None = None,
        on_progress: Progress = silent,
    ) -> LinearFitted:
        """Solve: see `Head.fit`. It takes seconds, so that `checkpoint` is not used; nor are mirrored maps."""
        framed = framed_boxes(boxes, image_sizes(boxes, sizes), source.side, classes)
        samples = draw_samples(source, digests, framed, seed, on_progress)
        classify: list[LinearMap | None] = []
        place: list[LinearMap | None] = []
        for number, sample in enumerate(samples):
            has = sample.codes != BACKGROUND
            enough = has.sum() >= _FEWEST and not has.all()
            classify.append(_classifier(sample, len(classes)) if enough else None)
            place.append(_placer(sample) if enough else None)
            on_progress("solving", number + 1, len(samples))
        facts: dict[str, Any] = {
            "classes": list(classes),
            "pyramid": pyramid_shape(source),
            "seed": seed,
            "n_images": len(digests),
            "n_cells": [len(each.codes) for each in samples],
        }
        return LinearFitted(classify, place, facts)

    def from_tensors(self, tensors: Mapping[str, NDArray[np.float32]], facts: Mapping[str, Any]) -> LinearFitted:
        """Return a head of its regressions: see `Head.from_tensors`."""
        try:
            depths = [int(level[3]) for level in facts["pyramid"]["levels"]]
            n_outputs = {"classify": len(facts["classes"]) + 1, "place": 5}
        except (KeyError, TypeError, IndexError, ValueError) as exc:
            message = f"the facts of a `linear` head do not describe one ({exc!r}). Train it and save it again"
            raise ModelError(message) from exc
        dim, maps, used = sum(depths), {}, 0
        for kind, width in n_outputs.items():
            maps[kind] = [_map_of(tensors, f"{kind}{level}", dim, width) for level in range(len(depths))]
            used += 3 * sum(each is not None for each in maps[kind])
        are_pairs = all((a is None) == (b is None) for a, b in zip(maps["classify"], maps["place"], strict=True))
        if used != len(tensors) or not are_pairs:
            message = (
                f"the tensors of a `linear` head are {', '.join(sorted(tensors)[:12]) or 'none'}, expected "
                "coefficients, intercept and mean of both regressions of a level. Train it and save it again"
            )
            raise ModelError(message)
        return LinearFitted(maps["classify"], maps["place"], dict(facts))


def _classifier(sample: Sample, n_classes: int) -> LinearMap:
    """Return logits of background and each class; a class that the level has no cell of is never found there."""
    present, codes = np.unique(sample.codes, return_inverse=True)
    rows = np.arange(len(codes))
    path = LinearPath(
        sample.features,
        codes.astype(np.int64),
        len(present),
        [rows],
        loss="log",
        standardise=True,
        moderation=1.0,
        weights=sample.weights,
        tol=1e-4,
    )
    found = path.solve(C)[0]
    coef = np.zeros((len(found.coef), n_classes + 1), np.float32)
    intercept = np.full(n_classes + 1, -30, np.float32)  # e to the power of it is no probability
    coef[:, present + 1], intercept[present + 1] = found.coef, found.intercept
    return LinearMap(coef, intercept, found.mean)


def _placer(sample: Sample) -> LinearMap:
    """Return logarithms of distances to edges, in strides, and centre-ness."""
    has = np.flatnonzero(sample.codes != BACKGROUND)
    targets = np.column_stack([np.log(np.maximum(sample.edges[has], _LEAST)), sample.centre[has]])
    return fit_ridge(SideBySide([sample.features], has), targets.astype(np.float64), [ALPHA * len(has)]).linear_map()


def _map_of(tensors: Mapping[str, NDArray[np.float32]], name: str, dim: int, width: int) -> LinearMap | None:
    parts = [tensors.get(f"{name}.{part}") for part in ("coef", "intercept", "mean")]
    if all(each is None for each in parts):
        return None
    for each, shape in zip(parts, ((dim, width), (width,), (dim,)), strict=True):
        if each is None or each.shape != shape or not np.isfinite(each).all():
            found = "absent" if each is None else f"of shape {each.shape}"
            message = (
                f"a tensor of {name} of a `linear` head is {found}, expected {shape} and finite. "
                "Train it and save it again"
            )
            raise ModelError(message)
    coef, intercept, mean = (np.array(each, np.float32) for each in parts)
    return LinearMap(coef, intercept, mean)


HEAD = Linear()
