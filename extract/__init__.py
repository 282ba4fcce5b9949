"""Images to features: datasets, decoding, backbones, engines, the pipeline that fills a cache."""

from extract.backbones import BACKBONES, GROUPS, Backbone, Transform, get_backbone, parse_backbones
from extract.datasets import Dataset, open_dataset
from extract.report import BackboneReport, ExtractReport
from extract.run import extract
from extract.weights import Weights, available_backbones, find_weights, parse_weights_options

__all__ = [
    "BACKBONES",
    "GROUPS",
    "Backbone",
    "BackboneReport",
    "Dataset",
    "ExtractReport",
    "Transform",
    "Weights",
    "available_backbones",
    "extract",
    "find_weights",
    "get_backbone",
    "open_dataset",
    "parse_backbones",
    "parse_weights_options",
]
