"""What annotated images are known by: a digest of all that decides an experiment on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.records.annotated import AnnotatedImages


def images_digest(annotated: AnnotatedImages) -> str:
    """Return a digest of all that is known of annotated images but their names: what they are, sizes, classes, boxes.

    A saved result has it, so that what is another result now is known before anything is trained.
    """
    sha = hashlib.sha256(json.dumps(annotated.classes).encode())
    for array in (annotated.images.digests, annotated.sizes):
        sha.update(len(array).to_bytes(8, "little"))
        sha.update(np.ascontiguousarray(array).tobytes())
    for each in annotated.boxes:
        sha.update(boxes_bytes(each))
    return sha.hexdigest()


def boxes_bytes(boxes: ImageBoxes) -> bytes:
    """Return what an annotation says of an image, for a digest."""
    arrays: Sequence[NDArray[np.generic]] = (boxes.corners, boxes.difficult, boxes.crowd)
    names = json.dumps(boxes.classes).encode()
    return b"".join(
        [len(names).to_bytes(8, "little"), names, *(np.ascontiguousarray(each).tobytes() for each in arrays)]
    )
