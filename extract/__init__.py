"""Images to features: datasets, decoding, backbones, engines, the pipeline that fills a cache.

The room shares its name with its main function: ``stackbone.extract(dataset, backbones, store)`` is
``stackbone.extract.extract(dataset, backbones, store)``, whatever was imported before.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stackbone.cache.lazy import lazy_names

if TYPE_CHECKING:
    from stackbone.cache.backbone_groups import GROUPS
    from stackbone.extract.backbones.backbone import (
        BACKBONES,
        Backbone,
        Transform,
        get_backbone,
        parse_backbones,
    )
    from stackbone.extract.backbones.weights import Weights, available_backbones, find_weights, parse_weights_options
    from stackbone.extract.datasets.dataset import Dataset, open_dataset
    from stackbone.extract.embedding.indexing import index_dataset
    from stackbone.extract.embedding.report import BackboneReport, ExtractReport
    from stackbone.extract.embedding.run import extract
    from stackbone.extract.steering_files.file import list_steering_files, read_steering
    from stackbone.extract.steering_files.steering import Steering
else:
    __getattr__ = lazy_names(__name__, __file__)

__all__ = [
    "BACKBONES",
    "GROUPS",
    "Backbone",
    "BackboneReport",
    "Dataset",
    "ExtractReport",
    "Steering",
    "Transform",
    "Weights",
    "available_backbones",
    "extract",
    "find_weights",
    "get_backbone",
    "index_dataset",
    "list_steering_files",
    "open_dataset",
    "parse_backbones",
    "parse_weights_options",
    "read_steering",
]


class _Room(ModuleType):
    """A module that can be called: Python lets a package shadow a function of the same name in the package above."""

    def __call__(self, *arguments: Any, **options: Any) -> "ExtractReport":  # noqa: ANN401 - as of `extract`
        """Embed a dataset's images: see `extract.extract`."""
        from stackbone.extract.embedding.run import extract

        return extract(*arguments, **options)


sys.modules[__name__].__class__ = _Room
