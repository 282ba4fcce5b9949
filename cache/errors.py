"""Every error that Stackbone raises on purpose.

::

    StackboneError            exit code 1
    ├── UsageError            exit code 2: the command or call was wrong; says what to type instead
    ├── DatasetError          the listing of images and labels is unusable
    │   └── DoubtError        folders can be read in two ways, and the difference matters
    ├── ImageError            one image cannot be embedded (recorded, never fatal to a run)
    │   └── NotLetInError     an option would let it in
    ├── WeightsError          weights are absent, out of reach, or not this network's
    ├── PluginError           what another package adds to Stackbone cannot be used
    ├── CacheError            the cache directory cannot be used
    │   ├── CorruptFileError  a file in it is not what the format promises
    │   └── NewerVersionError a file in it was written by a newer Stackbone; it is sound, and not ours to judge
    ├── RemoteError           a server behind a URL cannot be reached, refuses, or stays busy; also an OSError
    ├── ClusterError          machines that are to work together cannot be reached, or used
    └── StackError            the features or labels do not allow the asked evaluation
        └── ModelError        a saved model is not sound, or cannot be used with what is here

A message says what was found, what was expected, where, and what to do next. `Malformed` is none of them: it goes from
who looks at bytes to who opened the file, and becomes a `CorruptFileError` there.
"""

from __future__ import annotations


class StackboneError(Exception):
    """Base of all deliberate errors; the command line prints its message without a traceback."""

    exit_code = 1


class UsageError(StackboneError):
    """The command or call is wrong; the message names the likely right one."""

    exit_code = 2


class DatasetError(StackboneError):
    """The dataset is empty, missing, or lacks what its kind requires."""


class DoubtError(DatasetError):
    """Folders can be read in two ways; `found` says which folders, without the ways out."""

    def __init__(self, found: str, ways_out: str) -> None:
        super().__init__(f"{found} {ways_out}")
        self.found = found


class ImageError(StackboneError):
    """One image cannot be embedded; the pipeline records it and goes on."""


class NotLetInError(ImageError):
    """One image is cut short or too large; `way_out` says which option of the commands that embed would let it in."""

    def __init__(self, message: str, way_out: str) -> None:
        super().__init__(message)
        self.way_out = way_out


class WeightsError(StackboneError):
    """Weights were not found, are out of reach, or belong to another network."""


class PluginError(StackboneError):
    """What another package adds cannot be imported or used; the message names the package and how to remove it."""


class CacheError(StackboneError):
    """The cache directory is missing, not writable, or lacks what was asked for."""


class CorruptFileError(CacheError):
    """A file of the cache breaks the format: wrong checksum, shape, spec or version."""


class NewerVersionError(CacheError):
    """A file of the cache has a newer format than this Stackbone reads."""


class RemoteError(StackboneError, OSError):
    """A server behind a URL could not be asked, or refuses; its `strerror`, as of any OSError, is the reason alone.

    Where `of_one_object`, it may well be that the server gives every other object: one that cannot be read is left out
    for it, as a file is that may not be read. Any other failure ends what is done.
    """

    def __init__(self, message: str, reason: str = "", *, of_one_object: bool = False) -> None:
        super().__init__(message)
        self.strerror = reason or message
        self.of_one_object = of_one_object

    def __reduce__(self) -> tuple[type[RemoteError], tuple[str, str], dict[str, bool]]:
        return type(self), (str(self), self.strerror or ""), {"of_one_object": self.of_one_object}


def lost_server(exc: BaseException) -> RemoteError | None:
    """Return the failure of a server that an exception is, or came of; None if there is none, or one object's alone."""
    seen: set[int] = set()
    each: BaseException | None = exc
    while each is not None and id(each) not in seen:
        if isinstance(each, RemoteError) and not each.of_one_object:
            return each
        seen.add(id(each))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return None


class ClusterError(StackboneError):
    """A Ray cluster does not answer, cannot be started, or has no machine that can do the work."""


class StackError(StackboneError):
    """The features or labels do not allow the evaluation that was asked for."""


class ModelError(StackError):
    """A saved model is not sound, is of a newer version, or cannot be used with what is here."""


class Malformed(Exception):
    """A file is not what Stackbone writes; the text says in what, and who opened the file adds where and what to do."""


_MEMORY_IS_FULL = (
    "out of memory",  # torch's allocators of every device, and CUDA itself
    "allocate memory",  # torch on a CPU, and the system
    "alloc_failed",  # cuBLAS, cuDNN and cuSOLVER: CUBLAS_STATUS_ALLOC_FAILED
    "allocation_failed",  # cuDNN from 9 on: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
)


def says_memory_is_full(exc: BaseException) -> bool:
    """Return whether an error says that the memory, of this machine or of a device, is full.

    Torch raises a type of its own for its allocator alone; what a library below it runs out of comes as `RuntimeError`.
    """
    said = str(exc).lower()
    return isinstance(exc, MemoryError) or any(word in said for word in _MEMORY_IS_FULL)
