"""Correct labels of a dataset in the cache, by a table.

Your own files stay as they are: corrections lie beside the dataset's index, every later command takes them and says so,
and extracting the same images again keeps them. No feature is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import counted, typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.console import as_given, err, out, print_json
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.extract.relabelling.relabel import Relabelled

_SHOWN = 10
_COLUMNS = ["path", "label", "was"]


@grouped
def command(
    context: typer.Context,
    fixes: Annotated[
        Path | None,
        typer.Argument(
            help="Table with the columns path, label (the right one; empty: none) and perhaps was (where the dataset "
            "has another label than this, the row is passed over), or what `audit --csv` wrote"
        ),
    ] = None,
    *,
    show: Annotated[bool, typer.Option("--list", help="Show the corrections that are in force, and change nothing")] = (
        False
    ),
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back what the last run corrected; repeat for earlier ones")
    ] = False,
    path_column: Annotated[str, typer.Option(help="Table column with the image paths")] = "path",
    label_column: Annotated[str, typer.Option(help="Table column with the right labels")] = "label",
    encoding: Annotated[
        str, typer.Option(help="Encoding of a table of text, such as cp1251 [default: what it looks like]")
    ] = "",
    keep_na: Annotated[
        bool,
        typer.Option("--keep-na", help="Take NA, None, nan and so on in the table for names, not for missing values"),
    ] = False,
    rows: RowOptions,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract.relabelling.relabel import relabel
    from stackbone.stack.tasks.label_form import words_for

    if (fixes is not None) + show + undo != 1:
        found = "nothing" if fixes is None and not (show or undo) else "several of them"
        message = (
            f"relabel takes a table of corrections, --list or --undo, and {found} was given: type `stackbone relabel "
            "fixes.csv` for a table with the columns path, label and was, or `stackbone relabel --list`"
        )
        raise UsageError(message)
    endings.check_outputs(rows.files)
    rows.check()
    store = FeatureStore(cache)
    if fixes is None:
        columns = _undo(store, dataset, as_json=as_json) if undo else _show(store, dataset, as_json=as_json)
    else:
        done = relabel(
            fixes,
            store,
            dataset=dataset,
            path_column=path_column,
            label_column=label_column,
            encoding=encoding,
            keep_na=keep_na,
        )
        if as_json:
            print_json(done.to_dict())
        else:
            _print(done, as_given(context, "cache", "dataset"), words_for(store.dataset(dataset).label_form))
        columns = done.columns()
    with endings.Outputs() as outputs:
        rows.write(columns, outputs, dict.fromkeys(_COLUMNS, str))


def _print(done: Relabelled, given: Sequence[str], task: Sequence[str]) -> None:
    for note in done.notes:
        err.note(f"note: {note}")
    _print_rows(done.columns())
    copies = f" ({counted(len(done.path), 'file')}, with their copies)" if len(done.path) > done.n_images else ""
    out.print(f"{done.dataset}: {counted(done.n_images, 'label')} corrected{copies}")
    if done.n_same:
        out.print(
            f"{counted(done.n_same, 'row')} {'says' if done.n_same == 1 else 'say'} what the dataset says already"
        )
    for paths, noun, what in (
        (done.gone, "row", "of images that the dataset does not have"),
        (done.unread, "row", "of images that could not be read"),
        (
            [
                f"{path} (not {was or 'without a label'}: {has or 'without a label'})"
                for path, was, has in done.outdated
            ],
            "file",  # of a row, or a copy of a row's
            "passed over, as the dataset has another label than `was` says",
        ),
    ):
        if paths:
            out.print(f"{counted(len(paths), noun)} {what}:")
            for path in paths[:_SHOWN]:
                out.print(f"  {path}")
            if len(paths) > _SHOWN:
                out.print(f"  and {len(paths) - _SHOWN:,} more; --json lists all")
    if done.path:
        undo = typed("stackbone", "relabel", "--undo", *given)
        err.note(f"`{undo}` takes this back; `{typed('stackbone', 'stack', *task, *given)}` uses the new labels")


def _print_rows(columns: dict[str, list[str]]) -> None:
    shown = [[path, label or "-", was or "-"] for path, label, was in zip(*columns.values(), strict=True)]
    if shown:
        print_table(_COLUMNS, shown[:_SHOWN], shorten=_COLUMNS)
        if len(shown) > _SHOWN:
            out.print(f"and {len(shown) - _SHOWN:,} more; --csv FILE and --json hold all")


def _show(store: FeatureStore, dataset: str | None, *, as_json: bool) -> dict[str, list[str]]:
    """Print the corrections in force; return them by column."""
    index = store.dataset(dataset)
    own = {} if index.corrected is None else index.corrected.own
    columns = {
        "path": [index.path[row] for row in own],
        "label": [index.label[row] for row in own],
        "was": list(own.values()),
    }
    notes = [] if index.corrected is None else index.corrected.notes()
    batches = store.corrections(index.name)
    if as_json:
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        runs = [{"source": each.source, "created": each.created, "n_files": len(each)} for each in batches]
        print_json({"dataset": index.name, "corrections": rows, "runs": runs, "notes": notes})
        return columns
    _print_rows(columns)
    for batch in batches:
        out.print(f"{batch.created}: {counted(len(batch), 'file')} by {batch.source}")
    out.print(f"{index.name}: {notes[0] if notes else 'no label is corrected'}")
    for note in notes[1:]:
        out.print(note)
    return columns


def _undo(store: FeatureStore, dataset: str | None, *, as_json: bool) -> dict[str, list[str]]:
    """Take the last batch back; return what it was by column."""
    name = store.dataset(dataset).name
    batch = store.undo_corrections(name)
    if batch is None:
        message = f"no label of the dataset {name!r} is corrected, so there is nothing to take back"
        raise UsageError(message)
    columns = {"path": batch.path, "label": batch.label, "was": batch.was}
    left = len(store.corrections(name))
    if as_json:
        print_json({"dataset": name, "taken_back": len(batch), "source": batch.source, "runs_left": left})
    else:
        out.print(
            f"{name}: took back what {batch.source} corrected on {batch.created}, {counted(len(batch), 'file')}; "
            f"{counted(left, 'earlier run')} {'stays' if left == 1 else 'stay'}"
        )
    return columns
