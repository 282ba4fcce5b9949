"""What the files beside images say, as columns: which is the label, the split, the group, and what others are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stackbone.cache.errors import UsageError
from stackbone.cache.hdf5.text_table import MOST_KEPT
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import typed
from stackbone.extract.datasets.further import Further, gather
from stackbone.extract.datasets.kind import Entries, TableColumns
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK, cell_text, list_text
from stackbone.extract.datasets.tables.columns import KNOWN_NAMES, choose_columns, plain_name
from stackbone.extract.datasets.tables.limits import MOST_FURTHER
from stackbone.extract.datasets.tables.marks import read_marks

_IMAGE = "(image)"  # stands for the column of paths, which samples have none of
_MOST_NAMES = 1000
_FEW = 2  # images that a text stands for at least, on average, to be a class and no caption


class SampleColumns:
    """Columns that grow by a row for each image; a column is text, and a cell that says nothing is ``""``.

    Parameters
    ----------
    wanted
        The columns' names as the user gave them.
    """

    def __init__(self, wanted: TableColumns) -> None:
        self._wanted = wanted
        self._n = 0
        self._is_full = False
        self._columns: dict[str, list[str]] = {}
        self._lists: set[str] = set()
        self._nested: set[str] = set()
        self._shared: dict[str, str] = {}  # most cells are one of few texts

    def add(self, row: dict[str, object]) -> None:
        """Add what is said of the next image."""
        if not self._is_full and self._n * len(self._columns) > MOST_FURTHER:
            self._is_full = True
            self._columns = {name: cells for name, cells in self._columns.items() if self._may_be_marks(name)}
        for name, value in row.items():
            is_taken = self._may_be_marks(name) or not self._is_full
            if name not in self._columns and is_taken and len(self._columns) < _MOST_NAMES:
                self._columns[name] = [""] * self._n
            if name in self._columns and len(self._columns[name]) == self._n:
                self._columns[name].append(self._cell(name, value))
        self._n += 1
        for cells in self._columns.values():
            if len(cells) < self._n:
                cells.append("")

    def _may_be_marks(self, name: str) -> bool:
        """Return whether a column may be that of the labels, splits or groups."""
        named = {self._wanted.label, self._wanted.split, self._wanted.group, *self._wanted.labels}
        return name in named or name in ("cls", "txt") or plain_name(name) in KNOWN_NAMES

    def _cell(self, name: str, value: object) -> str:
        if isinstance(value, list) and not any(isinstance(each, list | dict) for each in value):
            self._lists.add(name)
            text = list_text(value)
        elif isinstance(value, list | dict):
            self._nested.add(name)
            return ""
        else:
            text = cell_text(value)
        text = text[: MOST_KEPT + 1]
        return self._shared.setdefault(text, text) if len(self._shared) < _MOST_NAMES else self._shared.get(text, text)

    def read(self, paths: Sequence[str], splits: Sequence[str]) -> tuple[Entries, list[str], Further, str]:
        """Return the images with their labels, splits and groups, notes, further columns, and the form of the labels.

        Parameters
        ----------
        paths
            Of the images, one for each row.
        splits
            What names of archives say, where no column does.

        Raises
        ------
        UsageError
            If a column is missing that was named; the message names the nearest one.
        DatasetError
            As of `read_sets`.
        """
        table, wanted = Path("the samples"), self._wanted
        if wanted.path != TableColumns().path:
            message = (
                f"{typed('--path-column', wanted.path)} describes a table, and the images of WebDataset shards are "
                "their members. Leave it out."
            )
            raise UsageError(message)
        names = [name for name in self._columns if name not in self._nested]
        label, notes = self._label(wanted, names)
        asked = replace(wanted, path=_IMAGE, label=label, may_lack_label=True)
        try:
            chosen = choose_columns(table, [_IMAGE, *names], asked, has_names=True)
        except UsageError:
            if label != TableColumns().label:
                raise
            chosen = choose_columns(table, [_IMAGE, *names], replace(asked, label=None), has_names=True)
        if wanted.label is not None and not wanted.labels and "label" not in chosen.names:
            listed = ", ".join(map(repr, sorted(names)[:20])) or "nothing"
            notes.append(
                f"No file beside the images says a label by its name; they say {listed}. If one of these is the label, "
                "type --label-column NAME."
            )
        notes += chosen.notes
        if self._is_full:
            notes.append(f"What else the files beside images say is not kept: more than {MOST_FURTHER:,} cells.")
        marks: dict[str, list[str]] = {"label": [""] * self._n, "split": list(splits), "group": [""] * self._n}
        for key in marks.keys() & chosen.names.keys():
            name = chosen.names[key]
            cells, said = read_marks(key, name, self._columns[name], keep_na=wanted.keep_na)
            notes += said
            marks[key] = [cell or other for cell, other in zip(cells, marks[key], strict=True)]
        form = SETS if chosen.names.get("label") in self._lists else ""
        if form:
            marks["label"] = read_sets(marks["label"], LIST_MARK, f"the key {chosen.names['label']!r} of the samples")
        rest = {name: self._columns[name] for name in chosen.further if name not in self._lists}
        further, said = gather("the samples", rest, paths, keep_na=wanted.keep_na)
        shared: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        rows = zip(marks["label"], marks["split"], marks["group"], strict=True)
        entries = {path: shared.setdefault(row, row) for path, row in zip(paths, rows, strict=True)}
        return entries, [*notes, *said], further, form

    def _label(self, wanted: TableColumns, names: Sequence[str]) -> tuple[str | None, list[str]]:
        """Return which column is the label, and what to say of that."""
        usual = TableColumns().label
        if wanted.label != usual or usual in names:
            return wanted.label, []
        if "cls" in names:
            return "cls", []
        if "txt" in names and set(names) <= {"txt"}:
            texts = Counter(filter(None, self._columns["txt"]))
            if texts and texts.total() >= _FEW * len(texts) and max(map(len, texts)) <= MOST_KEPT:
                return "txt", ["The texts of the .txt files were taken for labels, since many images share one."]
        return usual, []
