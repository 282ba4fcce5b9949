"""The scikit-learn transformer: images in, features out, each image embedded once for good."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from stackbone.cache import FeatureSpec, FeatureStore, ImageError, UsageError
from stackbone.cache.choices import check_choice
from stackbone.cache.records.feature_name import PYRAMID
from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.cache.text import counted, printable
from stackbone.extract import Backbone
from stackbone.extract.embedding.images import EmbeddedImages
from stackbone.extract.embedding.plan import find_specs
from stackbone.extract.embedding.predict import embed_for
from stackbone.pipelines.images import Rows, read_rows

ON_ERROR = ("raise", "nan")
_NAMED = 5


class ImageEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turn images into features of frozen pretrained backbones, side by side in one matrix.

    Features are kept in a cache by the content of each image: whatever asks again (another fold, another candidate of
    a grid search, another day) gets them from there, and nothing is embedded twice. No label is seen, so that embedding
    everything before a cross-validation leaks nothing.

    Parameters
    ----------
    backbones : str or sequence of str, optional
        Names and groups, comma-separated or as a list, as `extract` takes them: ``"offline"``,
        ``"resnet50,vit_base@stages"``, ``"efficientnet_lite0~hflip"``. By default `modules`, or without any
        ``published``. Steered backbones, which have seen labels, are not taken: `run_experiment` scores those honestly.
    cache : str, path or FeatureStore, optional
        The cache; by default ``STACKBONE_CACHE``, else ``features``.
    outputs, views : str or sequence of str, optional
        Of every backbone that is named without, as `extract` takes them; by default ``pooled`` and ``plain``.
    modules : sequence of Backbone
        Networks of your own, from `Backbone.from_module`.
    weights : mapping of str to path, optional
        Files by backbone name; else packages, else the hub.
    precision : {"fp32", "bf16", "fp16"}
        Each gives features of its own.
    engine, device : str
        What computes; as of `extract`.
    batch_size : int, optional
        Images that a network takes at once.
    on_error : {"raise", "nan"}
        What becomes of images that cannot be read: an error that names them, or rows of NaN.

    Attributes
    ----------
    blocks_ : dict of str to slice
        Columns of each backbone (and output and view), such as ``{"resnet50": slice(0, 2048)}``: what
        `StackedBackbones` takes as ``blocks``.
    specs_ : dict of str to FeatureSpec
        Feature set id to what makes its features; `transform` gives these or fails.

    Examples
    --------
    >>> embedder = ImageEmbedder("offline", cache="features").fit(paths)  # doctest: +SKIP
    >>> model = make_pipeline(embedder, StackedBackbones(blocks=embedder.blocks_))  # doctest: +SKIP
    >>> cross_val_score(model, paths, labels, cv=3)  # doctest: +SKIP
    """

    def __init__(
        self,
        backbones: str | Sequence[str] | None = None,
        cache: str | os.PathLike[str] | FeatureStore | None = None,
        *,
        outputs: str | Sequence[str] | None = None,
        views: str | Sequence[str] | None = None,
        modules: Sequence[Backbone] = (),
        weights: Mapping[str, Path | str] | None = None,
        precision: str = "fp32",
        engine: str = "auto",
        device: str = "auto",
        batch_size: int | None = None,
        on_error: str = "raise",
    ) -> None:
        self.backbones = backbones
        self.cache = cache
        self.outputs = outputs
        self.views = views
        self.modules = modules
        self.weights = weights
        self.precision = precision
        self.engine = engine
        self.device = device
        self.batch_size = batch_size
        self.on_error = on_error

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted embedder of the same parameters, which are shared: a copy would copy whole networks."""
        clone = type(self)(**self.get_params(deep=False))
        if hasattr(self, "_sklearn_output_config"):
            clone._sklearn_output_config = dict(self._sklearn_output_config)
        return clone

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ANN401 - whatever holds images
        """Find the weights, embed the images that the cache lacks, and learn how many columns each backbone has.

        Parameters
        ----------
        X : list, array, Series or DataFrame
            n images: paths (a DataFrame has them as its only column), an array ``(n, height, width, 3)``, ``(n, height,
            width, 4)`` or ``(n, height, width)`` uint8, or a list of such arrays without the first axis or of PIL
            images.
        y : ignored
            Labels are not looked at.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If images cannot be read and `on_error` is ``"raise"``, or if none can be read.
        StackboneError
            If X holds no images, or as of `extract`.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: object = None) -> NDArray[np.float32]:  # noqa: ANN401
        """Fit, and return the features of the same images; see `fit` and `transform`."""
        rows, embedded = self._fit(X)
        return self._side_by_side(rows, embedded)

    def transform(self, X: Any) -> NDArray[np.float32]:  # noqa: ANN401
        """Return features, computing those that the cache lacks.

        Parameters
        ----------
        X : list, array, Series or DataFrame
            n images, as for `fit`.

        Returns
        -------
        ndarray or DataFrame
            ``(n, n_columns) float32``, the blocks side by side; NaN in rows of images that cannot be read, if
            `on_error` is ``"nan"``. A DataFrame where `set_output` asks for one.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        StackboneError
            As of `fit`; also if weights here are not those that `fit` found.
        """
        check_is_fitted(self)
        rows = read_rows(X)
        return self._side_by_side(rows, self._embed(rows))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Name the columns: ``BLOCK_0``, ``BLOCK_1``, ..., as ``resnet50_0``; `input_features` is not looked at."""
        check_is_fitted(self)
        names = [f"{name}_{i}" for name, columns in self.blocks_.items() for i in range(columns.stop - columns.start)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn has no types to name
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        tags.no_validation = True
        return tags

    def _fit(self, X: Any) -> tuple[Rows, EmbeddedImages]:  # noqa: ANN401
        check_choice("value of on_error", self.on_error, ON_ERROR)
        rows = read_rows(X)
        self.specs_ = find_specs(
            self.backbones,
            outputs=self.outputs,
            views=self.views,
            modules=self.modules,
            weights=self._weight_files(),
            precision=self.precision,
        )
        _refuse_pyramids(self.specs_)
        embedded = self._embed(rows)
        if not embedded.sound_paths:
            raise ImageError(_failed(rows, embedded, advice="Are they images?"))
        self.blocks_ = {}
        start = 0
        for identity, features in embedded.features.items():
            self.blocks_[_block_name(identity)] = slice(start, start := start + features.shape[1])
        return rows, embedded

    def _embed(self, rows: Rows) -> EmbeddedImages:
        store = self.cache if isinstance(self.cache, FeatureStore) else FeatureStore(self.cache)
        embedded = embed_for(
            self.specs_,
            rows.dataset,
            store,
            modules=self.modules,
            weights=self._weight_files(),
            engine=self.engine,
            device=self.device,
            batch_size=self.batch_size,
        )
        if embedded.failures and self.on_error != "nan":
            advice = "Leave them out of X, or get rows of NaN for them with on_error='nan'"
            raise ImageError(_failed(rows, embedded, advice=advice))
        return embedded

    def _side_by_side(self, rows: Rows, embedded: EmbeddedImages) -> NDArray[np.float32]:
        width = max(columns.stop for columns in self.blocks_.values())
        features = np.full((rows.dataset.n, width), np.nan, np.float32)
        sound = np.array([not reason for reason in embedded.reasons], np.bool_)
        if sound.any():
            for columns, block in zip(self.blocks_.values(), embedded.features.values(), strict=True):
                features[sound, columns] = block
        return features

    def _weight_files(self) -> dict[str, Path]:
        return {name: Path(file) for name, file in (self.weights or {}).items()}


def _refuse_pyramids(specs: Mapping[str, FeatureSpec]) -> None:
    found = [identity for identity, spec in specs.items() if spec.output == PYRAMID]
    if found:
        message = (
            f"ImageEmbedder gives one row of numbers an image, and {_block_name(found[0])} stands for maps of several "
            "strides. Ask for other outputs; stackbone.embed_for returns what reads maps"
        )
        raise UsageError(message)


def _block_name(identity: str) -> str:
    parsed = parse_feature_set_id(identity)
    if parsed is None:  # `find_specs` makes the ids
        raise AssertionError(identity)
    return parsed[0]


def _failed(rows: Rows, embedded: EmbeddedImages, *, advice: str) -> str:
    """Return which images have no features, and why."""
    failed = [(name, reason) for name, reason in zip(rows.names, embedded.reasons, strict=True) if reason]
    named = "; ".join(f"{printable(name)}: {reason}" for name, reason in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
    return f"{len(failed):,} of {counted(len(rows.names), 'image')} could not be embedded: {named}{more}. {advice}"
