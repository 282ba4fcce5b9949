"""The frames of videos as images: each video is a group, and what folders say of it holds for its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

from stackbone.cache.errors import DatasetError, Malformed, RemoteError
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import counted
from stackbone.extract.containers.kinds.video import KIND as VIDEO
from stackbone.extract.containers.kinds.video import frame_name, open_video
from stackbone.extract.containers.opening import open_source
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.folders.listing import list_found
from stackbone.extract.datasets.folders.walking import METADATA, Found, all_files, files_below, skipped_beside
from stackbone.extract.datasets.further import Further
from stackbone.extract.datasets.kind import Entries, Listing, Request, Skipped
from stackbone.extract.datasets.listing_options import refuse_table_options
from stackbone.extract.datasets.videos.step import USUAL, Step, read_step

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Videos:
    """Videos that a request names.

    Attributes
    ----------
    title
        What the dataset is called unless the user gives it a name.
    root
        Absolute folder that paths are relative to.
    paths
        Of the videos, sorted.
    tables
        Of tables beside them.
    in_folder
        Whether a folder was named, whose inner ones say classes and splits.
    """

    title: str
    root: Path
    paths: Sequence[str]
    tables: Sequence[str] = ()
    in_folder: bool = False


def is_video(name: str) -> bool:
    """Return whether a file's name has the extension of a video."""
    return name.lower().endswith(VIDEO.extensions)


def find_videos(request: Request) -> Videos | None:
    """Return the videos that a request names; None if it names something else, or images lie beside them."""
    if request.images is not None or not request.paths or request.labels is not None:
        return None
    path = request.path
    if path is not None and os.path.isdir(path):
        found = files_below(path, request.exclude, lambda name: is_video(name) or name.lower() in METADATA)
        videos = [each for each in found if is_video(each)]
        tables = [each for each in found if not is_video(each)]
        return Videos(path.name, path, videos, tables, in_folder=True) if videos else None
    if not all(is_video(each) and (os.path.isfile(each) or path is None) for each in request.paths):
        return None
    if path is not None:
        return Videos(path.stem, path.parent, [path.name])
    root = Path(os.path.commonpath([os.path.dirname(each) for each in request.paths]))
    anchor = Anchor(root)
    return Videos(f"{root.name}-list", root, sorted({anchor.relative(each) for each in request.paths}))


def list_videos(request: Request) -> Listing:
    """List frames of videos.

    Raises
    ------
    UsageError
        If it cannot be told from `Request.every` which, or as of `list_folder`.
    DatasetError
        If no video has any, or as of `list_folder`.
    StackboneError
        If PyAV is not installed.
    """
    videos = cast(Videos, request.once("videos", find_videos))
    step = read_step(request.every or USUAL)
    frames: dict[str, list[Fraction]] = {}
    faults: dict[str, str] = {}
    for path in videos.paths:
        try:
            frames[path] = _frames(videos.root, path, step)
        except Malformed as exc:
            faults[path] = str(exc)
    if not frames:
        path, fault = next(iter(faults.items()))
        others = f", nor of {counted(len(faults) - 1, 'other')}" if len(faults) > 1 else ""
        msg = (
            f"No images: nothing can be read of {str(videos.root / path)!r} ({fault}){others}. Expected a video that "
            "can be played. Get it again, or name another."
        )
        raise DatasetError(msg)
    listing = _listed(videos, sorted(frames), request)
    entries: Entries = {}
    further: dict[str, tuple[str, ...]] = {}
    for path, times in frames.items():
        label, split, group = listing.entries[path]
        for time in times:
            frame = f"{path}/{frame_name(time)}"
            entries[frame] = (label, split, group or path)
            if path in listing.further.rows:
                further[frame] = listing.further.rows[path]
    skipped = [
        *listing.skipped,
        *_beside(videos, request),
        *(Skipped("video", f"damaged: {fault}", 1, path) for path, fault in faults.items()),
    ]
    return replace(
        listing,
        title=videos.title,
        entries=entries,
        skipped=skipped,
        notes=[*_notes(request, frames, faults), *listing.notes],
        further=Further(listing.further.names, further),
    )


def _frames(root: Path, path: str, step: Step) -> list[Fraction]:
    """Return the times of the frames that are taken of a video; `Malformed` if there are none."""
    place = os.path.join(root, path)
    try:
        with open_source(place) as stream, closing(open_video(stream, place)) as video:
            times = step.times(video)
    except RemoteError:
        raise
    except OSError as exc:
        raise Malformed(exc.strerror or str(exc)) from exc
    if not times:
        message = "it has no frames"
        raise Malformed(message)
    return times


def _listed(videos: Videos, paths: list[str], request: Request) -> Listing:
    """Return what folders and tables say of the videos."""
    if videos.in_folder:
        found = Found(images=paths, tables=list(videos.tables))
        return list_found(videos.root, found, request)
    refuse_table_options(request)
    return Listing(videos.title, videos.root, dict.fromkeys(paths, ("", "", "")))


def _beside(videos: Videos, request: Request) -> list[Skipped]:
    """Return what lies beside the videos of a folder of this machine and is not taken."""
    if not videos.in_folder or is_url(str(videos.root)):
        return []
    return skipped_beside(all_files(videos.root, request.exclude), {*videos.paths, *videos.tables})


def _notes(request: Request, frames: dict[str, list[Fraction]], faults: dict[str, str]) -> list[str]:
    n = sum(map(len, frames.values()))
    notes = [f"The images are {counted(n, 'frame')} of {counted(len(frames), 'video')}, and each video is a group."]
    if not request.every:
        notes.append("One frame a second is taken. --every 5s takes fewer, and --every 10 every tenth frame.")
    for path, fault in list(faults.items())[:_MOST_SHOWN]:
        notes.append(f"The video {path!r} is left out: {fault}. Get it again, and run again.")
    if len(faults) > _MOST_SHOWN:
        notes.append(f"{len(faults) - _MOST_SHOWN:,} more videos are left out.")
    return notes
