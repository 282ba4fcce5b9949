"""What a caller of a stacking estimator asked for, judged as a whole before anything is fitted.

Parameters flow in; one member per block flows out. All that is wrong with the parameters is said in one
ValueError, scikit-learn's kind, so that a call is mended once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor

from stackbone.cache.choices import nearest
from stackbone.cache.text import counted
from stackbone.stack.estimator.blocks import Columns, find_blocks
from stackbone.stack.estimator.inner_folds import WITHOUT_FOLDS
from stackbone.stack.learners.options import COMBINE

SCORE_METHODS = {
    "auto": ("predict_proba", "decision_function", "predict"),
    "probability": ("predict_proba",),
    "predict_proba": ("predict_proba",),
    "log-probability": ("predict_proba",),
    "decision": ("decision_function",),
    "decision_function": ("decision_function",),
    "predict": ("predict",),
}
"""`stack_method` to the methods of a member that will do, the best first."""

DROPPED = "drop"
"""Stands in place of a member that is to be left out, as scikit-learn has it."""

Kind = Literal["classifier", "regressor"]


@dataclass(frozen=True)
class Member:
    """One estimator of the first layer.

    Attributes
    ----------
    name : str
        The block's name.
    estimator : classifier or regressor
        As it was given, not cloned.
    columns : slice or NDArray[np.intp]
        The columns of X that it sees.
    method : str
        The method that gives its scores: ``predict_proba``, ``decision_function`` or ``predict``.
    """

    name: str
    estimator: Any
    columns: Columns
    method: str


def named_pairs(estimators: object) -> list[tuple[str, Any]]:
    """Return the well-formed (name, estimator) pairs of a list; none for anything else."""
    pairs = estimators if isinstance(estimators, list) else []
    return [pair for pair in pairs if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)]


def read_arguments(
    owner: str,
    kind: Kind,
    params: Mapping[str, Any],
    default: object,
    n_features: int,
    feature_names: NDArray[np.object_] | None,
) -> list[Member]:
    """Judge the parameters together, resolve the blocks and what each member is asked.

    Parameters
    ----------
    owner : str
        The estimator's name, for the message.
    kind : {"classifier", "regressor"}
        What the estimator is.
    params : mapping of str to object
        The estimator's own parameters, by name.
    default : classifier or regressor
        The member where none was given.
    n_features : int
        Number of columns of X.
    feature_names : NDArray[np.object_] or None
        ``(n_features,)`` column names of X, if it has them.

    Returns
    -------
    list of Member
        One per block, in the blocks' order, without those dropped.

    Raises
    ------
    ValueError
        If anything is wrong; the message lists all of it.
    """
    problems = _judge_options(kind, params)
    columns = find_blocks(params["blocks"], n_features, feature_names, problems)
    asked = params["blocks"] if isinstance(params["blocks"], Mapping) else columns
    estimators = params["estimators"]
    if isinstance(estimators, list):
        _judge_pairs(kind, estimators, params, problems)
        given = dict(named_pairs(estimators))
        if params["blocks"] is None:
            columns = dict.fromkeys(given, slice(0, n_features))
        elif asked and set(given) != set(asked):
            problems.append(
                f"estimators name {_listed(given)} and blocks name {_listed(asked)}: "
                f"give every block one {kind}, under the block's name"
            )
    else:
        given = dict.fromkeys(columns, default if estimators is None else estimators)
        if params["cv"] == "prefit":
            problems.append(f"cv is 'prefit', and estimators is not a list: give (name, fitted {kind}) tuples")
    methods = {name: _judge_member(kind, name, each, params, problems) for name, each in given.items()}
    if problems:
        msg = "\n- ".join([f"{counted(len(problems), 'wrong argument')} of {owner}:", *problems])
        raise ValueError(msg)
    return [Member(name, given[name], columns[name], methods[name]) for name in columns if not is_dropped(given[name])]


def is_dropped(estimator: object) -> bool:
    """Return whether a member is left out."""
    return isinstance(estimator, str) and estimator == DROPPED


def _judge_options(kind: Kind, params: Mapping[str, Any]) -> list[str]:
    problems = []
    for option, choices in (("stack_method", tuple(SCORE_METHODS)), ("combine", COMBINE)):
        found = params.get(option, choices[0])
        if found not in choices:
            near = nearest(str(found), choices, cutoff=0.4)
            hint = f": did you mean {near!r}?" if near else ""
            problems.append(f"{option} is {found!r}; it is one of {_listed(choices)}{hint}")
    if not isinstance(params["passthrough"], bool | np.bool_):
        problems.append(f"passthrough is {params['passthrough']!r}; it is True or False")
    cv = params["cv"]
    number = isinstance(cv, Integral) and not isinstance(cv, bool) and int(cv) >= 2
    folds = not isinstance(cv, str) and (hasattr(cv, "split") or isinstance(cv, Iterable))
    if not (cv is None or number or folds or (isinstance(cv, str) and cv in WITHOUT_FOLDS)):
        problems.append(
            f"cv is {cv!r}; give a number of folds from 2, a splitter, (train, test) pairs, or one of "
            f"{_listed(WITHOUT_FOLDS)}"
        )
    final = params["final_estimator"]
    if final is not None and (isinstance(final, type) or not hasattr(final, "fit") or _is_other(kind, final)):
        example = "LinearSVM()" if kind == "classifier" else "RidgeRegression()"
        problems.append(f"final_estimator is {final!r}; give a {kind}, such as {example}")
    return problems


def _judge_pairs(kind: Kind, estimators: list[Any], params: Mapping[str, Any], problems: list[str]) -> None:
    pairs = named_pairs(estimators)
    names = [name for name, _ in pairs]
    if len(pairs) < len(estimators) or not pairs:
        problems.append(f"estimators is {estimators!r}; give one {kind}, or a list of (name, {kind}) tuples")
    elif all(is_dropped(each) for _, each in pairs):
        problems.append(f"all {len(pairs)} estimators are 'drop': keep at least one")
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"estimators hold the name {name!r} {names.count(name)} times: give each its own")
    for name in sorted({name for name in names if "__" in name or name in params}):
        reason = "holds '__', which parts names from parameters" if "__" in name else "is a parameter's"
        problems.append(f"the name {name!r} of a {kind} {reason}: give it another")


def _judge_member(kind: Kind, name: str, member: Any, params: Mapping[str, Any], problems: list[str]) -> str:  # noqa: ANN401
    """Return the method that gives the member's scores; what is wrong is added to `problems`."""
    if is_dropped(member):
        return ""
    if isinstance(member, type) or not hasattr(member, "fit"):
        problems.append(f"the {kind} of {name!r} is {member!r}; give one with a method fit")
        return ""
    if kind == "regressor" and is_classifier(member):
        problems.append(f"the regressor of {name!r} is {member!r}, a classifier: give a regressor")
    wanted = params.get("stack_method", "predict")
    methods = SCORE_METHODS.get(wanted, ()) if isinstance(wanted, str) else ()
    found = next((method for method in methods if hasattr(member, method)), "")
    if methods and not found:
        other = [choice for choice, (only, *more) in SCORE_METHODS.items() if not more and hasattr(member, only)]
        instead = f"use stack_method={other[0]!r}, or another {kind}" if other else f"use another {kind}"
        problems.append(
            f"the {kind} of {name!r} ({type(member).__name__}) has no {' or '.join(methods)}, which "
            f"stack_method={wanted!r} needs: {instead}"
        )
    if found == "predict" and kind == "classifier" and params["combine"] == "average" and not is_regressor(member):
        problems.append(
            f"combine is 'average', and {name!r} ({type(member).__name__}) gives classes, which have no mean: "
            "use combine='concat', or another stack_method"
        )
    return found


def _is_other(kind: Kind, estimator: object) -> bool:
    try:
        return bool(is_regressor(estimator) if kind == "classifier" else is_classifier(estimator))
    except (AttributeError, TypeError):  # it has no tags, so that nothing is known of it
        return False


def _listed(names: Iterable[object]) -> str:
    return ", ".join(repr(name) for name in names)
