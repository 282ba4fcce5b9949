"""From what a head says of maps to what was found in images: the same for every head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.cache.progress import Progress
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.source import Digests, Maps, MapSource, batches
from stackbone.stack.detection.suppression import pick

Floats = NDArray[np.float32]


def find_objects(
    say: Callable[[Maps], tuple[Floats, Floats]],
    source: MapSource,
    digests: Digests,
    sizes: NDArray[np.integer],
    on_progress: Progress,
) -> list[Detections]:
    """Return what is found in each image, a batch of maps at a time.

    Parameters
    ----------
    say : callable
        Returns ``(b, n_boxes, n_classes)`` scores and ``(b, n_boxes, 4)`` corners in pixels of the frame for the maps
        of b images, as `MapSource.read` has them.
    source, digests, sizes, on_progress
        See `FittedHead.detect`.
    """
    found: list[Detections] = []
    for rows in batches(len(digests)):
        scores, corners = say(source.read(digests[rows]))
        for number, (width, height) in enumerate(np.asarray(sizes[rows]).tolist()):
            own = Letterbox(width, height, source.side).to_image(corners[number])
            found.append(pick(own, scores[number], width, height))
        on_progress("finding objects", len(found), len(digests))
    return found
