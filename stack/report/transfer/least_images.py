"""The image files of the source images that help least, by their place in the list."""

from __future__ import annotations

from stackbone.cache import CacheError, DatasetIndex, FeatureStore
from stackbone.cache.disk.reading import ListedFile
from stackbone.stack.report.images import ReportImage
from stackbone.stack.transfer.results.told import Told


def least_images(told: Told, store: FeatureStore) -> tuple[dict[int, ReportImage], str | None]:
    """Find the files of the images that help least.

    Parameters
    ----------
    told : TransferExperiment or TransferResult
        What names them.
    store : FeatureStore
        The cache whose datasets list them.

    Returns
    -------
    images : dict of int to ReportImage
        By place in the list; those that their dataset lists no longer are left out.
    why_none : str or None
        Why there is none at all; None where there are some.
    """
    try:
        names = {told.dataset or each.domain for each in told.explanation.least}
        indexes = {name: store.dataset(name) for name in sorted(names)}
    except CacheError as exc:
        return {}, str(exc)
    rows = {name: {path: row for row, path in enumerate(index.path)} for name, index in indexes.items()}
    found: dict[int, ReportImage] = {}
    for place, each in enumerate(told.explanation.least):
        name = told.dataset or each.domain
        row = rows[name].get(each.path)
        if row is not None:
            found[place] = ReportImage(each.label, _listed(indexes[name], row, each.sha256))
    why = f"{', '.join(sorted(names))} lists none of them now" if names else "the result names none"
    return found, None if found else why


def _listed(index: DatasetIndex, row: int, sha256: str) -> ListedFile:
    """Return a file with the digest that was recorded, or else the one that is listed now."""
    try:
        digest = bytes.fromhex(sha256)
    except ValueError:
        digest = b""
    return ListedFile(index.root, index.path[row], digest or index.image_sha256[row].tobytes())
