"""Embed a sample of cached images again, to prove that features do not depend on versions, engines or machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, ImageError, StackboneError, as_keys
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.records.feature_name import LARGE
from stackbone.cache.records.given import is_given
from stackbone.cache.records.views import known_view
from stackbone.cache.text import counted
from stackbone.extract.backbones.backbone import Backbone, Transform
from stackbone.extract.containers.reading import read_listed_image
from stackbone.extract.embedding.plan import backbone_of, find_weights_of
from stackbone.extract.engines.engine import check_engine, make_engine
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import decoded, quiet_pillow
from stackbone.extract.images.limits import ANY
from stackbone.extract.views.views import make_views

TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-3}
"""Largest relative difference of a row (L2) that counts as the same feature, by precision."""

ROUNDED = 5e-4
"""The same of maps, whose numbers are kept as float16: those that lie between two of these are rounded up or down."""

INDEPENDENT = {"auto": "torch", "torch": "torch", "openvino": "openvino"}
"""What embeds the sample, by the engine that was asked for."""


@dataclass(frozen=True)
class Recomputation:
    """How far a feature set is from what the installed libraries compute.

    Attributes
    ----------
    n_images
        Rows embedded again.
    largest
        Largest ‖new - cached‖ / ‖cached‖ of a row; None if nothing could be compared.
    tolerance
        What it may be at most.
    problem
        Why nothing could be compared, or which row is off; ``""`` if all is well.
    by
        What embedded the sample; ``""`` if nothing did.
    is_given
        Whether the features were given and not made from images, so that nothing can be compared and nothing is wrong.
    """

    feature_set: str
    n_images: int
    largest: float | None
    tolerance: float
    problem: str
    by: str = ""
    is_given: bool = False

    def line(self) -> str:
        """Return one line for people."""
        if self.is_given:
            return f"{self.feature_set}: given with add_features, not made from images, so that it cannot be recomputed"
        if self.largest is None:
            return f"{self.feature_set}: could not be embedded again: {self.problem}"
        verdict = f"OFF: {self.problem}" if self.problem else "same"
        return (
            f"{self.feature_set}: {counted(self.n_images, 'image')} embedded again by {self.by}; "
            f"largest relative difference {self.largest:.1e} (allowed {self.tolerance:.0e}): {verdict}"
        )


def recompute(
    store: FeatureStore,
    n_images: int,
    *,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    engine: str = "auto",
    seed: int = 0,
) -> list[Recomputation]:
    """Embed a random sample of each feature set's images again and compare with the cached rows.

    The images are found through the datasets of the cache, and their files must still be there. Networks are built
    from their weights: what an earlier run converted and kept takes no part.

    Parameters
    ----------
    n_images
        Sample size for each feature set.
    steering
        Files, or folders of them, that made the cache's steered features; a feature set whose file is not among
        them is passed over and says so.
    modules
        Networks of the user's own that made some of the features, from `Backbone.from_module`.
    weights
        As of `extract`.
    engine
        ``torch``, ``openvino``, or ``auto``: torch, which shares nothing with what OpenVINO made.
    """
    check_engine(engine)
    indexes = [store.dataset(name) for name in store.dataset_names()]
    sets = [each for each in store.feature_sets() if each.shards()]
    return [_recompute(each, indexes, n_images, steering, modules, weights or {}, engine, seed) for each in sets]


def _recompute(
    feature_set: FeatureSet,
    indexes: list[DatasetIndex],
    n_images: int,
    steering: Sequence[Path],
    modules: Sequence[Backbone],
    files: Mapping[str, Path],
    engine: str,
    seed: int,
) -> Recomputation:
    tolerance = max(TOLERANCE.values())
    try:
        spec = feature_set.header().spec
        tolerance = TOLERANCE.get(spec.precision, tolerance)
        if spec.output in LARGE:
            tolerance = max(tolerance, ROUNDED)
        if is_given(spec):
            return Recomputation(feature_set.id, 0, None, tolerance, "", is_given=True)
        backbone, _ = backbone_of(feature_set.backbone, spec, steering, modules)
        weights = find_weights_of([backbone], files, ask=None)[backbone.key]
        if replace(backbone.spec(weights.identity, spec.precision, spec.output), view=known_view(spec.view)) != spec:
            message = "the weights or the transform here are not those that it was made with"
            return Recomputation(feature_set.id, 0, None, tolerance, message)
        with quiet_pillow(ANY):
            sample = _sample(feature_set, indexes, n_images, seed, backbone.transform, spec.view)
        if not sample:
            in_memory = any(each.in_memory for each in indexes)
            message = "none of its images is still where it was, with the same bytes"
            message += ", but for those that were arrays in memory and are no files" if in_memory else ""
            return Recomputation(feature_set.id, 0, None, tolerance, message)
        # A graph that an earlier run kept may be what is at fault, so that it must not be the judge.
        made = make_engine(
            backbone, weights, INDEPENDENT[engine], "auto", spec.precision, outputs=[spec.output], reuse=False
        )
        step, pixels = made.batch_size, list(sample.values())
        batches = [made.embed(np.stack(pixels[i : i + step])) for i in range(0, len(pixels), step)]
        embedded = np.concatenate([features for (features,) in batches])
        embedded = embedded.astype(made.forms[0].dtype).astype(np.float32)  # as it is kept
        digests = np.frombuffer(b"".join(sample), np.uint8).reshape(-1, 32)
        cached = feature_set.load(digests)
    except StackboneError as exc:
        return Recomputation(feature_set.id, 0, None, tolerance, str(exc))
    difference = np.linalg.norm(embedded - cached, axis=1) / np.maximum(np.linalg.norm(cached, axis=1), 1e-30)
    worst = int(difference.argmax())
    largest = float(difference[worst])
    problem = (
        "" if largest <= tolerance else f"the image {digests[worst].tobytes().hex()} differs by more than is allowed"
    )
    by = f"{made.provenance['engine']} on {made.provenance['device']}, from the weights alone"
    return Recomputation(feature_set.id, len(sample), largest, tolerance, problem, by)


def _sample(
    feature_set: FeatureSet,
    indexes: list[DatasetIndex],
    n_images: int,
    seed: int,
    transform: Transform,
    view: str,
) -> dict[bytes, NDArray[np.uint8]]:
    """Return digest to pixels of a random sample of images that are unchanged where a dataset lists them."""
    held = as_keys(feature_set.digests())
    rows = [
        (index, int(row))
        for index in indexes
        for row in np.flatnonzero(index.ok & np.isin(as_keys(index.image_sha256), held))
    ]
    sample: dict[bytes, NDArray[np.uint8]] = {}
    budget = DecodingBudget()
    for i in np.random.default_rng(seed).permutation(len(rows)):
        if len(sample) == n_images:
            break
        index, row = rows[i]
        digest = index.image_sha256[row].tobytes()
        with suppress(ImageError, MemoryError):  # gone, or changed since, or more than this machine takes
            content = read_listed_image(ListedFile(index.root, index.path[row], digest))
            with decoded(content, budget, limits=ANY) as picture:  # whoever embedded it had let it in
                sample[digest] = make_views(picture, transform, [view], digest)[view]
    return sample
