"""Folders of images: what folders and tables beside the images say is read, see `datasets.folders`."""

from __future__ import annotations

from stackbone.extract.datasets.folders.listing import list_folder
from stackbone.extract.datasets.kind import DatasetKind

KIND = DatasetKind(
    name="folder",
    what="a folder of class folders",
    recognises=lambda request: request.path is not None and request.path.is_dir(),
    read=list_folder,
    place=30,
    takes_columns=True,
    takes_levels=True,
)
