"""Writing a report: its numbers from `stack`, its pictures from `extract`, which know nothing of each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackbone.commands.shared.console import err, progress

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.commands.shared.options import ReportOptions
    from stackbone.stack import Experiment
    from stackbone.stack.report.data import ReportData


def write_page(experiment: Experiment, store: FeatureStore, page: Path | None, options: ReportOptions) -> None:
    """Write the page, and the figures into a folder, as far as they are asked for."""
    from stackbone.extract.images.thumbnails import thumbnails
    from stackbone.stack.report.data import collect
    from stackbone.stack.report.figures.export import export_figures
    from stackbone.stack.report.page import write_report

    with progress() as on_progress:
        data = collect(
            experiment,
            store,
            projection=options.projection,
            learning_curve=options.learning_curve,
            n_jobs=options.jobs,
            progress=on_progress,
        )
        if page:
            files = data.image_files()
            found = thumbnails(files, on_progress=lambda done, total: on_progress("thumbnails", done, total))
            pictures = _attention(experiment, store, data, options)
            content = {i: each for i, each in enumerate(found) if isinstance(each, bytes)}
            reasons = {i: each for i, each in enumerate(found) if isinstance(each, str)}
            write_report(data.to_dict(), content, page, attention=pictures, reasons=reasons)
            if reasons:
                first = min(reasons)
                left_out = (
                    f"{len(reasons):,} of {len(found):,} pictures {'is' if len(reasons) == 1 else 'are'} left out"
                )
                err.print(f"note: {left_out} of the report; the first is {files[first].path!r}: {reasons[first]}")
    if page:
        if data.attention and not options.steering:
            err.print("note: with --steering FILES the report shows the steered attention too")
        err.print(f"the report is in {page}")
    if options.figures:
        written = export_figures(data.to_dict(), options.figures)
        err.print(f"{len(written)} figures are in {options.figures}")


def _attention(
    experiment: Experiment, store: FeatureStore, data: ReportData, options: ReportOptions
) -> dict[int, bytes]:
    """Return pictures of what steered backbones attend to, by their place in the report's data."""
    from stackbone.stack.experiments.used_features import used_features

    pictures: dict[int, bytes] = {}
    for used in used_features(experiment, store) if options.steering else ():
        places = [i for i, each in enumerate(data.attention) if each.backbone == used.name]
        if places:
            from stackbone.extract.attention.pages import encoded_pictures

            spec, images = used.of_fold(0).header().spec, [data.files[data.attention[i].image] for i in places]
            drawn = encoded_pictures(used.name, spec, images, options.steering or [], options.weights_files)
            pictures |= {i: content for i, content in zip(places, drawn, strict=True) if content}
    return pictures
