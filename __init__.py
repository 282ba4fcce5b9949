"""Stackbone: embed images once with several frozen pretrained backbones, then stack classifiers on the features.

The public names, each loaded when it is first used: ``import stackbone`` itself loads neither torch nor NumPy.
``stackbone.extract`` is both the function and the package that holds it (which can be called).
"""

from typing import TYPE_CHECKING

from stackbone.cache.lazy import lazy_names

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore, StackboneError
    from stackbone.extract import Backbone, Transform, available_backbones, extract, index_dataset, open_dataset
    from stackbone.extract.embedding.predict import embed_files, embed_for
    from stackbone.extract.images.measured.facts import measure_images
    from stackbone.extract.images.thumbnails import thumbnails
    from stackbone.extract.relabelling.relabel import relabel
    from stackbone.extract.steering.steer import steer
    from stackbone.pipelines.embedder import ImageEmbedder
    from stackbone.stack import (
        Experiment,
        StackedBackbones,
        StackedBackbonesRegressor,
        StackOptions,
        evaluate,
        evaluate_model,
        load_model,
        run_experiment,
        save_model,
        stack_options,
    )
    from stackbone.stack.audit.audit import audit
    from stackbone.stack.detection.run import run_detection
    from stackbone.stack.exploring.clusters.cluster import cluster
    from stackbone.stack.exploring.representations.compare import compare_backbones
    from stackbone.stack.exploring.search import search
    from stackbone.stack.exploring.similar import similar
    from stackbone.stack.models.predict import predict
    from stackbone.stack.report.page import write_report
    from stackbone.stack.suggesting.suggest import suggest
    from stackbone.stack.transfer.run import run_transfer
else:
    __getattr__ = lazy_names(__name__, __file__)

__all__ = [
    "Backbone",
    "Experiment",
    "FeatureStore",
    "ImageEmbedder",
    "StackOptions",
    "StackboneError",
    "StackedBackbones",
    "StackedBackbonesRegressor",
    "Transform",
    "audit",
    "available_backbones",
    "cluster",
    "compare_backbones",
    "embed_files",
    "embed_for",
    "evaluate",
    "evaluate_model",
    "extract",
    "index_dataset",
    "load_model",
    "measure_images",
    "open_dataset",
    "predict",
    "relabel",
    "run_detection",
    "run_experiment",
    "run_transfer",
    "save_model",
    "search",
    "similar",
    "stack_options",
    "steer",
    "suggest",
    "thumbnails",
    "write_report",
]


def __dir__() -> list[str]:
    return [*globals(), *__all__]
