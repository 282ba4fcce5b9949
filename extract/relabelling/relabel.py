"""Correct labels of a dataset in the cache: beside its index, never in the user's files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import DatasetIndex, FeatureStore, as_keys
from stackbone.cache.corrections.batch import Batch
from stackbone.cache.csv_text import unguarded
from stackbone.cache.errors import DatasetError
from stackbone.cache.records.indexes.index import uncorrected
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import counted
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.written import plain_path
from stackbone.extract.relabelling.corrected_labels import check_labels, in_form, label_notes
from stackbone.extract.relabelling.fixes import FORMER, Fix, read_fixes


@dataclass(frozen=True, eq=False, repr=False)
class Relabelled:
    """What a table of corrections did.

    Attributes
    ----------
    dataset : str
        Its name.
    path, label, was : list of str
        Of every file whose label was corrected, copies of one image among them: its path, its label now (``""`` for
        none) and the label that it had.
    n_images : int
        Images among these files: copies are one.
    n_same : int
        Rows whose images had that label already.
    gone : list of str
        Paths of rows that name no image of the dataset.
    unread : list of str
        Paths of images that could not be read, and so cannot be known again.
    outdated : list of tuple of str
        Path, label that the row says the image has, and label that it has: these were not corrected. Copies of images
        that the table names are among them.
    notes : list of str
        What a reader should know, in sentences.
    """

    dataset: str
    path: list[str]
    label: list[str]
    was: list[str]
    n_images: int
    n_same: int
    gone: list[str]
    unread: list[str]
    outdated: list[tuple[str, str, str]]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<Relabelled {self.dataset}: {counted(self.n_images, 'label')} corrected>"

    def columns(self) -> dict[str, list[str]]:
        """Return what was corrected by column, those of a table of corrections."""
        return {"path": self.path, "label": self.label, "was": self.was}

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each file whose label was corrected."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        rows = zip(self.path, self.label, self.was, strict=True)
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_same": self.n_same,
            "corrected": [{"path": path, "label": label, "was": was} for path, label, was in rows],
            "gone": self.gone,
            "unread": self.unread,
            "outdated": [{"path": path, "was": was, "has": has} for path, was, has in self.outdated],
            "notes": self.notes,
        }


def relabel(
    fixes: str | os.PathLike[str],
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    encoding: str = "",
    keep_na: bool = False,
) -> Relabelled:
    """Correct labels of a dataset by a table; every later use of the dataset takes them.

    Corrections lie in the cache, beside the dataset's index, and outlive a new `extract` of the same images. An image
    is known by its bytes, so all its copies in the dataset get the label, whatever they are called.

    Parameters
    ----------
    fixes
        A table, CSV, TSV or Parquet, with the columns ``path`` (as the dataset has it), ``label`` (the right one;
        empty: none) and perhaps ``was``: where the dataset has another label by now, the row is passed over.
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    path_column, label_column, encoding, keep_na
        How the table is read, as of `open_dataset`.

    Returns
    -------
    Relabelled

    Raises
    ------
    UsageError
        A column is missing, or a name is unknown.
    DatasetError
        The table cannot be read, no row names an image of the dataset, or a label is not of the dataset's form.
    CacheError
        The cache lacks the dataset, is damaged, or cannot be written.
    """
    file = Path(fixes)
    store = store or FeatureStore()
    index = store.dataset(dataset)
    wanted = TableColumns(path=path_column, label=label_column, encoding=encoding, keep_na=keep_na, former=FORMER)
    rows, notes = read_fixes(file, wanted)
    looked = _Looked(index)
    found = _matched(looked, rows, file)
    check_labels(index, found.label, file)
    corrected = [(row, label) for row, label in zip(found.rows, found.label, strict=True) if index.label[row] != label]
    own = uncorrected(index)
    of_files = [row for row, _ in corrected]
    if corrected:
        batch = Batch(
            path=[index.path[row] for row in of_files],
            label=[label for _, label in corrected],
            was=[own.label[row] for row in of_files],
            image_sha256=index.image_sha256[of_files],
            label_form=index.label_form,
            source=file.name[:200],
        )
        store.add_corrections(index.name, batch)
    return Relabelled(
        dataset=index.name,
        path=[index.path[row] for row in of_files],
        label=[label for _, label in corrected],
        was=[index.label[row] for row in of_files],
        n_images=len(np.unique(as_keys(index.image_sha256[of_files]))),
        n_same=found.n_same,
        gone=found.gone,
        unread=found.unread,
        outdated=found.outdated,
        notes=[*notes, *label_notes(index, corrected)],
    )


@dataclass(frozen=True, eq=False)
class _Found:
    rows: list[int]  # of the index, with copies
    label: list[str]
    n_same: int
    gone: list[str]
    unread: list[str]
    outdated: list[tuple[str, str, str]]


class _Looked:
    """Rows of an index by path, as people write paths, and by image."""

    def __init__(self, index: DatasetIndex) -> None:
        self.index = index
        self._by_path = {path: row for row, path in enumerate(index.path)}
        self._anchor = None if index.in_memory or is_url(index.root) else Anchor(Path(index.root))
        self._files: dict[bytes, list[int]] = {}
        for row, digest in enumerate(index.image_sha256):
            self._files.setdefault(digest.tobytes(), []).append(row)

    def find(self, path: str) -> int | None:
        """Return the row of a path; None if the dataset has none."""
        for written in (path, unguarded(path), plain_path(unguarded(path))):
            near = written if self._anchor is None else self._anchor.relative(written)
            if (row := self._by_path.get(written, self._by_path.get(near))) is not None:
                return row
        return None

    def files(self, row: int) -> list[int]:
        """Return the rows of all copies of an image."""
        return self._files[self.index.image_sha256[row].tobytes()]


def _matched(looked: _Looked, fixes: Sequence[Fix], file: Path) -> _Found:
    """Return which rows of the index get which label."""
    index = looked.index
    labels = in_form(index, [fix.label for fix in fixes], file)
    befores = in_form(index, [fix.was or "" for fix in fixes], file)
    found = _Found([], [], 0, [], [], [])
    n_same = 0
    listed: list[tuple[int, str, Fix]] = []  # row, its label in the index's form, and what the table says
    for fix, label, before in zip(fixes, labels, befores, strict=True):
        row = looked.find(fix.path)
        if row is None:
            found.gone.append(fix.path)
            continue
        if not index.ok[row]:
            found.unread.append(fix.path)
            continue
        has = index.label[row]
        if has == label:
            n_same += 1
            if not label:  # a row that nobody filled in says nothing, of copies neither
                continue
        elif fix.was is not None and before != has:
            found.outdated.append((fix.path, before, has))
            continue
        listed.append((row, label, fix if fix.was is None else replace(fix, was=before)))
    if fixes and len(found.gone) == len(fixes):
        raise DatasetError(_none_found(index, fixes, file))
    chosen, passed_over = _with_copies(looked, listed, file)
    outdated = [*found.outdated, *passed_over]
    return _Found([*chosen], [*chosen.values()], n_same, found.gone, found.unread, outdated)


def _with_copies(
    looked: _Looked, listed: Sequence[tuple[int, str, Fix]], file: Path
) -> tuple[dict[int, str], list[tuple[str, str, str]]]:
    """Return the label of each row of the index, copies with it, and copies that have another label than was said."""
    chosen: dict[int, str] = {}
    passed_over: dict[int, tuple[str, str, str]] = {}
    of_image: dict[bytes, tuple[str, str]] = {}
    index, named = looked.index, {row for row, _, _ in listed}
    for row, label, fix in listed:
        other, others_label = of_image.setdefault(index.image_sha256[row].tobytes(), (fix.path, label))
        if others_label != label:
            msg = (
                f"Two rows of {str(file)!r} disagree about one image: {fix.path!r} gets the label {label!r}, and "
                f"{other!r}, which has the same bytes, {others_label!r}. Expected one label. Delete one row."
            )
            raise DatasetError(msg)
        for each in looked.files(row):
            has = index.label[each]
            if each in named or fix.was is None or has in (label, fix.was):
                chosen[each] = label
            else:
                passed_over[each] = (index.path[each], fix.was, has)
    return chosen, [said for each, said in passed_over.items() if each not in chosen]


def _none_found(index: DatasetIndex, fixes: Sequence[Fix], file: Path) -> str:
    such = f"the dataset's are such as {index.path[0]!r}" if index.path else "the dataset has no files"
    return (
        f"None of the {counted(len(fixes), 'path')} of {str(file)!r} is in the dataset {index.name!r}; the first "
        f"is {fixes[0].path!r}, and {such}. Write paths as the dataset has them, or name another dataset with "
        "--dataset."
    )
