"""Images to features: datasets, decoding, backbones, engines, the pipeline that fills a cache."""

from stackbone.extract.backbones.backbone import BACKBONES, GROUPS, Backbone, Transform, get_backbone, parse_backbones
from stackbone.extract.backbones.weights import Weights, available_backbones, find_weights, parse_weights_options
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.embedding.report import BackboneReport, ExtractReport
from stackbone.extract.embedding.run import extract, index_dataset
from stackbone.extract.steering_files.file import list_steering_files, read_steering
from stackbone.extract.steering_files.steering import Steering

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
