"""An index of a feature set by faiss, kept for later: it answers in a moment, and may miss some of the nearest.

Images are divided into cells by k-means, and of a query the cells nearest to it alone are looked through (an inverted
file: Jégou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search", IEEE TPAMI 33(1), section IV),
their features in float16. Indexes are kept in a folder of the user's, as converted networks are: a cache may be
anybody's, and faiss reads its files with trust.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError
from stackbone.cache.disk.files import fsync_folder, make_folder
from stackbone.cache.progress import Progress
from stackbone.stack.exploring.explored import Explored
from stackbone.stack.exploring.nearest import Nearest
from stackbone.stack.models.unlike.novelty import unit_rows

MANY = 1_000_000
"""Images above which an index is made, where faiss is installed."""

_CELLS_OF_ROOT = 2  # cells, as a multiple of the square root of the number of images
_TRAINED_OF_CELL = 40  # images that cells are learnt from; faiss warns below 39
_PROBED, _LEAST_PROBED = 16, 8  # one in so many cells is looked through, and so many at least


def is_installed() -> bool:
    """Return whether faiss can be imported."""
    try:
        import faiss  # noqa: F401 - asked, not used
    except ImportError:
        return False
    return True


def index_folder() -> Path:
    """Return where indexes are kept: ``STACKBONE_SEARCH``, else ``~/.cache/stackbone/search``."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.path.expanduser(os.environ.get("STACKBONE_SEARCH") or os.path.join(home, "stackbone", "search")))


@dataclass(frozen=True)
class Approximate:
    """Looks through a part of the images.

    Attributes
    ----------
    index : faiss.IndexIVF
        Of features of length 1, whose numbers are the places of images.
    """

    index: Any

    def nearest(self, queries: NDArray[np.float32], k: int, own: NDArray[np.int64]) -> Nearest:
        """Return k near images: more cells are looked through until there are so many."""
        n_cells = int(self.index.nlist)
        probed = min(n_cells, max(_LEAST_PROBED, n_cells // _PROBED))
        while True:
            self.index.nprobe = probed
            cosines, places = self.index.search(queries, k + 1)
            meant = (places >= 0) & (places != own[:, None])
            if (meant.sum(axis=1) >= k).all() or probed >= n_cells:
                break
            probed = min(n_cells, 4 * probed)
        order = np.argsort(~meant, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(places, order, axis=1).astype(np.int64)
        return Nearest(found, np.minimum(np.take_along_axis(cosines, order, axis=1), 1))

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images, as the index has them."""
        self.index.make_direct_map()
        return unit_rows(np.stack([self.index.reconstruct(int(place)) for place in places]))


def open_index(explored: Explored, name: str, seed: int, report: Progress) -> Approximate:
    """Return the index of a feature set over the images explored: the one that is kept, or one made now, and kept.

    Raises
    ------
    CacheError
        If it cannot be kept.
    """
    images = hashlib.sha256(explored.digests.tobytes()).hexdigest()[:12]
    file = index_folder() / f"{explored.sets[name].id}-{images}.faiss"
    kept = _read(file, len(explored), explored.sets[name].header().dim)
    if kept is None:
        kept = _make(explored, name, seed, report)
        _keep(kept, file)
    return Approximate(kept)


def _read(file: Path, n: int, dim: int) -> Any:  # noqa: ANN401 - faiss has no types
    """Return a kept index; None where there is none that serves."""
    import faiss

    if not file.is_file():
        return None
    try:
        index = faiss.read_index(os.fspath(file), faiss.IO_FLAG_MMAP)
    except RuntimeError:  # cut short, or of another faiss: it is made again
        return None
    return index if (index.ntotal, index.d) == (n, dim) else None


def _make(explored: Explored, name: str, seed: int, report: Progress) -> Any:  # noqa: ANN401 - as above
    n, features = len(explored), explored.sets[name]
    chosen = trained_rows(n, seed)
    report("index", 0, n)
    sample = features.load(explored.digests[chosen], unit_rows)

    def told() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        done = 0
        for places, x in explored.stream(name):
            yield places, x
            done += len(places)
            report("index", done, n)

    return make_index(sample, told(), seed)


def trained_rows(n: int, seed: int) -> NDArray[np.int64]:
    """Return the rows, of n, that the cells of an index are learnt from."""
    n_cells = max(1, min(int(_CELLS_OF_ROOT * n**0.5), n // _TRAINED_OF_CELL))
    return np.sort(np.random.default_rng(seed).choice(n, min(n, _TRAINED_OF_CELL * n_cells), replace=False))


def make_index(
    sample: NDArray[np.float32], blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]], seed: int
) -> Any:  # noqa: ANN401 - as above
    """Return an index of rows of length 1.

    Parameters
    ----------
    sample
        ``(n_trained, dim)`` rows that `trained_rows` chose.
    blocks
        ``(m,)`` places and ``(m, dim)`` rows, every row once.
    seed
        Of the cells.
    """
    import faiss

    n_cells = max(1, len(sample) // _TRAINED_OF_CELL)
    index: Any = faiss.index_factory(sample.shape[1], f"IVF{n_cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = seed + 1
    index.train(np.ascontiguousarray(sample))
    for places, x in blocks:
        if len(places):
            index.add_with_ids(x, places)
    return index


def _keep(index: Any, file: Path) -> None:  # noqa: ANN401 - as above
    """Write an index whole or not at all."""
    import faiss

    draft = file.with_name(f".{uuid.uuid4()}")
    try:
        make_folder(file.parent)
        faiss.write_index(index, os.fspath(draft))
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(file)
        fsync_folder(file.parent)
    except (CacheError, OSError, RuntimeError) as exc:
        with contextlib.suppress(OSError):
            draft.unlink()
        message = (
            f"the index could not be kept in {file.parent} ({exc}). Free space, name another folder with "
            "STACKBONE_SEARCH, or compare with every image: --exact"
        )
        raise CacheError(message) from exc


def about(names: Sequence[str]) -> str:
    """Return what a reader should know of answers of an index."""
    return (
        f"an index in {index_folder()} answered for {', '.join(names)}, and may have missed some of the nearest; "
        "--exact compares with every image"
    )
