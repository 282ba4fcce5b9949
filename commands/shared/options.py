"""Options that several commands take: each is declared here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stackbone.commands.shared.endings import Outputs
    from stackbone.extract import Backbone


def _lasting(cache: str | None) -> str | None:
    """Refuse a cache that would be gone when the command ends."""
    if cache is not None and cache.lower().startswith("memory:"):
        from stackbone.cache import UsageError

        message = f"{cache} ends with this command, and all that it computes. Name a folder, or a URL such as s3://..."
        raise UsageError(message)
    return cache


def finite(number: float | None) -> float | None:
    """Refuse nan and infinity, which every comparison with a limit lets pass or never reaches."""
    if number is not None and not math.isfinite(number):
        message = f"{number} is no number that can be reached: give a finite one"
        raise typer.BadParameter(message)
    return number


CacheOption = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="FOLDER|URL",
        help="Cache: a folder, or a URL such as s3://bucket/features [default: $STACKBONE_CACHE, else features]",
        callback=_lasting,
    ),
]
DatasetNameOption = Annotated[
    str | None, typer.Option("--dataset", help="Name of the dataset in the cache [default: the last one extracted]")
]
BackbonesOption = Annotated[
    str | None,
    typer.Option(
        help="Backbones to ask, separated by commas: names, groups ({groups}, all) or feature sets [default: all that "
        "cover the dataset]"
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FILE", help="Read a backbone's weights from this file; repeat for more backbones"),
]
ModuleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone-module",
        metavar="[NAME=]FILE.py:CLASS",
        help="Run this torch.nn.Module of your own, with its --weights; repeat for more",
    ),
]
SteeringOption = Annotated[
    list[Path] | None,
    typer.Option("--steering", help="Steering file that `steer` wrote, or a folder of them; repeat for more"),
]
EngineOption = Annotated[str, typer.Option(help="What runs the networks: {engines}")]
DeviceOption = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda, cuda:1, mps")]
SolverDeviceOption = Annotated[
    str, typer.Option("--device", help="Where logistic regressions and linear SVMs are solved: cpu, cuda, cuda:1, auto")
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Threads that decode images [default: one per core]")]
ModelOption = Annotated[
    Path, typer.Option("--model", help="File that `stack --save`, `transfer --save` or `detect --save` wrote")
]
MaxFailedOption = Annotated[
    float,
    typer.Option(min=0, max=1, callback=finite, help="Exit with code 1 if more than this share of the images fails"),
]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Keep this split of the dataset for testing and train on the others, instead of folds"),
]
GroupByOption = Annotated[
    str,
    typer.Option(
        help="Never divide these images between training and testing: those of one group (the dataset's group "
        "column) or of one folder; auto: groups where there are any. Choices: {group_by}"
    ),
]
SaveWithoutFeaturesOption = Annotated[
    bool,
    typer.Option(
        "--save-without-features",
        help="Leave features of training images out of the saved model; `predict` then cannot say which images "
        "are unlike them",
    ),
]
InnerCvOption = Annotated[
    int,
    typer.Option(
        "--inner-cv",
        min=2,
        help="Inner folds of each training part, which choose C and give the meta-learner its out-of-fold scores; "
        "`steer --nested` trains for these",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text")]
DebugOption = Annotated[
    bool, typer.Option("--debug", expose_value=False, help="Show a traceback with an error message")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", expose_value=False, help="Print only results and errors: no progress, no notes")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")]


@dataclass(frozen=True)
class RowOptions:
    """Files for the rows that a command prints, beside what it prints."""

    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows to this file too, as CSV in UTF-8")] = None
    parquet: Annotated[
        Path | None, typer.Option("--parquet", help="Write the rows to this file too, as Parquet, exact and typed")
    ] = None

    @property
    def files(self) -> dict[str, Path | None]:
        """Files by option; None where it was not given."""
        return {"--csv": self.csv, "--parquet": self.parquet}

    def check(self) -> None:
        """Raise `UsageError` if a file cannot be written, before the work."""
        from stackbone.stack.tables.row_file import check_row_file

        for option, file in self.files.items():
            if file is not None:
                check_row_file(option, file, [f".{option.removeprefix('--')}"])

    def write(
        self, rows: Mapping[str, Sequence[object]], outputs: Outputs, types: Mapping[str, type] | None = None
    ) -> None:
        """Write rows, by column, to each file that was asked for; types as of `write_rows`."""
        from stackbone.stack.tables.row_file import write_rows

        for file in filter(None, self.files.values()):
            with outputs.file(f"the rows are in {file}"):
                write_rows(file, [rows], types)


@dataclass(frozen=True)
class DecodingOptions:
    """Which images are let in: fields are arguments of `extract.extract`, `embed_for` and `steer`."""

    allow_truncated: Annotated[
        bool,
        typer.Option("--allow-truncated", help="Take images whose files are cut short; what is missing stays grey"),
    ] = False
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Take images of up to N pixels [default: some 179 million]"),
    ] = None


@dataclass(frozen=True)
class SourceOptions:
    """Where networks come from: files of weights, steering files, and Python files of the user's own networks."""

    steering: SteeringOption = None
    weights: WeightsOption = None
    backbone_module: ModuleOption = None

    @property
    def steering_files(self) -> list[Path]:
        """Steering files, or folders of them."""
        return self.steering or []

    @property
    def weights_files(self) -> dict[str, Path]:
        """Files by backbone name."""
        return weights_files(self.weights, self.modules)

    @property
    def modules(self) -> list[Backbone]:
        """Networks of the user's own."""
        from stackbone.extract.backbones.own_file import parse_module_options

        return parse_module_options(self.backbone_module or [])


@dataclass(frozen=True)
class FoldOptions:
    """Which images are tested and which are trained on."""

    split: SplitOption = None
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same folds and results")] = 0
    group_by: GroupByOption = "auto"
    rare: Annotated[
        str,
        typer.Option(
            help="Classes with fewer images than folds: refuse to run, drop them, or keep them for training without "
            "scoring them. Choices: {rare}"
        ),
    ] = "refuse"
    dealing: Annotated[
        str | None,
        typer.Option(
            help="Deal images to folds by their content, so that a corrected label or a new image moves few others, or "
            "by row, as version 0.1.0 did. Choices: {dealing} [default: digests; of `stack` rows, where steerings were "
            "made for these]"
        ),
    ] = None


def weights_files(weights: Sequence[str] | None, modules: Sequence[Backbone] = ()) -> dict[str, Path]:
    """Return the files that ``--weights`` names, by backbone name; one without a name is of the one in `modules`."""
    from stackbone.extract import parse_weights_options

    return dict(parse_weights_options(weights or [], modules[0].name if len(modules) == 1 else ""))
