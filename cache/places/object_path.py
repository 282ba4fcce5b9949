"""A place on an object store, with those members of `pathlib.Path` that a cache needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from stackbone.cache.places.listings import LISTINGS
from stackbone.cache.remote.listing import RemoteEntry, stat_remote
from stackbone.cache.remote.objects import copy_object, delete_object, get_object, put_object
from stackbone.cache.remote.url import join_url, shown


@dataclass(frozen=True, order=True, repr=False)
class ObjectPath:
    """A URL, of an object or of a folder of them. A folder is there as long as something is in it.

    Attributes
    ----------
    url
        Without a slash at its end, such as ``s3://bucket/features``.
    """

    url: str

    def __post_init__(self) -> None:
        protocol, _, place = self.url.partition("://")
        object.__setattr__(self, "url", f"{protocol.lower()}://{place.rstrip('/')}")

    def __str__(self) -> str:
        return shown(self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(join_url(self.url, name))

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        name, dot, _ = self.name.rpartition(".")
        return name if dot and name else self.name

    @property
    def parent(self) -> ObjectPath:
        """The folder that it is in."""
        return ObjectPath(self.url.rpartition("/")[0])

    def is_dir(self) -> bool:
        """Return whether anything is in it."""
        listing = LISTINGS.of(self.url)
        return bool(listing.files or listing.folders)

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield what is in it."""
        listing = LISTINGS.of(self.url)
        yield from (self / name for name in {*listing.files, *listing.folders})

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Yield the objects below it whose names fit, such as ``*.h5``; a slash in a pattern parts folders."""
        first, slash, rest = pattern.partition("/")
        listing = LISTINGS.of(self.url)
        if not slash:
            yield from (self / name for name in listing.files if fnmatch.fnmatchcase(name, first))
        else:
            for name in sorted(listing.folders):
                if fnmatch.fnmatchcase(name, first):
                    yield from (self / name).glob(rest)

    def exists(self) -> bool:
        """Return whether there is such an object."""
        return self.name in LISTINGS.of(self.parent.url).files

    def entry(self) -> RemoteEntry:
        """Return what the server says of it; FileNotFoundError if it is gone."""
        listed = LISTINGS.of(self.parent.url).files.get(self.name)
        return listed if listed and listed.size >= 0 else stat_remote(self.url)  # web servers list names alone

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Return its bytes, or some of them, as `get_object`."""
        try:
            return get_object(self.url, start, end)
        except FileNotFoundError:
            LISTINGS.outdate(self.url)  # or whoever looks what took its place would be told of it again
            raise

    def put(self, content: bytes, *, never_changes: bool = False) -> None:
        """Write it whole, as `put_object`."""
        try:
            put_object(self.url, content, never_changes=never_changes)
        finally:
            LISTINGS.outdate(self.url)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove it; what others write while it is being removed stays.

        Raises
        ------
        FileNotFoundError
            If it is not there, unless `missing_ok`. Of two that remove it in the same moment none may be told so.
        RemoteError, UsageError
            As of `delete_object`.
        """
        try:
            delete_object(stat_remote(self.url))
        except FileNotFoundError:
            if not missing_ok:
                raise
        finally:
            LISTINGS.outdate(self.url)

    def rmdir(self) -> None:
        """Do nothing: the last object in a folder takes it along."""

    def rename(self, target: ObjectPath, seen: RemoteEntry) -> bool:
        """Copy it to another name, which nobody else writes, and remove it once the copy is there.

        Parameters
        ----------
        seen
            What the server said of it, when it was found to be what is to be moved.

        Returns
        -------
        bool
            Whether it was moved. Where others have written it since it was seen, all is left as it is.

        Raises
        ------
        FileNotFoundError
            If it is gone.
        RemoteError, UsageError
            As of `copy_object`.
        """
        try:
            if stat_remote(self.url) != seen:
                return False
            copy_object(seen, target.url)
            if stat_remote(self.url) == seen and delete_object(seen):
                return True
            delete_object(stat_remote(target.url))
            return False
        finally:
            LISTINGS.outdate(self.url)
            LISTINGS.outdate(target.url)

    def stat(self) -> RemoteEntry:
        """Return what the server says of it now; FileNotFoundError if it is gone."""
        try:
            return stat_remote(self.url)
        except FileNotFoundError:
            LISTINGS.outdate(self.url)
            raise
