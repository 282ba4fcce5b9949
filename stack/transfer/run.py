"""Run a transfer experiment: read two domains, divide the target, score every method, compare with the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.choices import unknown_choice
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import Division, choose_plan
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.transfer.domains.divided import divide_domains
from stackbone.stack.transfer.domains.parts import FoldPart, labels_shown
from stackbone.stack.transfer.domains.reading import TASK, Asked, read_domains
from stackbone.stack.transfer.domains.settings import Setting, parse_settings
from stackbone.stack.transfer.evaluation.comparing import Scoring
from stackbone.stack.transfer.evaluation.evaluate import evaluate_methods
from stackbone.stack.transfer.evaluation.sources import not_judged, weigh_sources
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.explanation import explain
from stackbone.stack.transfer.final_model import check_saved, with_model
from stackbone.stack.transfer.method import FAMILIES, HIDDEN, Codes, Method
from stackbone.stack.transfer.open_set import count_refusals
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import SOURCE_ONLY


def run_transfer(
    store: FeatureStore | None = None,
    *,
    target: str,
    source: str | Sequence[str] = (),
    dataset: str | None = None,
    domain_column: str | None = None,
    target_labels: str = "all",
    methods: str | Sequence[str] = "all",
    backbones: str | Sequence[str] | None = None,
    cv: int | str | None = None,
    repeats: int = 1,
    split: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    rare: str = "refuse",
    seed: int = 0,
    dealing: str | None = None,
    fit_model: bool = False,
    save_method: str | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> TransferExperiment:
    """Score what labelled images of a source domain teach about a target domain, on cached features.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    target, source
        Datasets; or, with `domain_column`, values of it, where no source stands for all but the target.
    dataset, domain_column
        One dataset that holds all domains, by default the last one extracted, and the column that tells them apart.
    target_labels
        Target labels that are shown: ``none``, ``few:K`` of each class, ``all``; or several, separated by commas.
    methods
        Names of methods or of families, as a list or separated by commas; ``all`` for every one but ``dann``, which
        takes longest and runs where it is named;
        ``baseline`` for none but the three baselines, which always run.
    backbones, group_by, near_duplicates, rare, seed, dealing
        As of `stack.experiments.run.run_experiment`. Near copies (a cosine of .98 or more in every backbone, unless
        `near_duplicates` says otherwise) are always kept on one side.
    cv, repeats, split
        How the target is divided: number of folds, 3 by default, and how often; or its own split to test.
    fit_model
        Fit a method on everything too, to be saved.
    save_method
        Which; by default as of `stack.transfer.final_model.with_model`.
    n_jobs
        Fits at a time; all cores by default.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    UsageError
        If a name is unknown, or arguments contradict each other.
    StackError
        If labels, groups or features do not allow it.
    CacheError
        If the cache lacks a dataset or is damaged.
    """
    store = store or FeatureStore()
    settings, chosen = parse_settings(target_labels), choose_methods(methods)
    if fit_model:
        check_model(target_labels, methods, save_method)
    if isinstance(cv, str):
        message = f"--cv {cv}: a transfer fits every method once for each fold; use a number, such as --cv 5"
        raise UsageError(message)
    if split is not None:
        split = find_split(store.dataset(target if domain_column is None else dataset), split)
    division = Division(
        task=TASK,
        **choose_plan(cv, split, None, None),
        repeats=repeats,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        rare=rare,
        seed=seed,
        dealing=dealing or DEALINGS[0],
    )
    asked = Asked(
        source=_listed(source),
        target=target,
        dataset=dataset,
        column=domain_column,
        backbones=backbones,
        split=split,
        group_by=group_by,
    )
    read, joined, notes = read_domains(store, asked)
    pair, parts = divide_domains(read, joined, asked, division, progress)
    scoring = Scoring(pair, parts, seed, split is not None)
    scores, warnings = evaluate_methods(scoring, settings, chosen, n_jobs=n_jobs, progress=progress)
    scores, of_sources = weigh_sources(scoring, scores, n_jobs=n_jobs, progress=progress)
    scores = [replace(each, refusals=count_refusals(pair, parts, each.setting, seed, split)) for each in scores]
    alone = scores[0].result(SOURCE_ONLY).chosen
    strengths = {name: float(chosen_in_fold[0]["C"]) for name, chosen_in_fold in alone.items()}
    explanation = explain(pair, strengths, seed, n_jobs=n_jobs, progress=progress)
    shots = [note for setting in settings if (note := _shots_note(setting, parts, pair.target_codes))]
    too_many = not_judged(scoring)
    experiment = TransferExperiment(
        asked=asked,
        division=division,
        pair=pair,
        parts=parts,
        scores=scores,
        notes=[*pair.target.notes, *notes, *pair.notes, *shots, *([too_many] if too_many else [])],
        warnings={**warnings, **of_sources},
        explanation=explanation,
    )
    return with_model(experiment, save_method, n_jobs=n_jobs, progress=progress) if fit_model else experiment


def check_model(target_labels: str, methods: str | Sequence[str], save_method: str | None) -> None:
    """Refuse, before the work, a model that cannot be made; parameters as of `run_transfer`.

    Raises
    ------
    UsageError
        If there are several settings, or the method is not among those that run, or no linear map.
    """
    settings = parse_settings(target_labels)
    if len(settings) > 1:
        message = (
            f"--save keeps one model, and {typed('--target-labels', target_labels)} makes several: name one, such as "
            f"{typed('--target-labels', settings[-1].name)}"
        )
        raise UsageError(message)
    check_saved(choose_methods(methods), save_method)


def choose_methods(asked: str | Sequence[str]) -> list[Method]:
    """Return the methods that names, families or ``all`` stand for, the baselines before them, in the table's order.

    Raises
    ------
    UsageError
        If a name is none of these.
    """
    names = _listed(asked)
    if not names:
        message = "--methods names no method: type --methods all, or --methods baseline for none beside the baselines"
        raise UsageError(message)
    wanted: set[str] = set()
    for name in names:
        if name == "all":
            wanted |= {each.name for each in METHODS.values() if each.by_default}
        elif name in FAMILIES:
            wanted |= {each.name for each in METHODS.values() if each.family == name}
        elif name in METHODS:
            wanted.add(name)
        else:
            raise UsageError(unknown_choice("method", name, [*METHODS, *FAMILIES, "all"]))
    return [each for each in METHODS.values() if each.family == "baseline" or each.name in wanted]


def left_out_of_all(asked: str | Sequence[str]) -> str | None:
    """Return in a sentence which methods ``all`` leaves out; None where it does not stand among the names."""
    names = _listed(asked)
    out = [each.name for each in METHODS.values() if not each.by_default and not {each.name, each.family} & {*names}]
    if "all" not in names or not out:
        return None
    takes, them = ("it takes", "it") if len(out) == 1 else ("they take", "them")
    return (
        f"--methods all leaves out {', '.join(out)}, since {takes} longest: to compare {them} too, type "
        f"{typed('--methods', ','.join([*names, *out]))}"
    )


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names that were given as a list or separated by commas, each once."""
    words = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def _shots_note(setting: Setting, parts: Sequence[FoldPart], codes: Codes) -> str | None:
    """Return in a sentence that some classes have fewer labels than are asked for."""
    if not setting.shots:
        return None
    n_classes = int(codes.max()) + 1
    least = np.full(n_classes, setting.shots)
    for part in parts:
        shown = labels_shown(part, codes, setting)
        least = np.minimum(least, np.bincount(shown[shown != HIDDEN], minlength=n_classes))
    n_short = int((least < setting.shots).sum())
    if not n_short:
        return None
    return (
        f"{setting.name} shows all labels of {counted(n_short, 'class', 'classes')} that have fewer in a training part"
    )
