"""RegNetY (Radosavovic et al. 2020, arXiv 2003.13678), with torchvision's second weights; 016 has 1.6 GFLOP (MAC)."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _regnet(size: str, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"regnety_{size}",
        architecture=f"regnety_{size}.tv2_in1k",
        transform=Transform((224, 224), 0.965, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub=f"timm/regnety_{size}.tv2_in1k",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="bsd-3-clause",
    )


BACKBONES = (_regnet("016", 888, 10.3, 3.22), _regnet("160", 3024, 80.6, 31.8))
