"""Options of an experiment: how images are divided, what is fitted on what of them, and which files are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.commands.shared.options import InnerCvOption, SaveWithoutFeaturesOption
from stackbone.commands.shared.report_output import ReportOption

if TYPE_CHECKING:
    from stackbone.stack import StackOptions


METRICS = (
    "{metrics}; for regression {regression_metrics}; for multitarget {multitarget_metrics}; for multilabel "
    "{multilabel_metrics}; or scikit-learn's name of it"
)
"""What ``--metric`` takes, as help texts have it."""


@dataclass(frozen=True)
class CrossValidationOptions:
    """How images are divided, beside `FoldOptions`: fields are arguments of `run_experiment`."""

    cv: Annotated[
        str | None,
        typer.Option(
            help="Number of cross-validation folds; loo leaves out each image once, logo each group [default: 3]"
        ),
    ] = None
    repeats: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Repeat cross-validation N times with new folds, for a surer comparison"),
    ] = 1
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="Never divide near-duplicates between training and testing: images whose features are at least this "
            "similar, such as 0.98",
        ),
    ] = None


def number_or_plan(cv: str | None) -> int | str | None:
    """Return what ``--cv`` gives: a number of folds, or the word that it is.

    Raises
    ------
    UsageError
        If the number is below 2.
    """
    if cv is None or not cv.isdecimal():
        return cv
    if int(cv) < 2:
        message = f"--cv {cv} is not a number of folds: use 2 or more"
        raise UsageError(message)
    return int(cv)


@dataclass(frozen=True)
class GivenFoldOptions:
    """Folds that are not drawn: fields are arguments of `run_experiment`."""

    folds: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|FILE",
            help="Folds of your own, instead of --cv: a column of the dataset's table, or a CSV or Parquet file of "
            "filename,fold",
        ),
    ] = None
    time_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Train on the past and test on the future, by the ISO dates or numbers in this column of the "
            "dataset's table; --cv N cuts off N test parts",
        ),
    ] = None


@dataclass(frozen=True)
class ViewOptions:
    """What an image is: fields are arguments of `run_experiment`."""

    train_views: Annotated[
        str | None,
        typer.Option(
            metavar="VIEWS",
            help="Learn from these views of each image, made by `extract --views`: names, or all [default: plain]",
        ),
    ] = None
    test_views: Annotated[
        str | None,
        typer.Option(metavar="VIEWS", help="Test the mean of these views: names, or mean for all [default: plain]"),
    ] = None


@dataclass(frozen=True)
class ModelOptions:
    """What is fitted."""

    task: Annotated[
        str,
        typer.Option(
            help="What the labels are: {tasks}; regression takes labels that are numbers, multitarget several numbers "
            "of each image, multilabel any number of labels"
        ),
    ] = "classification"
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Model that the verdict is about and that --save keeps: {recipes} [default: oof, beside published]"
        ),
    ] = None
    meta: Annotated[
        str | None,
        typer.Option(
            help="Meta-learner of the stack: {meta_learners}; for regression {regression_meta_learners}; for "
            "multitarget {multitarget_meta_learners}; for multilabel {multilabel_meta_learners} [default: the first]"
        ),
    ] = None
    meta_scores: Annotated[
        str, typer.Option(help="Scores of the backbones that the meta-learner learns from: {meta_scores}")
    ] = "probability"
    meta_combine: Annotated[
        str, typer.Option(help="Put the backbones' scores side by side (concat), or average them: {meta_combine}")
    ] = "concat"
    heads: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Base learners that the stack is built of, separated by commas: lr, {heads}; each has rows of its own "
            "[default: lr; of numbers ridge or ridges, of labels ovr]",
        ),
    ] = None
    fusion: Annotated[
        str,
        typer.Option(
            help="Fit the outputs of one backbone (pooled, stages, ...) together, each part with a weight of its own "
            "(parts) or all alike (concat), or fit each output by itself (none): {fusions}"
        ),
    ] = "parts"
    c: Annotated[
        float | None,
        typer.Option(
            "--c",
            help="C of the logistic regressions: larger values fit the training images more closely [default: chosen "
            "by inner cross-validation]",
        ),
    ] = None
    inner_cv: InnerCvOption = 5

    def to_options(self, choices: ChoiceOptions) -> StackOptions:
        """Return the options of the fits, checked."""
        from stackbone.stack import stack_options
        from stackbone.stack.learners.class_weight import parse_class_weight

        return stack_options(
            self.task,
            meta=self.meta,
            scores=self.meta_scores,
            combine=self.meta_combine,
            c=self.c,
            inner_splits=self.inner_cv,
            fusion=self.fusion,
            heads=self.heads,
            metric=choices.metric,
            class_weight=parse_class_weight(choices.class_weight),
            weight_column=choices.weight_column,
        )


@dataclass(frozen=True)
class ChoiceOptions:
    """What a good model is, and what each image counts for."""

    metric: Annotated[
        str | None,
        typer.Option(
            help=f"Metric that chooses C on inner folds, ranks the models and is what the verdict is about: {METRICS} "
            "[default: log-loss chooses C, accuracy ranks; r2 or mean-r2 for numbers, mean-ap for multilabel]"
        ),
    ] = None
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="balanced|none|FILE",
            help="Weigh the images of each class where models learn: balanced lets every class count as much as any "
            "other, a file has lines of class,weight [default: none]",
        ),
    ] = None
    weight_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Weigh each image by this column of the dataset's table, where models learn and where they are tested",
        ),
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """Files to write beside the table."""

    save: Annotated[
        Path | None, typer.Option(help="Fit the model on all images and save it to this file, for `predict`")
    ] = None
    save_train_only: Annotated[
        bool,
        typer.Option("--save-train-only", help="With --split: fit the saved model without the images that are tested"),
    ] = False
    save_without_features: SaveWithoutFeaturesOption = False
    result: Annotated[Path | None, typer.Option(help="Write all numbers to this file, as JSON, for `report`")] = None
    predictions: Annotated[Path | None, typer.Option(help="Write every prediction to this file, .csv or .parquet")] = (
        None
    )
    report: ReportOption = None


@dataclass(frozen=True)
class AgainstOptions:
    """An earlier result that a run is compared with."""

    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULT.json",
            help="Show what changed since this result of --result on the same folds: scores with the interval of "
            "their difference, classes, images won and lost",
        ),
    ] = None
    changes: Annotated[
        Path | None,
        typer.Option(help="With --against: write the images won and lost to this file, .csv or .parquet"),
    ] = None


@dataclass(frozen=True)
class ShotOptions:
    """Scores with a few training images of each class."""

    shots: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Score what so many training images of each class teach, too, such as 1,2,4,8,16, drawn at random and "
            "tested on whole test parts",
        ),
    ] = None
    tries: Annotated[int, typer.Option(min=1, max=1000, help="With --shots: draws of each number of images")] = 10

    def arguments(self) -> dict[str, Any]:
        """Return arguments of `run_experiment`.

        Raises
        ------
        UsageError
            If the numbers cannot be read, or draws are asked for and no number is.
        """
        from stackbone.stack.experiments.shots import TRIES, parse_shots

        if self.shots is None and self.tries != TRIES:
            message = "--tries says how often --shots draws: add --shots 1,2,4,8,16, or leave it out"
            raise UsageError(message)
        return {"shots": None if self.shots is None else parse_shots(self.shots), "tries": self.tries}
