"""A report: what is asked of it, and its writing, with records from `stack` and pictures from `extract`.

The two rooms know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import counted
from stackbone.commands.shared.console import err, progress
from stackbone.commands.shared.options import WeightsOption, weights_files

if TYPE_CHECKING:
    from stackbone.cache import FeatureSpec, FeatureStore
    from stackbone.cache.disk.reading import ListedFile
    from stackbone.stack import Experiment
    from stackbone.stack.experiments.against.change import Change
    from stackbone.stack.report.pictures import DrawAttention
    from stackbone.stack.report.report import PageContent

ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write a report with figures to this file, one HTML page")
]


OpenOption = Annotated[bool, typer.Option("--open", help="Open the report in the browser when it is written")]


@dataclass(frozen=True)
class FigureOptions:
    """How a report's figures are drawn, and where they are written beside the page."""

    figures: Annotated[
        Path | None, typer.Option(help="Write the report's figures to this folder too, as SVG and PNG")
    ] = None
    projection: Annotated[
        str,
        typer.Option(
            help="How the report maps images to a plane: {projections}; auto is UMAP where installed, else t-SNE, of "
            "more than 5,000 images PCA"
        ),
    ] = "auto"
    opens: OpenOption = False


@dataclass(frozen=True)
class PageOptions(FigureOptions):
    """The same, and what goes into a report beside what is always in it."""

    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Show in the report how scores grow with training images (minutes)")
    ] = False
    steering: Annotated[
        list[Path] | None,
        typer.Option("--steering", help="Show in the report what these steering files attend to; repeat for more"),
    ] = None
    weights: WeightsOption = None
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Number of classifiers to fit at a time [default: one per core]")
    ] = None

    @property
    def weights_files(self) -> dict[str, Path]:
        """Files by backbone name."""
        return weights_files(self.weights)


def refuse_idle(options: Sequence[str]) -> None:
    """Raise `UsageError` where options of a report were given, and no report is asked for."""
    if options:
        be, them = ("is", "it") if len(options) == 1 else ("are", "them")
        message = f"{', '.join(options)} {be} for the report: add --report FILE, or leave {them} out"
        raise UsageError(message)


def write_page(
    experiment: Experiment,
    store: FeatureStore,
    page: Path | None,
    options: PageOptions,
    against: Change | None = None,
) -> dict[str, Any]:
    """Write the page, and the figures into a folder, as far as they are asked for; return what was, JSON-able."""
    from stackbone.stack.report.context import ReportOptions
    from stackbone.stack.report.report import collect_report
    from stackbone.stack.report.sections.attention import AttentionRecord

    def attention(name: str, spec: FeatureSpec, files: Sequence[ListedFile]) -> list[bytes | None]:
        from stackbone.extract.attention.pages import encoded_pictures

        return encoded_pictures(name, spec, files, options.steering or [], options.weights_files)

    asked = ReportOptions(
        projection=options.projection, learning_curve=options.learning_curve, n_jobs=options.jobs, against=against
    )
    with progress() as on_progress:
        report = collect_report(experiment, store, asked, progress=on_progress)
    if page and report.record(AttentionRecord) and not options.steering:
        err.note("note: with --steering FILES the report shows the steered attention too")
    drawn = attention if options.steering else None
    return write_collected(report, page, options.figures, drawn, opens=options.opens)


def write_collected(
    report: PageContent,
    page: Path | None,
    figures: Path | None,
    attention: DrawAttention | None = None,
    *,
    opens: bool = False,
    is_pictured: bool = True,
) -> dict[str, Any]:
    """Write a report that was collected already, with its pictures, and open it where that was asked for.

    Returns what was written, JSON-able.
    """
    from stackbone.extract.images.thumbnails import thumbnails
    from stackbone.stack.report import page as html
    from stackbone.stack.report.figures.export import export_figures
    from stackbone.stack.report.report import draw_pictures

    written: list[Path] = []
    missing: dict[str, str] = {}
    if page:
        with progress() as on_progress:

            def small(files: Sequence[ListedFile]) -> list[bytes | str]:
                size = report.thumbnail_size
                return thumbnails(files, size=size, on_progress=lambda *done: on_progress("thumbnails", *done))

            pictures = draw_pictures(report, small if is_pictured else None, attention)
            html.write_page(report, page, pictures)
        if pictures.missing:
            first = next(iter(pictures.missing))
            left_out = f"{len(pictures.missing):,} of {counted(len(report.files()), 'picture')} left out"
            missing = {report.images[number].path: reason for number, reason in pictures.missing.items()}
            path, reason = report.images[first].path, pictures.missing[first]
            err.note(f"note: {left_out} of the report; the first is {path!r}: {reason}")
        err.note(f"the report is in {page}")
        if opens:
            _open(page)
    if figures:
        written = export_figures(report.figures(), figures)
        err.note(f"{counted(len(written), 'figure')} written to {figures}")
    return {
        "report": None if page is None else str(page),
        "figures": [str(file) for file in written],
        "missing_pictures": [{"path": path, "reason": reason} for path, reason in missing.items()],
    }


def _open(page: Path) -> None:
    """Open a page in the user's browser; where there is none, say so: the page is written all the same."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        err.note(f"note: no browser could be opened; open {page} by hand")
