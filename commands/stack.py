"""Score backbones, and stacks of them, by cross-validation.

Works on cached features. Compares each backbone alone, their plain combinations and their stacks on the same folds, and
says whether stacking helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.cluster.ray import RayOption, fits_on
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.experiment_options import (
    AgainstOptions,
    ChoiceOptions,
    CrossValidationOptions,
    GivenFoldOptions,
    ModelOptions,
    OutputOptions,
    ShotOptions,
    ViewOptions,
    number_or_plan,
)
from stackbone.commands.shared.experiment_output import print_change, print_experiment
from stackbone.commands.shared.option_groups import changed, grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DatasetNameOption,
    FoldOptions,
    JsonOption,
    RowOptions,
    SolverDeviceOption,
)
from stackbone.commands.shared.report_output import PageOptions, refuse_idle, write_page

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.stack import Experiment
    from stackbone.stack.experiments.against.change import Change


@grouped
def command(
    *,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Backbones to stack, separated by commas: names, groups ({groups}, all) or feature sets [default: all "
            "that cover the dataset]"
        ),
    ] = None,
    division: CrossValidationOptions,
    folds: FoldOptions,
    given: GivenFoldOptions,
    views: ViewOptions,
    models: ModelOptions,
    choices: ChoiceOptions,
    few: ShotOptions,
    earlier: AgainstOptions,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Shuffle the labels and check that every model scores at chance")
    ] = False,
    files: OutputOptions,
    scores: RowOptions,
    page: PageOptions,
    device: SolverDeviceOption = "cpu",
    ray: RayOption = None,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack import STACKS, run_experiment, run_self_check
    from stackbone.stack.experiments.against.check import check_against
    from stackbone.stack.experiments.against.compare_results import compare_results
    from stackbone.stack.experiments.against.earlier import read_earlier
    from stackbone.stack.tables.row_file import write_rows
    from stackbone.stack.tables.score_rows import score_rows

    options = models.to_options(choices)
    shots = few.arguments()
    if self_check:
        _check_self_check(changed(files, scores, page, few, earlier), changed(models, division, folds, choices))
    _check_output(files, scores, page)
    _check_against(earlier)
    before = read_earlier(earlier.against) if earlier.against else None
    store = FeatureStore(cache)
    if dataset is None:
        _tell_dataset(store)
    asked: dict[str, Any] = {
        "dataset": dataset,
        "backbones": backbones,
        "cv": number_or_plan(division.cv),
        "split": folds.split,
        **vars(given),
        "group_by": folds.group_by,
        "near_duplicates": division.near_duplicates,
        **vars(views),
        "seed": folds.seed,
        "dealing": folds.dealing,
        "options": options,
        "n_jobs": page.jobs,
        "device": _tell_device(device, ray),
    }
    if self_check:
        with progress() as on_progress, fits_on(ray):
            found = run_self_check(store, **asked, task=models.task, progress=on_progress)
        if as_json:
            print_json({"self_check": found})
        else:
            out.print(found)
        return
    with progress("scores that were computed are kept; run the same command to go on") as on_progress, fits_on(ray):
        experiment = run_experiment(
            store,
            **asked,
            task=models.task,
            repeats=division.repeats,
            rare=folds.rare,
            recipes=[models.recipe] if models.recipe else STACKS,
            **shots,
            with_model=files.save is not None,
            keep_features=not files.save_without_features,
            train_only=files.save_train_only,
            check=None if before is None else lambda planned: check_against(planned, before),
            progress=on_progress,
        )
    change = compare_results(experiment, before) if before else None
    if as_json:
        told = {"against": change.to_dict()} if change else {}
        print_json({**experiment.to_dict(), "scores": score_rows(experiment), **told})
    else:
        print_experiment(experiment)
        if change:
            print_change(change)
    _write(experiment, store, files, scores, page, change)
    if change and earlier.changes:
        with endings.Outputs() as outputs, outputs.file(f"the images won and lost are in {earlier.changes}"):
            columns = change.columns()
            write_rows(earlier.changes, [columns], dict.fromkeys(columns, str))


def _check_self_check(of_output: list[str], of_fits: list[str]) -> None:
    """Refuse options that the self-check has no use for, of those that were given."""
    ignored = [each for each in of_output if each != "--jobs"] + [each for each in of_fits if each in _NOT_CHECKED]
    if ignored:
        them = "it" if len(ignored) == 1 else "them"
        message = f"--self-check prints one sentence and takes no {', '.join(ignored)}: leave {them} out"
        raise UsageError(message)


def _check_against(earlier: AgainstOptions) -> None:
    """Refuse, before the work, a file of changes that cannot be written, or that nothing is asked of."""
    from stackbone.stack.tables.row_file import check_row_file

    if earlier.changes is None:
        return
    if earlier.against is None:
        message = "--changes is for --against: name an earlier result with --against RESULT.json, or leave it out"
        raise UsageError(message)
    check_row_file("--changes", earlier.changes)


def _check_output(files: OutputOptions, scores: RowOptions, page: PageOptions) -> None:
    """Refuse, before the work, what cannot be written."""
    from stackbone.stack.models.cards.card import card_file, kept_notes
    from stackbone.stack.report.projection import choose_projection
    from stackbone.stack.tables.row_file import check_row_file

    _check_page(files, page)
    if files.save_without_features and files.save is None:
        message = "--save-without-features is for --save: name a file to save the model to, or leave it out"
        raise UsageError(message)
    choose_projection(page.projection)
    written = {f"--{name}": file for name, file in vars(files).items() if not name.startswith("save_")}
    card = {"the card of --save": card_file(files.save)} if files.save else {}
    endings.check_outputs({**written, **scores.files, **card})
    if files.save:
        kept_notes(files.save)  # refuses what is no card
    scores.check()
    if files.predictions:
        check_row_file("--predictions", files.predictions)


def _tell_device(device: str, ray: str | None) -> str:
    """Say where the fits are solved, unless that is the CPU and was asked for, and return the device to ask for."""
    from stackbone.stack.computing.arithmetic import CPU, HOST
    from stackbone.stack.computing.devices import choose_arithmetic

    if ray is not None and device != CPU:
        message = f"--ray fits on the cores of a cluster, and --device is {device!r}: leave one of the two out"
        raise UsageError(message)
    chosen = choose_arithmetic(device)
    if chosen is HOST:
        if device != CPU:
            err.note("note: torch finds no GPU with CUDA here: the fits are solved on the CPU")
        return CPU
    err.note(f"note: logistic regressions and linear SVMs are solved on {chosen.name}")
    return device


def _tell_dataset(store: FeatureStore) -> None:
    """Say which of several datasets is taken, before the work on it."""
    first, *others = store.dataset_names() or [""]
    if others:
        shown, more = ", ".join(others[:_SHOWN]), f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        err.note(f"note: this is {first}, the dataset extracted last; --dataset NAME takes another: {shown}{more}")


_SHOWN = 10
_NOT_CHECKED = ("--recipe", "--repeats", "--rare", "--metric", "--class-weight", "--weight-column")
"""Options that say how models are fitted or scored, and that `--self-check` has no use for."""


def _check_page(files: OutputOptions, page: PageOptions) -> None:
    """Refuse options of a report that is not asked for."""
    of_a_page = ("--steering", "--weights", "--open")
    without_effect = (
        () if files.report else of_a_page if page.figures else (*of_a_page, "--learning-curve", "--projection")
    )
    refuse_idle([each for each in changed(page) if each in without_effect])
    if page.weights and not page.steering:
        message = "--weights needs --steering: give both or neither"
        raise UsageError(message)


def _fitted(experiment: Experiment) -> str:
    """Return which images the model to save was fitted on, and how long that took."""
    n_fitted, took = experiment.model.n_images if experiment.model else 0, f"in {experiment.model_seconds:,.1f} s"
    if n_fitted < experiment.n_images:
        return f"fitted on the {n_fitted:,} images of the other splits alone {took}"
    if experiment.split is None:
        return f"fitted on all {n_fitted:,} images {took}"
    return (
        f"fitted on all {n_fitted:,} images {took}, those of the split {experiment.split!r} among them "
        "(--save-train-only leaves them out)"
    )


def _write(
    experiment: Experiment,
    store: FeatureStore,
    files: OutputOptions,
    scores: RowOptions,
    page: PageOptions,
    change: Change | None = None,
) -> None:
    """Write each file that was asked for: the table stands, whatever becomes of them."""
    from stackbone.extract.backbones.licences import known_licences
    from stackbone.stack.experiments.result_file import write_result
    from stackbone.stack.models.cards.card import card_file, kept_notes, write_card
    from stackbone.stack.models.model_file import write_model
    from stackbone.stack.models.unlike.words import about_kept
    from stackbone.stack.tables.card import card_facts
    from stackbone.stack.tables.prediction_file import write_predictions
    from stackbone.stack.tables.score_rows import score_rows

    rows = score_rows(experiment)
    with endings.Outputs() as outputs:
        scores.write({name: [row[name] for row in rows] for name in rows[0]}, outputs)
        if files.result:
            with outputs.file(f"all numbers are in {files.result}"):
                write_result(experiment, files.result)
        if files.predictions:
            with outputs.file(f"each prediction is in {files.predictions}"):
                write_predictions(experiment, files.predictions)
        if files.save and experiment.model:
            words = typed("stackbone", "predict", "PHOTOS", "--model", files.save)
            model = experiment.model
            kept = [] if files.save_without_features else [about_kept(model.novelty)]
            said = f"the model, {_fitted(experiment)}, is in {files.save}"
            sha256 = ""
            with outputs.file(said):
                sha256 = write_model(model, files.save)
            if sha256:  # what the card tells may have left the cache meanwhile, and the model stands
                with outputs.file(f"its card is in {card_file(files.save)}"):
                    licences = known_licences(spec.architecture for spec in model.specs.values())
                    facts = card_facts(experiment, store, files.save, licences)
                    write_card(model, files.save, sha256, kept_notes(files.save), facts)
                for line in [*kept, f"use it: {words}"]:
                    err.note(line)
        if files.report or page.figures:
            with outputs.file():
                write_page(experiment, store, files.report, page, change)
