"""What a dataset behind a URL is, by the names of its files: a folder of images, archives, tables or videos."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stackbone.cache.errors import DatasetError, RemoteError, StackboneError, UsageError
from stackbone.cache.remote.listing import list_remote, stat_remote
from stackbone.cache.remote.url import is_url, join_url, shown
from stackbone.extract.containers.opening import open_source
from stackbone.extract.datasets.archives.found import archives_at, is_archive
from stackbone.extract.datasets.archives.samples import has_samples, list_samples
from stackbone.extract.datasets.archives.trees import list_trees
from stackbone.extract.datasets.boxes.yolo_config import YAMLS
from stackbone.extract.datasets.columns.layout import TYPED, Names, is_of_library, layout_at, layout_of_folder
from stackbone.extract.datasets.columns.listing import list_tables
from stackbone.extract.datasets.columns.opening import opened
from stackbone.extract.datasets.files.annotated import find_annotated, may_be_annotated
from stackbone.extract.datasets.files.listed import by_folder
from stackbone.extract.datasets.files.remote import RemoteFiles
from stackbone.extract.datasets.folders.extensions import NO_IMAGE, is_image_name, why_not
from stackbone.extract.datasets.folders.listing import list_found
from stackbone.extract.datasets.folders.pruning import Exclusion, is_system_file, is_system_folder
from stackbone.extract.datasets.folders.walking import METADATA, Found, skipped_beside
from stackbone.extract.datasets.kind import KINDS, DatasetKind, Listing, PassedOver, Request
from stackbone.extract.datasets.kinds.images import several_sorts_message
from stackbone.extract.datasets.kinds.table import TABLES
from stackbone.extract.datasets.remote.root import common_root, remote_root
from stackbone.extract.datasets.remote.tables import copied, list_table
from stackbone.extract.datasets.videos.listing import Videos, is_video, list_videos

_NOTHING = ("", "", "")


@dataclass(frozen=True)
class Remote:
    """What lies behind the URLs of a request.

    Attributes
    ----------
    kind
        Of dataset.
    read
        Lists it.
    """

    kind: DatasetKind
    read: Callable[[Request], Listing]


def find_remote(request: Request) -> Remote | None:
    """Return what lies behind the URLs that a request names; None if it names files of this machine.

    Raises
    ------
    UsageError
        If it names both, or a table of labels besides.
    DatasetError
        If nothing is there, or nothing that is a dataset.
    RemoteError
        If the server cannot be reached or refuses.
    """
    urls = [path for path in request.paths if is_url(path)]
    if not urls:
        return None
    if len(urls) < len(request.paths):
        msg = (
            f"The list holds URLs such as {shown(urls[0])!r} and files of this machine. Expected one of the two. Name "
            "them in two commands, each with --dataset NAME."
        )
        raise UsageError(msg)
    if signed := next((url for url in urls if "?" in url), None):
        msg = (
            f"{shown(signed)!r} has a query, which may hold a signature, and would be kept in the index. Expected a "
            "URL without one. Leave it out, give credentials as docs/object-stores.md says, or download the file."
        )
        raise UsageError(msg)
    if request.labels is not None:
        msg = (
            f"--labels corrects labels of a folder on this machine, and {shown(urls[0])!r} is a URL. Leave --labels "
            "out, and put a table metadata.csv beside the images there."
        )
        raise UsageError(msg)
    if len(urls) > 1:
        return _of_files(request, urls)
    folder, _, name = urls[0].rpartition("/")
    if not _is_file(urls[0]):
        return _of_folder(request, urls[0])
    return _of_folder(request, folder, name) if name.lower().endswith(YAMLS) else _of_files(request, urls)


def _is_file(url: str) -> bool:
    """Return whether a URL is that of a file, by its ending and, as a folder may have one, by the server's word."""
    name = url.rpartition("/")[2].lower()
    if not (name.endswith((*TYPED, *TABLES, *YAMLS)) or is_archive(name) or is_video(name) or is_image_name(name)):
        return False
    try:
        stat_remote(url)
    except FileNotFoundError:
        return False
    return True


def _of_files(request: Request, urls: Sequence[str]) -> Remote:
    root, paths = common_root(urls)
    title = Path(paths[0]).stem if len(paths) == 1 else f"{root.name}-list"
    if all(path.lower().endswith(TYPED) for path in paths):
        layout = layout_at(root, title, sorted(set(paths)))
        tables = Remote(KINDS["columns"], lambda given: list_tables(given, layout))
        is_meant = len(paths) > 1 or _holds_images(request, layout.files[0], root)
        return tables if is_meant else _table(urls[0], title)
    if all(map(is_archive, paths)):
        archives = archives_at(root, title, paths)
        request.known["archives"] = archives if len(paths) > 1 else replace(archives, folders=[""], note="")
        return _archives(request)
    if all(map(is_video, paths)):
        request.known["videos"] = Videos(title, root, sorted(set(paths)))
        return Remote(KINDS["video"], list_videos)
    if all(map(is_image_name, paths)):
        return Remote(KINDS["images"], lambda _: Listing(title, root, dict.fromkeys(paths, _NOTHING)))
    if len(paths) == 1 and paths[0].lower().endswith(TABLES):
        return _table(urls[0], title)
    raise UsageError(several_sorts_message("A list of URLs", shown(urls[0])))


def _table(url: str, title: str) -> Remote:
    return Remote(KINDS["table"], lambda request: list_table(request, url, title))


def _holds_images(request: Request, file: str, root: Path) -> bool:
    from stackbone.extract.datasets.kinds.columns import holds_images

    try:
        with opened(root, file) as rows:
            return holds_images(root, file, rows, request)
    except DatasetError:
        return True  # whoever reads it says what is wrong


def _archives(request: Request) -> Remote:
    if has_samples(request):
        return Remote(KINDS["webdataset"], list_samples)
    return Remote(KINDS["archive"], list_trees)


def _of_folder(request: Request, url: str, file: str = "") -> Remote:
    """Return what a folder holds, of which a file of annotations may have been named."""
    found, others, excluded = _found(url, request.exclude)
    if (annotated := _annotated(request, url, [*others, *excluded, *found.images, *found.tables], file)) is not None:
        return annotated
    if file:
        msg = (
            f"{shown(join_url(url, file))!r} is no file of a dataset in the form of YOLO. Expected its splits under "
            "train, val or test, and the names of classes. Name that file, or the folder."
        )
        raise DatasetError(msg)
    root, title = remote_root(url), url.rpartition("/")[2]
    names = _by_folder([*found.images, *found.tables, *others])
    beside = [path for path in (*found.tables, *others) if not is_of_library(path.rpartition("/")[2])]
    layout = layout_of_folder(root, lambda path, _: names.get(path, Names()))
    if layout is not None and (layout.is_saved or not found.images or _outnumbers(request, root, layout.files, found)):
        tables = Remote(KINDS["columns"], lambda given: list_tables(given, layout))
        return _with_others(tables, beside, layout.files)
    archives = [path for path in others if is_archive(path)]
    if archives and not found.images:
        request.known["archives"] = archives_at(
            root, title, archives, [path for path in beside if not is_archive(path)]
        )
        return _archives(request)
    videos = [path for path in others if is_video(path)]
    if videos and not found.images:
        request.known["videos"] = Videos(title, root, sorted(videos), found.tables, in_folder=True)
        return _with_others(Remote(KINDS["video"], list_videos), beside, [*videos, *found.tables])
    if not found.images and not others:
        msg = (
            f"Nothing lies behind {shown(url)!r}. Expected images, archives, videos or tables with a column of images. "
            "Check the URL for a slip."
        )
        raise DatasetError(msg)
    for path in others:
        found.skip_file(why_not(Path(path).suffix.lower()) or NO_IMAGE, path)
    return Remote(KINDS["folder"], lambda given: _list_folder(given, root, found))


def _annotated(request: Request, url: str, paths: Sequence[str], file: str) -> Remote | None:
    """Return what files below a URL are whose annotations are of a known form; None where they have none."""
    if not may_be_annotated(paths):
        return None
    files = RemoteFiles(by_folder(paths), frozenset(paths), exclude=request.exclude, url=url)
    found = find_annotated(files, file)
    if found is None or isinstance(found, PassedOver):
        request.known["annotations"] = found
        return None
    kind, read = found
    return Remote(kind, lambda request: read(request.columns.label is not None))


def _with_others(remote: Remote, paths: Sequence[str], taken: Sequence[str]) -> Remote:
    """Return the same, but that it counts what lies in the folder and is not taken."""

    def read(request: Request) -> Listing:
        listing = remote.read(request)
        return replace(listing, skipped=[*listing.skipped, *skipped_beside(paths, frozenset(taken))])

    return Remote(remote.kind, read)


def _outnumbers(request: Request, root: Path, files: Sequence[str], found: Found) -> bool:
    """Return whether a table beside some images holds more of them than these are."""
    try:
        with opened(root, files[0]) as rows:
            return rows.n_rows > len(found.images) and _holds_images(request, files[0], root)
    except RemoteError:
        raise
    except StackboneError:
        return False


def _found(url: str, exclusion: Exclusion) -> tuple[Found, list[str], list[str]]:
    """Return images and tables beside them below a URL, other files, and those that the user leaves out.

    What is hidden, or a system's, is among none of these.
    """
    found, others, excluded = Found(sorts=defaultdict(Counter)), [], []
    for entry in list_remote(url, "**"):
        path = entry.url[len(url) :].lstrip("/")
        *folders, name = path.split("/")
        if any(part.startswith(".") for part in path.split("/")) or any(map(is_system_folder, folders)):
            found.skip("hidden", "hidden, or a system's", path)
        elif is_system_file(name) or not name:
            continue
        elif exclusion and exclusion.covers_path(path):
            excluded.append(path)
            found.skip(Path(name).suffix.lower() or "no extension", "excluded", path)
        elif is_image_name(name):
            found.images.append(path)
        elif name.lower() in METADATA:
            found.tables.append(path)
        else:
            others.append(path)
    found.images.sort()
    return found, sorted(others), excluded


def _by_folder(paths: Sequence[str]) -> dict[str, Names]:
    names: dict[str, Names] = defaultdict(Names)
    for path in paths:
        folder, _, name = path.rpartition("/")
        names[folder].add(name)
        while folder:
            above, _, own = folder.rpartition("/")
            if own in names[above].folders:
                break
            names[above].folders.append(own)
            folder = above
    return dict(names)


def _list_folder(request: Request, root: Path, found: Found) -> Listing:
    with _tables_here(root, found.tables) as tables:
        return list_found(root, found, request, tables=tables)


@contextmanager
def _tables_here(root: Path, paths: Sequence[str]) -> Iterator[Path]:
    """Give a folder with copies of the tables beside images."""
    with tempfile.TemporaryDirectory(prefix="stackbone-") as folder:
        for path in paths:
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_source(str((root / path).as_posix())) as stream:
                target.write_bytes(copied(stream, str(root / path)))
        yield Path(folder)
