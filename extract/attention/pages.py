"""Attention pictures for a report: from the features that an experiment used back to the networks that made them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from stackbone.cache import FeatureSpec
from stackbone.cache.disk.reading import ListedFile
from stackbone.extract.attention.maps import attention_pictures
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.engines.network import build_network
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.steering_files.steered import find_steered, with_hub

_QUALITY = 80


def encoded_pictures(
    name: str, spec: FeatureSpec, files: Sequence[ListedFile], steering: Sequence[Path], weights: Mapping[str, Path]
) -> list[bytes | None]:
    """Return the panels of `attention_pictures` side by side, as WebP, for each of some image files.

    Parameters
    ----------
    name, spec
        Of the steered features.
    files
        Images, as they were listed.
    steering
        Steering files, or folders of them, among which is the one that made the features.
    weights
        Files by backbone name, as of `find_weights`.

    Returns
    -------
    list of bytes or None
        None where a file cannot be read or was changed; nothing but None where it is not TOAST that steers, or no ViT.

    Raises
    ------
    UsageError
        If none of the steering files made the features.
    WeightsError
        If the plain backbone's weights are not here.
    """
    backbone = with_hub(find_steered(spec.steering or "", name, steering).backbone)
    network = build_network(backbone, find_weights([backbone], weights, ask=None)[backbone.key])
    if not isinstance(network.body, ToastViT):
        return [None] * len(files)
    pictures, _ = attention_pictures(network, backbone.transform, files)
    drawn: dict[Path, bytes] = {}
    for picture in pictures:
        content = io.BytesIO()
        Image.fromarray(picture.side_by_side()).save(content, "WEBP", quality=_QUALITY)
        drawn[picture.path] = content.getvalue()
    return [drawn.get(Path(file.place)) for file in files]
