"""What `detect` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbone.cache.text import counted
from stackbone.commands.shared.console import err, out
from stackbone.commands.shared.experiment_output import tell_left_out
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.detection.records.experiment import DetectionExperiment


def print_detection(experiment: DetectionExperiment) -> None:
    """Print the tables and the verdict; notes go before them."""
    from stackbone.stack.detection.tables import table
    from stackbone.stack.detection.tables.verdict import verdict

    images = experiment.annotated.images
    tell_left_out(images.left_out)
    if images.n_groups is not None:
        err.note(f"note: {counted(images.n_groups, 'group')} among {counted(experiment.n_images, 'image')}")
    for note in experiment.notes:
        err.note(f"note: {note}")
    out.print(table.title(experiment))
    print_table(table.header(experiment), table.rows(experiment), bold=table.main_row(experiment), spare=["what it is"])
    for note in table.footnotes(experiment):
        out.print(note)
    if table.has_class_table(experiment):
        out.print()
        out.print("AP50 by class")
        print_table(table.class_header(experiment), table.class_rows(experiment), shorten=["class"])
    out.print(str(verdict(experiment)))
