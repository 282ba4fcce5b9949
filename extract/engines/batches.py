"""How many images a network takes at once, where they are large."""

from __future__ import annotations

import math

from stackbone.extract.backbones.backbone import Backbone

_USUAL_PIXELS = 224 * 224  # of an image, that the sizes of engines are for
_MOST_PIXELS = 1 << 24  # of a batch that a user asks for: what a network holds of them is some gigabytes


def usual_batch(most: int, backbone: Backbone) -> int:
    """Return how many images fit where `most` of the usual size do, if a backbone's are framed; else `most`."""
    return max(1, most * _USUAL_PIXELS // math.prod(backbone.transform.input_size)) if backbone.is_framed else most


def bounded_batch(asked: int | None, backbone: Backbone) -> int | None:
    """Return the images at once that a user asked for, or fewer where a backbone's are framed and large."""
    if asked is None or not backbone.is_framed:
        return asked
    return max(1, min(asked, _MOST_PIXELS // math.prod(backbone.transform.input_size)))
