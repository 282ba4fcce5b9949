"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545) and ConvNeXt V2 (Woo et al. 2023, arXiv 2301.00808).

The first with the weights of ImageNet-22k alone, whose features transfer; of the second there are none but fine-tuned
ones, which are not for commercial use.
"""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _convnext(name: str, tag: str, licence: str, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=name,
        architecture=f"{name}.{tag}",
        transform=Transform((224, 224), 0.875, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub=f"timm/{name}.{tag}",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence=licence,
    )


BACKBONES = (
    _convnext("convnext_tiny", "fb_in22k", "apache-2.0", 768, 27.8, 8.91),
    _convnext("convnext_base", "fb_in22k", "apache-2.0", 1024, 87.6, 30.7),
    _convnext("convnextv2_tiny", "fcmae_ft_in22k_in1k", "cc-by-nc-4.0", 768, 27.9, 8.91),
    _convnext("convnextv2_base", "fcmae_ft_in22k_in1k", "cc-by-nc-4.0", 1024, 87.7, 30.7),
)
