"""What the cells of a label, split or group column say: missing, a number, or a name."""

from __future__ import annotations

import unicodedata
from collections import Counter

from stackbone.cache.splits import canonical_splits
from stackbone.cache.text import counted
from stackbone.extract.datasets.tables.limits import DECIMAL, ZERO_FRACTION

MISSING = frozenset(
    {
        *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
        *("NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""Texts that data frames write for a cell without a value: the default list of `pandas.read_csv`, parameter
``na_values``, as its documentation gives it (pandas 3.0), where the empty text is the one more."""


def read_marks(key: str, column: str, cells: list[str], *, keep_na: bool) -> tuple[list[str], list[str]]:
    """Return the cells as they are meant, ``''`` for a missing one, and what to say of it.

    Parameters
    ----------
    key
        ``label``, ``split`` or ``group``.
    column
        The column's name, for notes.
    keep_na
        Whether the texts of `MISSING` are names like any other.

    Returns
    -------
    tuple of list of str and list of str
        The cells in NFC, as folders' names are, without white space around them. In a column of numbers alone 3.0 is
        written as 3. Well-known names of splits are ``train``, ``validation`` and ``test``. And notes, a sentence each.
    """
    texts = {cell: unicodedata.normalize("NFC", cell.strip()) for cell in set(cells)}
    notes = []
    missing = set() if keep_na else {cell for cell, text in texts.items() if text in MISSING}
    if missing:
        found = Counter(texts[cell] for cell in cells if cell in missing)
        named = ", ".join(f"{text!r} ({n:,})" for text, n in found.most_common(5))
        notes.append(
            f"{counted(found.total(), 'cell')} of the column {column!r} {'counts' if found.total() == 1 else 'count'} "
            f"as missing: {named}. With --keep-na, such texts are names like any other."
        )
        texts |= dict.fromkeys(missing, "")
    if all(not text or DECIMAL.fullmatch(text) for text in texts.values()):
        texts = {cell: ZERO_FRACTION.sub("", text) for cell, text in texts.items()}
    if key == "split":
        notes += _canonical(column, texts)
    return [texts[cell] for cell in cells], notes


def _canonical(column: str, texts: dict[str, str]) -> list[str]:
    """Give splits their well-known names, in place; return what to say of it."""
    called: dict[str, set[str]] = {}
    canonical = canonical_splits(texts.values())
    for cell, text in texts.items():
        texts[cell] = canonical[text]
        if texts[cell] != text:
            called.setdefault(texts[cell], set()).add(text)
    return [
        f"In the column {column!r}, {', '.join(map(repr, sorted(names)))} {'is' if len(names) == 1 else 'are'} the "
        f"split {split!r}."
        for split, names in sorted(called.items())
    ]
