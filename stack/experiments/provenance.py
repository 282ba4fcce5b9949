"""Where an experiment's numbers come from: versions, seeds, feature sets, and the commands that repeat it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.text import to_json, typed
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.shots import TRIES
from stackbone.stack.experiments.used_features import used_features
from stackbone.stack.features.source import data_words, is_folder, limit_words
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.learners.recipes import STACKS
from stackbone.stack.metrics.metrics import METRICS, typed_metric

_LIBRARIES = ("stackbone", "numpy", "scipy", "scikit-learn", "mlxtend")


def provenance(experiment: Experiment, store: FeatureStore) -> dict[str, object]:
    """Return what made an experiment's numbers, JSON-able.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.

    Raises
    ------
    CacheError
        If its features have left the cache meanwhile, or are damaged.
    """
    used = used_features(experiment, store)
    sets = {each.id if one.per_fold else one.name: each for one in used for each in one.feature_sets}
    sets |= {each.id: each for each in _other_views(experiment)}
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "seed": experiment.seed,
        "folds": [{"n_train": len(fold.train), "n_test": len(fold.test)} for fold in experiment.folds],
        "options": experiment.asked(),
        "feature_sets": {
            name: {"id": each.id, "spec": asdict(each.header().spec), "provenance": dict(each.provenance())}
            for name, each in sets.items()
        },
        "commands": repeat_commands(experiment, store),
    }


def repeat_commands(experiment: Experiment, store: FeatureStore) -> list[str]:
    """Return the commands that embed the images again and score them again.

    The first are there only where they are known: a dataset whose labels are the names of its folders was read from
    its root, while the cache does not keep the name of a table, or of a steering file.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.
    """
    if experiment.commands is not None:
        return experiment.commands
    ids = list(dict.fromkeys(each.id for used in used_features(experiment, store) for each in used.feature_sets))
    sets = [each for each in store.feature_sets() if each.id in ids] + _other_views(experiment)
    commands = [_stack_command(experiment, ids)]
    index = experiment.joined.index
    if (index.listed.asked or is_folder(index)) and not any(each.header().spec.steering for each in sets):
        commands = [*_extract_commands(index, sets), *commands]
    return [typed(*words, "--dataset", experiment.dataset, "--cache", store.root) for words in commands]


def _other_views(experiment: Experiment) -> list[FeatureSet]:
    """Return the feature sets of views that `Experiment.backbones` does not name."""
    named = {each.id for each in experiment.joined.feature_sets.values()}
    views = [each for sets in experiment.joined.view_sets.values() for each in sets.values()]
    return [each for each in views if each.id not in named]


def _extract_commands(index: DatasetIndex, sets: Sequence[FeatureSet]) -> list[list[str]]:
    """Return a command for each precision."""
    names: dict[str, list[str]] = {}
    for each in sets:
        names.setdefault(each.header().spec.precision, []).append(each.backbone)
    to_root, let_in = ["stackbone", "extract", *data_words(index)], limit_words(sets)
    return [
        [*to_root, "--backbones", ",".join(dict.fromkeys(backbones)), "--precision", precision, *let_in]
        for precision, backbones in names.items()
    ]


def _stack_command(experiment: Experiment, ids: list[str]) -> list[str]:
    e, plain = experiment, stack_options(experiment.task)
    scored = {each.model for each in e.evaluation.results}
    rows = [e.kind.recipes[name] for name in STACKS if name in e.kind.recipes]
    by_default = {row for row in rows if not row.startswith(e.kind.unmeasured(e.options.metric))}
    is_default = e.recipe == STACKS[0] and by_default <= scored
    asked = {
        "--task": (e.task, "classification"),
        "--repeats": (e.repeats, 1),
        "--recipe": (None if is_default else e.recipe, None),
        "--meta": (e.options.meta.learner, plain.meta.learner),
        "--meta-scores": (e.options.meta.scores, plain.meta.scores),
        "--meta-combine": (e.options.meta.combine, plain.meta.combine),
        "--c": (e.options.c, plain.c),
        "--inner-cv": (e.options.inner_splits, plain.inner_splits),
        "--heads": (",".join(e.options.heads), ""),
        "--fusion": (e.options.fusion, plain.fusion),
        "--metric": (None if e.options.metric is None else typed_metric(METRICS[e.options.metric]), None),
        "--class-weight": (_typed_weights(e.options.class_weight), None),
        "--weight-column": (e.options.weight_column, None),
        "--group-by": (e.division.group_by, "auto"),
        "--near-duplicates": (e.division.near_duplicates, None),
        "--rare": (e.division.rare, "refuse"),
        "--dealing": (e.division.dealing, DEALINGS[0]),
        "--train-views": (",".join(e.joined.views.train), PLAIN),
        "--test-views": (",".join(e.joined.views.test), PLAIN),
        "--shots": (",".join(map(str, e.few_shots.shots)) if e.few_shots else None, None),
        "--tries": (e.few_shots.tries if e.few_shots else TRIES, TRIES),
    }
    divided = e.division.words() if e.split is None else ["--split", e.split]
    chosen = [word for name, (value, default) in asked.items() if value != default for word in (name, str(value))]
    return ["stackbone", "stack", *divided, "--seed", str(e.seed), *chosen, "--backbones", ",".join(ids)]


def _typed_weights(class_weight: str | Mapping[str, float] | None) -> str | None:
    """Return class weights as ``--class-weight`` takes them without a file."""
    return class_weight if class_weight is None or isinstance(class_weight, str) else to_json(dict(class_weight))
