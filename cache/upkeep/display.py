"""How objects show themselves in a notebook: lines of text and tables, by pandas' own HTML, which escapes them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.text import printable
from stackbone.cache.upkeep.dataset_summary import summarise_dataset

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
"""Of a table in a notebook; the frame has all."""


def notebook_html(title: str, lines: Sequence[str], *frames: pd.DataFrame) -> str:
    """Return a title, lines and tables as HTML, all text escaped.

    Parameters
    ----------
    title, lines
        Plain text.
    *frames
        Tables; of long ones the first and the last rows are shown, as pandas shows them.
    """
    import pandas as pd

    parts = [f"<strong>{escape(title)}</strong>", *(f"<div>{escape(line)}</div>" for line in lines)]
    with pd.option_context("display.max_colwidth", None):
        parts += [
            each.to_html(max_rows=MOST_ROWS, float_format="{:.3f}".format, na_rep="-", index_names=False, border=0)
            for each in frames
        ]
    rows = "\n".join(["<div>", *parts, "</div>"]).split("\n")
    return "\n".join(map(printable, rows))


def index_frame(index: DatasetIndex) -> pd.DataFrame:
    """Return a row for each listed image, in the dataset's order: see `DatasetIndex.to_frame`."""
    import pandas as pd

    columns: dict[str, object] = {
        "path": index.path,
        "label": index.label,
        "split": index.split,
        "group": index.group,
        "ok": index.ok,
        "reason": index.reason,
        "image_sha256": [row.tobytes().hex() for row in index.image_sha256],
    }
    if index.sizes is not None:
        columns |= {"width": index.sizes[:, 0], "height": index.sizes[:, 1]}
    # A column of the user's that has a name of ours keeps its values under another.
    columns |= {f"{name}_given" if name in columns else name: cells for name, cells in index.columns.items()}
    return pd.DataFrame(columns)


def index_html(index: DatasetIndex) -> str:
    """Return what is understood of a dataset, and how many sound images each class has in each split."""
    import pandas as pd

    title, *lines = (line.strip() for line in summarise_dataset(index).lines())
    frame = pd.DataFrame({"class": index.label, "split": index.split})[index.ok]
    frame = frame.replace({"class": {"": "(no label)"}, "split": {"": "images"}})
    return notebook_html(title, lines, pd.crosstab(frame["class"], frame["split"]))
