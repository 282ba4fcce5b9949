"""What a caller of StackedBackbones asked for, judged as a whole before anything is fitted.

Parameters flow in; one classifier and the columns of each block flow out, then the inner folds. All
that is wrong with the parameters is said in one ValueError, scikit-learn's kind, so that a call is
mended once.
"""

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv

SCORE_METHODS = {"probability": "predict_proba", "log-probability": "predict_proba", "decision": "decision_function"}
"""`stack_method` to the method of a base classifier that it needs."""

COMBINATIONS = ("concat", "average")
IN_SAMPLE = "in-sample"

Columns = slice | NDArray[np.intp]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Row indices to fit on, row indices to score."""


def named_pairs(estimators: object) -> list[tuple[str, Any]]:
    """Return the well-formed (name, classifier) pairs of a list; none for anything else."""
    pairs = estimators if isinstance(estimators, list) else []
    return [pair for pair in pairs if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)]


def read_arguments(
    params: Mapping[str, Any], default: object, n_features: int, feature_names: NDArray[np.object_] | None
) -> tuple[dict[str, Any], dict[str, Columns]]:
    """Judge the parameters together and resolve the blocks.

    Parameters
    ----------
    params : mapping of str to object
        The estimator's own parameters, by name.
    default : classifier
        The base classifier where none was given.
    n_features : int
        Number of columns of X.
    feature_names : NDArray[np.object_] or None
        ``(n_features,)`` column names of X, if it has them.

    Returns
    -------
    classifiers : dict of str to classifier
        One per block, not cloned.
    columns : dict of str to slice or NDArray[np.intp]
        The columns of X that each sees, by the same names in the same order.

    Raises
    ------
    ValueError
        If anything is wrong; the message lists all of it.
    """
    problems = _judge_options(params)
    columns = _find_blocks(params["blocks"], n_features, feature_names, problems)
    estimators = params["estimators"]
    if isinstance(estimators, list):
        _judge_pairs(estimators, params, problems)
        classifiers = dict(named_pairs(estimators))
        if params["blocks"] is None:
            columns = dict.fromkeys(classifiers, slice(0, n_features))
        elif isinstance(params["blocks"], Mapping) and set(classifiers) != set(params["blocks"]):
            problems.append(
                f"estimators name {_listed(classifiers)} and blocks name {_listed(params['blocks'])}: "
                "give every block one classifier, under the block's name"
            )
    else:
        classifiers = dict.fromkeys(columns, default if estimators is None else estimators)
    _judge_classifiers(classifiers, params["stack_method"], problems)
    if problems:
        msg = "\n- ".join([f"{len(problems)} wrong argument(s) of StackedBackbones:", *problems])
        raise ValueError(msg)
    return {name: classifiers[name] for name in columns}, columns


def split_rows(
    x: NDArray[np.floating],
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    cv: Any,  # noqa: ANN401 - a number, a splitter or an iterable, as scikit-learn has it
    random_state: int | np.random.RandomState | None,
) -> list[Split]:
    """Make the inner folds, and require that they score every row once and honestly.

    Parameters
    ----------
    x, y : ndarray
        ``(n_samples, n_features)`` features and ``(n_samples,)`` labels, which splitters may ask for.
    groups : ndarray, optional
        ``(n_samples,)``; no group may be on both sides of a fold.
    cv : int, splitter, iterable of (train, test) or "in-sample"
        A number: ``StratifiedKFold``, or ``StratifiedGroupKFold`` with groups, shuffled.
        "in-sample": no folds.
    random_state : int, RandomState or None
        Seed of that shuffle.

    Returns
    -------
    list of Split
        Every row is in exactly one test part; no folds for "in-sample".

    Raises
    ------
    ValueError
        If a class has fewer rows (groups) than `cv`, a row is in no test part or in several, a training
        part shares rows or groups with its test part, or it lacks a class.
    """
    if isinstance(cv, str):
        if groups is not None:
            msg = f"groups were given, but cv={cv!r} makes no folds to keep them together in: give cv a number"
            raise ValueError(msg)
        return []
    if isinstance(cv, Integral):
        _require_class_sizes(y, groups, int(cv))
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv = kind(int(cv), shuffle=True, random_state=random_state)
    rows = np.arange(len(y))
    try:
        folds = [(rows[np.asarray(a)], rows[np.asarray(b)]) for a, b in check_cv(cv).split(x, y, groups)]
    except IndexError as error:
        msg = f"a fold of cv points beyond the {len(y)} rows of X ({error}): make folds of these rows"
        raise ValueError(msg) from error
    times = np.bincount(np.concatenate([rows[:0], *(test for _, test in folds)]), minlength=len(y))
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        msg = (
            f"{len(wrong)} of {len(y)} rows are not in exactly one test part of cv (row {wrong[0]} is in "
            f"{times[wrong[0]]}), so they have no one out-of-fold score: use folds whose test parts divide the rows"
        )
        raise ValueError(msg)
    for number, fold in enumerate(folds, start=1):
        _require_honest(fold, y, groups, f"inner fold {number} of {len(folds)}")
    return folds


def _judge_options(params: Mapping[str, Any]) -> list[str]:
    problems = []
    for option, choices in (("stack_method", tuple(SCORE_METHODS)), ("combine", COMBINATIONS)):
        found = params[option]
        if found not in choices:
            near = difflib.get_close_matches(str(found), choices, n=1, cutoff=0.4)
            hint = f": did you mean {near[0]!r}?" if near else ""
            problems.append(f"{option} is {found!r}; it is one of {_listed(choices)}{hint}")
    if not isinstance(params["passthrough"], bool | np.bool_):
        problems.append(f"passthrough is {params['passthrough']!r}; it is True or False")
    cv = params["cv"]
    number = isinstance(cv, Integral) and not isinstance(cv, bool) and int(cv) >= 2
    folds = not isinstance(cv, str) and (hasattr(cv, "split") or isinstance(cv, Iterable))
    if not (number or folds or cv == IN_SAMPLE):
        problems.append(
            f"cv is {cv!r}; give a number of folds from 2, a splitter, (train, test) pairs, or {IN_SAMPLE!r}"
        )
    final = params["final_estimator"]
    if final is not None and (isinstance(final, type) or not hasattr(final, "fit")):
        problems.append(f"final_estimator is {final!r}; give a classifier, such as LinearSVM()")
    return problems


def _find_blocks(
    blocks: object, n_features: int, feature_names: NDArray[np.object_] | None, problems: list[str]
) -> dict[str, Columns]:
    if blocks is None:
        return {"features": slice(0, n_features)}
    if not isinstance(blocks, Mapping) or not blocks or not all(isinstance(name, str) for name in blocks):
        problems.append(f"blocks is {blocks!r}; give a mapping of each block's name to its columns")
        return {}
    found: dict[str, Columns] = {}
    for name, wanted in blocks.items():
        try:
            found[name] = _find_columns(wanted, n_features, feature_names)
        except ValueError as error:
            problems.append(f"block {name!r} {error}")
    return found


def _find_columns(wanted: object, n_features: int, feature_names: NDArray[np.object_] | None) -> Columns:
    known = f"X has {n_features} columns"
    if isinstance(wanted, slice):
        bounds = [bound for bound in (wanted.start, wanted.stop, wanted.step) if bound is not None]
        whole = all(isinstance(bound, Integral) for bound in bounds)
        if not whole or wanted.step == 0 or any(abs(bound) > n_features for bound in bounds[:2]):
            msg = f"is {wanted!r}, and {known}: give a slice within them"
            raise ValueError(msg)
        if len(range(n_features)[wanted]) == 0:
            msg = f"is {wanted!r}, which holds no column: give at least one"
            raise ValueError(msg)
        return wanted
    columns = np.asarray(wanted)
    if columns.ndim != 1 or columns.size == 0 or columns.dtype.kind not in "iuUOT":
        msg = f"is {wanted!r}: give a slice, a list of column indices, or a list of column names"
        raise ValueError(msg)
    if columns.dtype.kind in "iu":
        absent = columns[(columns < -n_features) | (columns >= n_features)]
        hint = f"{known}, 0 to {n_features - 1}"
        places = columns % n_features
    elif feature_names is None:
        msg = (
            f"names columns, such as {str(columns[0])!r}, but X has no column names: pass a DataFrame, or give indices"
        )
        raise ValueError(msg)
    else:
        place = {name: i for i, name in enumerate(feature_names)}
        if len(place) < n_features:
            msg = "names columns, but some names of X occur twice: give indices, or rename its columns"
            raise ValueError(msg)
        absent = np.array([name for name in columns if name not in place], dtype=object)
        near = difflib.get_close_matches(str(absent[0]), list(place), n=1, cutoff=0.0) if len(absent) else []
        hint = f"{known}; did you mean {near[0]!r}?" if near else known
        places = np.array([place.get(name, -1) for name in columns])
    if len(absent):
        msg = f"names {len(absent)} column(s) that X lacks ({absent[0]} first): {hint}"
        raise ValueError(msg)
    if len(np.unique(places)) < len(places):
        msg = f"names {len(places) - len(np.unique(places))} column(s) more than once: name each once"
        raise ValueError(msg)
    return places.astype(np.intp)


def _judge_pairs(estimators: list[Any], params: Mapping[str, Any], problems: list[str]) -> None:
    pairs = named_pairs(estimators)
    names = [name for name, _ in pairs]
    if len(pairs) < len(estimators) or not pairs:
        problems.append(f"estimators is {estimators!r}; give one classifier, or a list of (name, classifier) tuples")
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"estimators hold the name {name!r} {names.count(name)} times: give each its own")
    for name in sorted({name for name in names if "__" in name or name in params}):
        reason = "holds '__', which parts names from parameters" if "__" in name else "is a parameter's"
        problems.append(f"the name {name!r} of a classifier {reason}: give it another")


def _judge_classifiers(classifiers: Mapping[str, Any], stack_method: object, problems: list[str]) -> None:
    needed = SCORE_METHODS.get(stack_method) if isinstance(stack_method, str) else None
    for name, classifier in classifiers.items():
        kind = type(classifier).__name__
        if isinstance(classifier, type) or not hasattr(classifier, "fit"):
            problems.append(f"the classifier of {name!r} is {classifier!r}; give one with a method fit")
        elif needed and not hasattr(classifier, needed):
            other = [choice for choice, method in SCORE_METHODS.items() if hasattr(classifier, method)]
            instead = f"use stack_method={other[0]!r}, or another classifier" if other else "use another classifier"
            problems.append(
                f"the classifier of {name!r} ({kind}) has no {needed}, which stack_method={stack_method!r} needs: "
                f"{instead}"
            )


def _require_class_sizes(y: NDArray[Any], groups: NDArray[Any] | None, n_splits: int) -> None:
    unit = "rows" if groups is None else "groups"
    members = np.arange(len(y)) if groups is None else groups
    sizes = {label: len(np.unique(members[y == label])) for label in np.unique(y)}
    rare = [f"{label} ({size})" for label, size in sizes.items() if size < n_splits]
    if rare:
        msg = (
            f"{len(rare)} class(es) have fewer {unit} than the {n_splits} folds of cv: {', '.join(rare)}; "
            f"each needs one {unit[:-1]} per fold: lower cv (to 2 at least), add {unit}, or leave the class out"
        )
        raise ValueError(msg)


def _require_honest(fold: Split, y: NDArray[Any], groups: NDArray[Any] | None, where: str) -> None:
    train, test = fold
    shared = np.intersect1d(train, test)
    if len(shared):
        msg = f"{where} trains on {len(shared)} rows of its test part (row {shared[0]} first): use disjoint folds"
        raise ValueError(msg)
    missing = np.setdiff1d(y, y[train])
    if len(missing):
        msg = (
            f"the training part of {where} has no row of {len(missing)} class(es) ({missing[0]} first); their scores "
            "would be missing: use stratified folds, fewer folds, or leave the class out"
        )
        raise ValueError(msg)
    if groups is None:
        return
    both = np.intersect1d(groups[train], groups[test])
    if len(both):
        msg = (
            f"{where} has {len(both)} group(s) on both sides ({both[0]} first): "
            "give cv a number, or a splitter that keeps groups together such as StratifiedGroupKFold"
        )
        raise ValueError(msg)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(repr(name) for name in names)
