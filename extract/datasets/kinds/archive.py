"""Tar and zip archives that hold what folders of images would, see `datasets.archives.trees`."""

from __future__ import annotations

from stackbone.extract.datasets.archives.found import find_archives
from stackbone.extract.datasets.archives.trees import list_trees
from stackbone.extract.datasets.kind import DatasetKind

KIND = DatasetKind(
    name="archive",
    what="a tar or zip archive of images, or a folder of such",
    recognises=lambda request: request.once("archives", find_archives) is not None,
    read=list_trees,
    place=28,
    takes_columns=True,
    takes_levels=True,
)
