"""Videos, of which frames are taken as images."""

from __future__ import annotations

from stackbone.extract.datasets.kind import DatasetKind
from stackbone.extract.datasets.videos.listing import find_videos, list_videos

KIND = DatasetKind(
    name="video",
    what="videos, or a folder of them",
    recognises=lambda request: request.once("videos", find_videos) is not None,
    read=list_videos,
    place=29,
    takes_columns=True,
    takes_levels=True,
    own_options=frozenset({"--every"}),
)
