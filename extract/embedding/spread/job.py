"""What a run computes, whatever its images: backbones with their weights, the feature sets wanted of each, engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackbone.cache import FeatureSet, FeatureSpec, FeatureStore
from stackbone.cache.progress import Progress, silent
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights, check_weights_names, named_weights
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.plan import (
    EngineOptions,
    find_weights_of,
    make_embedder,
    make_fillings,
    specs_of,
)
from stackbone.extract.engines.devices import check_device
from stackbone.extract.engines.engine import check_engine, check_precision
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.steering_files.choice import Choice, choose_backbones
from stackbone.extract.steering_files.steered import RecordedBackbone, read_steered, with_hub


@dataclass(frozen=True, eq=False)
class Job:
    """What is computed of each image. It can be pickled, but for networks in memory whose own code cannot.

    Attributes
    ----------
    choices
        Backbones, and which outputs and views of each.
    weights
        By the backbones' `key`; of steered ones by name alone until `ready`.
    files
        Weights that were named, by the backbone's name.
    random_seed
        Of random weights, for tests and timings only.
    precision, on, limits
        In which precision, on which engine, and which images are let in.
    steered
        Steered backbones with what their steering saw.
    """

    choices: Sequence[Choice]
    weights: Mapping[str, Weights]
    files: Mapping[str, Path]
    random_seed: int | None
    precision: str
    on: EngineOptions
    limits: Limits = USUAL
    steered: Sequence[RecordedBackbone] = field(default_factory=tuple)

    @property
    def backbones(self) -> list[Backbone]:
        """Those of the choices."""
        return [each.backbone for each in self.choices]

    def feature_sets(self, store: FeatureStore) -> list[tuple[str, FeatureSpec, FeatureSet]]:
        """Return what is filled: the backbone's `key`, what identifies the features, and where they lie."""
        return [
            (each.backbone.key, spec, store.feature_set(each.backbone.name, spec))
            for each in self.choices
            for spec in specs_of(each, self.weights, self.precision)
        ]

    def fillings(self, store: FeatureStore, images: Images) -> dict[str, list[Filling]]:
        """Return the feature sets of each backbone, by its `key`, with which of some images they lack."""
        return {
            each.backbone.key: make_fillings(store, each.backbone, specs_of(each, self.weights, self.precision), images)
            for each in self.choices
        }

    def ready(self, waiting: Sequence[Backbone], report: Progress = silent) -> Job:
        """Return it with the files of weights of those backbones that there is something to embed with.

        A steered backbone names its weights, so that the file is looked for only then.

        Raises
        ------
        WeightsError
            If they are out of reach, or not those that the steering was trained on.
        """
        steered = [with_hub(each) for each in waiting if each.steering]
        found = find_weights_of(steered, self.files, random_seed=self.random_seed, report=report)
        return replace(self, weights={**self.weights, **found})

    def embedders(self, to_fill: Mapping[str, Sequence[Filling]], report: Progress = silent) -> dict[str, Embedder]:
        """Return what fills feature sets, by the backbone's `key`; of a backbone without any there is none."""
        return {
            each.key: make_embedder(
                each, to_fill[each.key], self.weights[each.key], self.on, report, self.limits, fill_batches=True
            )
            for each in self.backbones
            if to_fill[each.key]
        }


def find_job(
    backbones: str | Sequence[str] | None,
    *,
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    map_size: int | None = None,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    random_seed: int | None = None,
    precision: str = "fp32",
    on: EngineOptions,
    limits: Limits = USUAL,
    report: Progress = silent,
) -> Job:
    """Return what `extract` computes by these arguments, which are its own; the weights are looked for, and hashed.

    Raises
    ------
    StackboneError
        As of `extract`.
    """
    check_engine(on.engine)
    check_device(on.device)
    check_precision(precision)
    steered = read_steered(steering)
    choices = choose_backbones(backbones, steered, outputs, views, modules, map_size)
    chosen = [each.backbone for each in choices]
    files = dict(weights or {})
    check_weights_names(files, chosen)
    plain, others = [b for b in chosen if not b.steering], [b for b in chosen if b.steering]
    found = find_weights_of(plain, files, random_seed=random_seed, report=report, also=[each.name for each in others])
    found |= {each.key: named_weights(each) for each in others}
    return Job(choices, found, files, random_seed, precision, on, limits, steered)
