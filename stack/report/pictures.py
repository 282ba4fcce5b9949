"""The pictures that a page carries with it; others draw them, since this room opens no images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from stackbone.cache import FeatureSpec
from stackbone.cache.disk.reading import ListedFile

DrawThumbnails: TypeAlias = Callable[[Sequence[ListedFile]], Sequence[bytes | str]]
"""Draws image files, as `extract.images.thumbnails.thumbnails` does: WebP, JPEG or PNG, or why there is none."""

DrawAttention: TypeAlias = Callable[[str, FeatureSpec, Sequence[ListedFile]], Sequence[bytes | None]]
"""Draws where a steered backbone looks, from its name, its features' spec and image files; None where it cannot."""


@dataclass(frozen=True)
class Pictures:
    """Pictures by the place that they have on the page.

    Attributes
    ----------
    thumbnails : mapping of int to bytes
        WebP, JPEG or PNG, by row of the dataset's index; images without one are shown by path.
    missing : mapping of int to str
        Why there is no thumbnail, by row.
    attention : mapping of int to bytes
        By place in the list of looks of the section ``attention``.
    """

    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)
    attention: Mapping[int, bytes] = field(default_factory=dict)


def data_uri(content: bytes) -> str:
    """Return a picture as an address that holds it."""
    kind = "webp" if content[8:12] == b"WEBP" else "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
