"""The listing of a dataset by the kind that recognises what was named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from stackbone.cache.errors import DatasetError
from stackbone.extract.containers.place import split_place
from stackbone.extract.datasets.kind import KINDS, DatasetKind, Listing, Request
from stackbone.extract.datasets.kinds.images import neither_message
from stackbone.extract.datasets.listing_options import (
    leave_out,
    refuse_level_options,
    refuse_own_options,
    refuse_table_options,
)
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.datasets.remote.listing import find_remote


def list_images(request: Request) -> Listing:
    """Return what the first kind lists that recognises what was named.

    Raises
    ------
    DatasetError
        If there is nothing of that name, no kind recognises it, or it cannot be read.
    UsageError
        If options do not fit it.
    """
    remote = request.once("remote", find_remote)
    if remote is not None:
        _check_options(remote.kind, request)
        return _completed(remote.read(request), remote.kind, request)
    # os.path, not pathlib: pathlib's questions raise where a folder may not be searched.
    if request.path and not os.path.exists(request.path) and split_place("", str(request.path)) is None:
        raise DatasetError(missing_message(request.path))
    kind = next((kind for kind in KINDS.values() if kind.recognises(request)), None)
    _check_options(kind, request)
    if kind is None:
        known = "; ".join(kind.what for kind in KINDS.values())
        msg = f"{neither_message(Path(request.paths[0]))} A dataset can be: {known}."
        raise DatasetError(msg)
    return _completed(kind.read(request), kind, request)


def _completed(listing: Listing, kind: DatasetKind, request: Request) -> Listing:
    """Return a listing with what is to be said of annotations that it lacks, and without what the user leaves out."""
    if kind.find is None and request.columns.label is not None:
        listing = replace(listing, notes=[*listing.notes, *request.passed_over])
    return leave_out(listing, request.exclude) if request.exclude else listing


def _check_options(kind: DatasetKind | None, request: Request) -> None:
    refuse_own_options(kind, request)
    if kind is None or not kind.takes_columns:
        refuse_table_options(request)
    if kind is None or not (kind.takes_levels or request.labels):
        refuse_level_options(request)
