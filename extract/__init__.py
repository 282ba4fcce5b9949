"""Images to features: datasets, decoding, backbones, engines, the pipeline that fills a cache."""

from extract.backbones import BACKBONES, GROUPS, Backbone, Transform, get_backbone, parse_backbones
from extract.datasets import Dataset, open_dataset
from extract.report import BackboneReport, ExtractReport
from extract.run import extract, index_dataset
from extract.steering import Steering
from extract.steering_file import list_steering_files, read_steering
from extract.weights import Weights, available_backbones, find_weights, parse_weights_options

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
