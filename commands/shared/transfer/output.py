"""What `transfer` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbone.cache.text import counted
from stackbone.commands.shared.console import err, out
from stackbone.commands.shared.experiment_output import tell_left_out
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.transfer.experiment import TransferExperiment


def print_transfer(experiment: TransferExperiment) -> None:
    """Print a table and a verdict for each setting; notes and warnings go before them."""
    from stackbone.stack.fitting.fit_warnings import in_words
    from stackbone.stack.transfer.results import table
    from stackbone.stack.transfer.results.verdict import verdict

    tell_left_out(experiment.pair.source.left_out, " of the source")
    tell_left_out(experiment.pair.target.left_out, " of the target" if experiment.asked.column is None else "")
    for note in experiment.notes:
        err.note(f"note: {note}")
    for sentence in in_words(experiment.warnings):
        err.print(f"warning: {sentence}")
    for number, scores in enumerate(experiment.scores):
        if number:
            out.print()
        out.print(table.title(experiment, scores))
        names = [each.method for each in scores.results]
        print_table(
            table.header(experiment, scores),
            table.rows(experiment, scores),
            bold=names.index(scores.best_baseline),
            spare=["what", "family"],
        )
        for note in table.footnotes(scores):
            out.print(note)
        if scores.sources:
            out.print(table.source_title(scores))
            print_table(table.source_header(scores), table.source_rows(scores))
            for note in table.source_footnotes(scores):
                out.print(note)
        out.print(str(verdict(experiment, scores)))
    found = experiment.explanation
    out.print()
    for gap in found.gaps:
        out.print(gap.line)
    worst = found.least[0]
    out.print(
        f"{found.n_hurting:,} of {counted(experiment.n_source, 'source image')} hurt a classifier trained on the "
        f"source; {worst.path!r} ({worst.domain}, {worst.label}) helps least"
    )
