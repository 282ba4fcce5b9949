"""An experiment run again as a result file records it, and compared with what the file says."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackbone.cache import FeatureStore, StackboneError, StackError
from stackbone.cache.progress import Progress
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.records.views import is_known_view
from stackbone.cache.text import to_json
from stackbone.stack.divisions.division import DEALT, GIVEN, ORDERED, PLANS, UNNAMED
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.result_file import not_a_result, read_result
from stackbone.stack.experiments.run import run_experiment
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.learners.class_weight import BALANCED, parse_class_weight
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.learners.recipes import STACKS, recipe_rows

_KINDS: dict[str, type | tuple[type, ...]] = {
    "task": str,
    "dataset": str,
    "cv": (int, type(None)),
    "repeats": int,
    "split": (str, type(None)),
    "seed": int,
    "group_by": str,
    "near_duplicates": (int, float, type(None)),
    "rare": str,
    "c": (int, float, type(None)),
    "inner_splits": int,
    "meta": dict,
    "backbones": dict,
    "results": list,
    "without": dict,
}
_COUNTS = {"n_images": "images", "n_classes": "classes", "n_groups": "groups"}
_SAME = {"rel_tol": 1e-6, "abs_tol": 1e-9}  # another machine rounds otherwise; a changed image shows in more digits

_Scores = dict[tuple[str, str], list[float]]


def reproduce_experiment(
    result_file: Path, store: FeatureStore, *, n_jobs: int | None = None, progress: Progress | None = None
) -> Experiment:
    """Run the experiment of a result file again; where its scores are still in the cache, in seconds.

    Parameters
    ----------
    result_file : Path
        What `stack.experiments.result_file.write_result` wrote.
    store : FeatureStore
        The cache that it was made with.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    Experiment
        Whose numbers are those of the file.

    Raises
    ------
    StackError
        If the file is not a valid result, or the numbers are different now: the cache has changed since.
    CacheError, UsageError
        If the cache lacks the dataset or its features.
    """
    recorded = read_result(result_file)
    experiment = run_experiment(store, **_arguments(recorded, result_file), n_jobs=n_jobs, progress=progress)
    found = _first_difference(recorded, experiment.to_dict(), result_file)
    if found is not None:
        by, here = recorded.get("stackbone"), version("stackbone")
        versions = "" if by == here else f" (it was recorded by Stackbone {by}, and this is {here})"
        message = (
            f"{result_file} does not describe what is in the cache {store.root} now: {found}{versions}. Labels, images "
            "or features have changed since; run `stackbone stack` with --result again to record what is there"
        )
        raise StackError(message)
    return experiment


def _arguments(recorded: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return the arguments of `run_experiment`."""
    for name, kind in _KINDS.items():
        if name not in recorded or type(recorded[name]) not in (kind if isinstance(kind, tuple) else (kind,)):
            raise StackError(not_a_result(file, f"its field {name!r} is missing or of another type"))
    meta = recorded["meta"]
    if set(meta) != set(MetaOptions.__dataclass_fields__):
        raise StackError(not_a_result(file, f"its field 'meta' has {', '.join(map(str, meta)) or 'nothing'}"))
    scores = _scores(recorded, file)
    _check_folds(recorded, scores, file)
    models = {model for model, _ in scores}
    options = _options(recorded, meta, file)
    same = ("task", "dataset", "repeats", "split", "seed", "group_by", "near_duplicates", "rare")
    return {
        **{name: recorded[name] for name in same},
        **_plan(recorded, file),
        "dealing": _dealing(recorded, file),
        **_views(recorded, file),
        "backbones": _ids(recorded["backbones"]),
        "recipes": _recipes(recorded, models, file),
        "options": options,
        **_shots(recorded, file),
    }


def _recipes(recorded: dict[str, Any], models: set[str], file: Path) -> list[str]:
    """Return the recipe that the result is about, and the stacks beside it; those of earlier versions name none."""
    rows = recipe_rows()
    stacks = [recipe for recipe in STACKS if rows[recipe] in models]
    first = recorded.get("recipe", next(iter(stacks), None))
    if not isinstance(first, str) or rows.get(first) not in models:
        raise StackError(not_a_result(file, f"its recipe is {first!r}"))
    return list(dict.fromkeys([first, *stacks]))


def _dealing(recorded: dict[str, Any], file: Path) -> str:
    """Return how images were dealt to folds; results of earlier versions name no way, and had one alone."""
    dealing = recorded.get("dealing", UNNAMED)
    if dealing not in DEALINGS:
        raise StackError(not_a_result(file, f"its dealing is {dealing!r}"))
    return str(dealing)


def _plan(recorded: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return what says which images are tested, but for the split; where no plan is named, folds were drawn."""
    plan, column, cv = recorded.get("plan", DEALT), recorded.get("column"), recorded["cv"]
    needs_column = plan in (GIVEN, ORDERED)
    if (
        plan not in PLANS
        or isinstance(column, str) != needs_column
        or (plan != DEALT and recorded["split"] is not None)
    ):
        raise StackError(not_a_result(file, f"its plan is {plan!r}, of the column {column!r}"))
    if plan == GIVEN:
        return {"folds": column}
    if plan == ORDERED:
        return {"cv": cv, "time_column": column}
    return {} if cv is None else {"cv": cv if plan == DEALT else plan}


def _views(recorded: dict[str, Any], file: Path) -> dict[str, list[str]]:
    """Return the views that were learnt from and tested; those of earlier versions, and of most, were plain."""
    found = {name: recorded.get(name, [PLAIN]) for name in ("train_views", "test_views")}
    for name, views in found.items():
        if (
            not isinstance(views, list)
            or not views
            or not all(isinstance(each, str) and is_known_view(each) for each in views)
        ):
            raise StackError(not_a_result(file, f"its field {name!r} is {views!r}"))
    return {} if all(views == [PLAIN] for views in found.values()) else found


def _shots(recorded: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return how few images were drawn, if any were."""
    few = recorded.get("few_shots")
    if few is None:
        return {}
    listed = few.get("shots") if isinstance(few, dict) else None
    if not isinstance(listed, list) or not all(type(each) is int for each in [*listed, few.get("tries")]):
        raise StackError(not_a_result(file, "its few-shot scores are not as they are written"))
    scores = _few_scores(recorded, file)
    names = [_shots_name(number) for number in listed]
    if list(scores) != [(model, name) for model in dict.fromkeys(model for model, _ in scores) for name in names]:
        raise StackError(not_a_result(file, f"its few-shot scores are not those of {str(listed)[:80]} images a class"))
    if any(len(tries) != few["tries"] for tries in scores.values()):
        raise StackError(not_a_result(file, f"it names {few['tries']} tries and lists the scores of others"))
    return {"shots": listed, "tries": few["tries"]}


def _shots_name(number: object) -> str:
    return f"{number} images a class"


def _few_scores(result: dict[str, Any], file: Path) -> _Scores:
    """Return the few-shot scores of each try by model and number of images."""
    few = result.get("few_shots") or {"scores": []}
    try:
        return {
            (each["model"], _shots_name(each["shots"])): [float(number) for number in each["tries"]]
            for each in few["scores"]
        }
    except (KeyError, TypeError, ValueError) as exc:
        raise StackError(not_a_result(file, f"its few-shot scores are not as they are written ({exc!r})")) from exc


def _check_folds(recorded: dict[str, Any], scores: _Scores, file: Path) -> None:
    """Refuse a number of folds that the file's own scores do not bear out: it would be fitted before it is compared."""
    n_folds = 1 if recorded["split"] is not None else (recorded["cv"] or 0) * recorded["repeats"]
    listed = {len(folds) for folds in scores.values()}
    if n_folds < 1 or listed != {n_folds}:
        counts = ", ".join(map(str, sorted(listed)[:5])) or "none"
        found = f"it names {recorded['repeats']} repeats of {recorded['cv']} folds and lists the scores of {counts}"
        raise StackError(not_a_result(file, found))
    if not 0 <= recorded["seed"] < 1 << 32:
        raise StackError(not_a_result(file, "its seed is out of range"))


def _options(recorded: dict[str, Any], meta: dict[str, Any], file: Path) -> StackOptions:
    try:
        plain = stack_options(
            recorded["task"],
            meta=meta["learner"],
            scores=meta["scores"],
            combine=meta["combine"],
            c=recorded["c"],
            inner_splits=recorded["inner_splits"],
            fusion=recorded.get("fusion", "none"),  # of earlier versions, which knew one output of a network
            heads=recorded.get("heads"),
            metric=_name(recorded, "metric"),
            class_weight=_class_weight(recorded),
            weight_column=_name(recorded, "weight_column"),
        )
    except (StackboneError, TypeError) as exc:
        raise StackError(not_a_result(file, f"its options are not as they are written ({exc})")) from exc
    if meta["c"] is not None and not (type(meta["c"]) in (int, float) and 0 < meta["c"] < float("inf")):
        raise StackError(not_a_result(file, "the C of its meta-learner is not a positive number"))
    return replace(plain, meta=replace(plain.meta, c=meta["c"]))


def _class_weight(recorded: dict[str, Any]) -> str | dict[str, float] | None:
    """Return the class weights, which a file may have changed to anything."""
    found = recorded.get("class_weight")
    if found is None or found == BALANCED:
        return found
    if not isinstance(found, dict):  # a text would be taken for the name of a file
        message = f"class weights are {BALANCED} or numbers by class, not {found!r}"
        raise TypeError(message)
    return parse_class_weight(to_json(found))


def _name(recorded: dict[str, Any], field: str) -> str | None:
    """Return a name that results of earlier versions, and most, do not have."""
    found = recorded.get(field)
    if found is not None and not isinstance(found, str):
        message = f"{field} is {found!r}, and no text"
        raise TypeError(message)
    return found


def _ids(backbones: dict[str, Any]) -> list[str]:
    """Return the feature sets to use; a steered backbone lists one for each fold."""
    listed = [each if isinstance(each, list) else [each] for each in backbones.values()]
    return list(dict.fromkeys(str(identity) for ids in listed for identity in ids))


def _first_difference(recorded: dict[str, Any], now: dict[str, Any], file: Path) -> str | None:
    """Return in words the first number that is not as recorded."""
    for name, what in _COUNTS.items():
        if recorded.get(name) != now[name]:
            return f"it records {recorded.get(name)} {what}, and there are {now[name]}"
    before, after = (_scores(each, file) | _few_scores(each, file) for each in (recorded, now))
    if len(now["backbones"]) == 1:  # earlier versions repeated the scores of a single backbone in these rows
        before = {key: folds for key, folds in before.items() if key in after or key[0] not in ("mean", "concat")}
    if before.keys() != after.keys():
        names = sorted({" ".join(key) for key in before.keys() ^ after.keys()})
        return f"only one of the two has {', '.join(names)}"
    for (model, metric), folds in before.items():
        for number, (old, new) in enumerate(zip(folds, after[model, metric], strict=True), start=1):
            if not math.isclose(old, new, **_SAME):
                where = "try" if (model, metric) in _few_scores(now, file) else "fold"
                return f"it records {old:.6g} for {metric} of {model} in {where} {number}, which is {new:.6g}"
    return None


def _scores(result: dict[str, Any], file: Path) -> _Scores:
    """Return the numbers of each fold by model and metric; stacks that lack a backbone under their name."""
    listed = [(each, "") for each in result["results"]] + [
        (each, f" without {n}") for n, each in result["without"].items()
    ]
    try:
        return {
            (each["model"] + without, metric): [float(number) for number in numbers["folds"]]
            for each, without in listed
            for metric, numbers in each.items()
            if metric != "model"
        }
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise StackError(not_a_result(file, f"its scores are not as they are written ({exc!r})")) from exc
