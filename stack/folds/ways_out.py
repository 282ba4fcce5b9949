"""What can be had where a division is refused: other numbers of folds, fewer classes, more images.

Each way is tried, to the inner folds of every training part, before a message names it, as far as `Trials` go.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_folds import Ask, check_inner, divide_classes
from stackbone.stack.folds.class_labels import class_sizes, find_rare, list_classes
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.target_folds import divide_targets
from stackbone.stack.folds.trials import Trials, class_steps, target_steps

_USUAL_FOLDS = (2, 3, 5)
_MOST_NUMBERS = 3  # of folds that a message names
_MOST_TRIED = 12  # numbers of folds, or classes to leave out


def divide_and_check(y: NDArray[np.str_], units: Units, ask: Ask) -> tuple[NDArray[np.int64], list[Fold]]:
    """Divide labelled rows into outer folds whose training parts can be divided again.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        How.

    Returns
    -------
    kept : NDArray[np.int64]
        ``(n_kept,)`` ascending rows; those of rare classes are not among them where `ask` drops them.
    folds : list of Fold
        Of the rows that are kept, by their positions among these.

    Raises
    ------
    StackError
        If labels and groups do not allow it.
    """
    kept = np.arange(len(y))
    if ask.rare == "drop":
        rare = find_rare(y, ask.n_splits, units.groups)
        kept = np.flatnonzero(~np.isin(y, rare))
        left = np.unique(y[kept])
        if len(left) < 2:
            found = list_classes(left) if len(left) else "no class"
            msg = (
                f"without the classes too rare for {ask.n_splits} folds ({list_classes(rare)}), {found} is left; "
                "a classifier needs at least 2 classes"
            )
            raise StackError(msg)
    own = units.take(kept)
    folds = divide_classes(y[kept], own, ask)
    check_inner(y[kept], own, folds, ask)
    return kept, folds


def ways_for_classes(y: NDArray[np.str_], units: Units, ask: Ask) -> str:
    """Return what can be done where a division into folds was refused, for the end of a message.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names, of two classes or more.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        What was refused.
    """
    trials = Trials()
    ways = []
    numbers = fold_numbers(y, units, ask, trials)
    if numbers:
        ways.append(f"ask for {list_numbers(numbers)} folds")
    rare = find_rare(y, ask.n_splits, units.groups) if ask.n_splits > 1 else np.empty(0, np.str_)
    if len(rare) and ask.rare == "refuse":
        if _works(trials, y, units, replace(ask, rare="drop")):
            ways.append("leave these classes out (--rare drop)")
        if _works(trials, y, units, replace(ask, rare="keep")):
            ways.append("keep them in the training parts alone (--rare keep)")
    elif not len(rare) and (name := class_to_leave_out(y, units, lambda kept, own: _works(trials, kept, own, ask))):
        ways.append(f"leave out class {name!r}")
    if (more := _enough_images(y, units, ask, trials)) is not None:
        ways.append(more)
    if _are_numbers(y) and ask.n_splits > 1 and _works_for_targets(trials, y.astype(np.float64), units, ask):
        ways.append("predict the labels as the numbers that they are (--task regression)")
    return join_ways(ways, trials)


def ways_for_targets(y: NDArray[np.float64], units: Units, ask: Ask) -> str:
    """Return what can be done where folds of numeric targets were refused, for the end of a message.

    Parameters
    ----------
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        What was refused.
    """
    trials = Trials()
    n_groups = len(np.unique(units.ids(len(y))))
    most = trials.most(n_groups, lambda n: target_steps(len(y), replace(ask, n_splits=n)))
    found = _nearest(ask.n_splits, most)
    numbers = [n for n in found if _works_for_targets(trials, y, units, replace(ask, n_splits=n))]
    ways = [f"ask for {list_numbers(sorted(numbers[:_MOST_NUMBERS]))} folds"] if numbers else []
    for n_splits, n in ((k, n) for k in _to_try(ask) for n in range(n_groups + 1, 2 * k + 3)):
        more = np.arange(n - n_groups)
        grown = units.grow(len(y), len(more))
        if _works_for_targets(trials, np.concatenate([y, 0.0 * more]), grown, replace(ask, n_splits=n_splits)):
            ways.append(f"add images until there are {n} {units.name}{_and_ask(n_splits, ask)}")
            break
    return join_ways(ways, trials)


def fold_numbers(y: NDArray[np.str_], units: Units, ask: Ask, trials: Trials) -> list[int]:
    """Return numbers of folds that these labels and groups allow.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        Whose seed, repeats and way with rare classes it is to be, and a number of folds to start from.
    trials : Trials
        What may still be tried.

    Returns
    -------
    list of int
        Ascending, of those nearest to the number asked for; empty if none of them serves.
    """
    names, codes = np.unique(y, return_inverse=True)
    sizes = np.sort(class_sizes(codes, units.ids(len(y)), len(names)))
    most = sizes[0] if ask.rare == "refuse" else sizes[-2] if len(sizes) > 1 else 0
    allowed = trials.most(int(most), lambda n: class_steps(len(y), units, replace(ask, n_splits=n)))
    found = []
    for n in _nearest(ask.n_splits, allowed):
        if _works(trials, y, units, replace(ask, n_splits=n)):
            found.append(n)
        if len(found) == _MOST_NUMBERS:
            break
    return sorted(found)


def class_to_leave_out(
    y: NDArray[np.str_], units: Units, works: Callable[[NDArray[np.str_], Units], bool]
) -> str | None:
    """Return the class, of the fewest images, without which `works` is true of labels and groups; None if no one is."""
    names, counts = np.unique(y, return_counts=True)
    for name in names[np.argsort(counts, kind="stable")][:_MOST_TRIED]:
        kept = y != name
        if len(np.unique(y[kept])) > 1 and works(y[kept], units.take(kept)):
            return str(name)
    return None


def list_numbers(numbers: list[int]) -> str:
    """Return numbers as a message says them: ``2, 3 or 5``."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last


def join_ways(ways: list[str], trials: Trials) -> str:
    """Return ways as the end of a message, with what introduces it; where there is none, what was tried."""
    if not ways and trials.cut_short:
        return (
            ". What works instead was not looked for, as every trial takes seconds: try another split, fewer folds "
            "or fewer classes, or add images"
        )
    if not ways:
        return ". Nothing tried works: no other split or number of folds, and no smaller set of classes"
    *first, last = ways
    return f": {', '.join(first)}, or {last}" if first else f": {last}"


def _works(trials: Trials, y: NDArray[np.str_], units: Units, ask: Ask) -> bool:
    return trials.work(class_steps(len(y), units, ask), lambda: divide_and_check(y, units, ask))


def _works_for_targets(trials: Trials, y: NDArray[np.float64], units: Units, ask: Ask) -> bool:
    return trials.work(target_steps(len(y), ask), lambda: divide_targets(y, units, ask))


def _nearest(asked: int, most: int) -> list[int]:
    """Return other numbers of folds up to `most`, the nearest to the one asked for first."""
    others = [n for n in range(2, most + 1) if n != asked]
    return sorted(others, key=lambda n: abs(n - asked))[:_MOST_TRIED]


def _to_try(ask: Ask) -> list[int]:
    """Return numbers of folds for which images may be added: the one asked for first."""
    return [*([ask.n_splits] if ask.n_splits > 1 else []), *(n for n in _USUAL_FOLDS if n != ask.n_splits)]


def _enough_images(y: NDArray[np.str_], units: Units, ask: Ask, trials: Trials) -> str | None:
    """Return how many images (groups) of every class would do: for the folds asked for, else for others; or None."""
    names, codes = np.unique(y, return_inverse=True)
    group = units.ids(len(y))
    sizes = class_sizes(codes, group, len(names))
    for n_splits in _to_try(ask):
        for target in dict.fromkeys((n_splits, n_splits + 1, n_splits + 2, 2 * n_splits)):
            lacking = np.maximum(target - sizes, 0)
            grown = np.concatenate([y, np.repeat(names, lacking)])
            own = units.grow(len(y), int(lacking.sum()))
            if lacking.any() and _works(trials, grown, own, replace(ask, n_splits=n_splits)):
                unit = f"has {target} images" if units.groups is None else f"is in {target} groups of images"
                return f"add images until every class {unit}{_and_ask(n_splits, ask)}"
    return None


def _and_ask(n_splits: int, ask: Ask) -> str:
    return "" if n_splits == ask.n_splits else f" and ask for {n_splits} folds"


def _are_numbers(y: NDArray[np.str_]) -> bool:
    try:
        y.astype(np.float64)
    except ValueError:
        return False
    return True
