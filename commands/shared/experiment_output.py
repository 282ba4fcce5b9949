"""What several commands print: a dataset before it is embedded, a finished extraction, a finished experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stackbone.cache.text import counted
from stackbone.commands.shared.console import can_draw, err, out
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.cache.upkeep.dataset_summary import DatasetSummary
    from stackbone.extract import ExtractReport
    from stackbone.stack import Experiment
    from stackbone.stack.experiments.against.change import Change
    from stackbone.stack.experiments.shots import FewShots


def print_summary(summary: DatasetSummary) -> None:
    """Print what was understood of a dataset."""
    for line in summary.lines():
        out.print(line)


def print_extract(report: ExtractReport) -> None:
    """Print the images that failed, and what was computed for each backbone."""
    for line in report.failure_lines():
        err.print(line)
    for line in report.lines():
        out.print(line)


def print_experiment(experiment: Experiment) -> None:
    """Print the table, the verdict and what else an experiment teaches; notes and warnings go before it."""
    from stackbone.stack.fitting.fit_warnings import in_words
    from stackbone.stack.tables import table
    from stackbone.stack.tables.dot_plot import dot_plot
    from stackbone.stack.tables.lessons import lessons
    from stackbone.stack.tables.metric_names import primary_metric
    from stackbone.stack.tables.verdict import verdict

    tell_left_out(experiment.joined.left_out)
    if experiment.joined.n_groups is not None:
        groups, images = counted(experiment.joined.n_groups, "group"), counted(experiment.n_images, "image")
        err.note(f"note: {groups} among {images}; {experiment.of_groups}")
    for note in experiment.joined.notes:
        err.note(f"note: {note}")
    for sentence in in_words(experiment.evaluation.warnings):
        err.print(f"warning: {sentence}")
    out.print(table.title(experiment))
    rows, model = table.rows(experiment), table.model_row(experiment)
    print_table(table.header(experiment), rows, bold=model, spare=["what it is"])
    for note in table.footnotes(experiment):
        out.print(note)
    if can_draw() and (plot := dot_plot(experiment.evaluation.results, out.width)):
        for line in ["", *plot, ""]:
            out.print(line)
    if experiment.few_shots:
        _print_few_shots(experiment.few_shots, primary_metric(experiment).name)
    out.print(str(verdict(experiment)))
    for lesson in lessons(experiment):
        out.print(str(lesson))


def print_change(change: Change) -> None:
    """Print what changed since an earlier result."""
    from stackbone.stack.tables.changes import words as against

    out.print()
    out.print(f"against {change.file}", style="bold")
    out.print(against.headline(change))
    for fact in against.facts(change):
        out.print(fact)
    if change.models:
        print_table(against.MODELS, against.model_rows(change))
    if rows := against.class_rows(change):
        out.print(f"classes that changed{_first(rows)}")
        print_table(against.CLASSES, rows[:_SHOWN], shorten=against.CLASSES[:1])
    for kind in ("won", "lost"):
        if rows := against.image_rows(change, kind):
            out.print(f"images {kind}{_first(rows)}")
            print_table(against.IMAGES, rows[:_SHOWN], shorten=against.IMAGES)


_SHOWN = 10


def _first(rows: Sequence[object]) -> str:
    return f", the first {_SHOWN} of {len(rows):,}" if len(rows) > _SHOWN else ""


def tell_left_out(left_out: Mapping[str, int], of: str = "") -> None:
    """Print how many images of a dataset take no part, by why; `of` says whose they are, where there are several."""
    from stackbone.stack.divisions.labelled_images import LEFT_OUT

    for kind, n in left_out.items():
        if n:
            err.note(f"left out{of}: {counted(n, 'image')} ({LEFT_OUT[kind]})")


def _print_few_shots(few: FewShots, metric: str) -> None:
    from stackbone.stack.tables import few_shots as table

    out.print()
    out.print(table.title(few, metric))
    print_table(table.header(few), table.rows(few))
    for note in table.footnotes(few):
        out.print(note)
    out.print()
