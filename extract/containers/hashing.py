"""Images inside containers, hashed as they lie there: each container is read once, from its start to its end."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from threading import Lock

from stackbone.cache import FileStamps, ImageError, sha256_file, usable_cores
from stackbone.cache.disk.reading import place_in
from stackbone.cache.errors import Malformed, lost_server
from stackbone.cache.remote.objects import get_object
from stackbone.cache.remote.url import is_url
from stackbone.extract.containers.container import Container
from stackbone.extract.containers.opening import open_container
from stackbone.extract.containers.place import split_place
from stackbone.extract.containers.stamps import stamps_of

_SMALL_BYTES = 32 << 10


class InsideContainers:
    """The images of a dataset that lie inside containers; see `stackbone.cache.disk.digest.Inside`.

    Parameters
    ----------
    root
        Folder that the dataset's paths are relative to.
    on_image
        Called with the SHA-256 and the bytes of each image that is hashed, while they are at hand.
    """

    def __init__(self, root: str, on_image: Callable[[bytes, bytes], None] | None = None) -> None:
        self._root = root
        self._on_image = on_image
        self._lock = Lock()
        self._last = ""
        self._plain: str | None = None  # a folder in no container, nor are the files in it

    def file_of(self, path: str) -> str:
        """Return the container that an image lies in, relative to the root as the image; its path if it is a file."""
        if self._last and path.startswith(f"{self._last}/"):
            return self._last
        folder = path[: path.rfind("/") + 1]
        if folder == self._plain:
            return path
        inside = split_place(self._root, path)
        if inside is None:
            self._plain = folder
            return path
        self._last = path[: -len(inside[1]) - 1]
        return self._last

    def digests(self, file: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        """Yield the path of each image that is wanted of a container, with its SHA-256, or why it cannot be read."""
        missing = dict.fromkeys(path[len(file) + 1 :] for path in paths)
        try:
            with closing(open_container(place_in(self._root, file))) as container:
                fault = ""
                try:
                    for name, digest in self._hash(container, frozenset(missing)):
                        del missing[name]
                        yield f"{file}/{name}", digest
                except Malformed as exc:
                    fault = f"its container is damaged: {exc}"
                for name in missing:
                    yield f"{file}/{name}", fault or _why_not(container, name)
        except OSError as exc:
            if lost_server(exc):  # no fault of the container's
                raise
            yield from ((f"{file}/{name}", exc.strerror or str(exc)) for name in missing)
        except Malformed as exc:
            yield from ((f"{file}/{name}", f"its container is damaged: {exc}") for name in missing)

    def stamps(self, files: Sequence[str]) -> tuple[FileStamps, list[str]]:
        """Return the stamps of files as they are now, and for each ``""`` or why it has none."""
        return stamps_of(self._root, files)

    def sha256(self, file: str) -> bytes:
        """Return the SHA-256 of an image that is a file of its own; `OSError` if it cannot be read."""
        place = place_in(self._root, file)
        if not is_url(place):
            return sha256_file(place)
        content = get_object(place)
        digest = _sha256(content)
        if self._on_image is not None:
            with self._lock:  # several threads are here at once
                self._on_image(digest, content)
        return digest

    def is_dated(self, file: str) -> bool:
        """Return whether time alone tells that a file changed, as on this machine."""
        return not is_url(place_in(self._root, file))

    def _hash(self, container: Container, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Yield names and digests, reading a few images ahead."""
        waiting: deque[tuple[str, bytes, Future[bytes]]] = deque()
        n_ahead = usable_cores() + 1
        fault: Malformed | None = None
        with ThreadPoolExecutor(n_ahead) as pool:
            try:
                for name, content in container.stream(wanted):
                    if len(content) <= _SMALL_BYTES:  # hashed sooner than handed over
                        yield self._hashed(name, content, _sha256(content))
                        continue
                    waiting.append((name, content, pool.submit(_sha256, content)))
                    if len(waiting) > n_ahead:
                        yield self._hashed(*_next(waiting))
            except Malformed as exc:  # what came before is sound
                fault = exc
            while waiting:
                yield self._hashed(*_next(waiting))
        if fault:
            raise fault

    def _hashed(self, name: str, content: bytes, digest: bytes) -> tuple[str, bytes]:
        if self._on_image is not None:
            self._on_image(digest, content)
        return name, digest


def _next(waiting: deque[tuple[str, bytes, Future[bytes]]]) -> tuple[str, bytes, bytes]:
    name, content, digest = waiting.popleft()
    return name, content, digest.result()


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _why_not(container: Container, name: str) -> str:
    """Return why a member was passed over."""
    try:
        container.read(name)
    except (ImageError, Malformed) as exc:
        return str(exc)
    return "it could be read the second time only; run again"
