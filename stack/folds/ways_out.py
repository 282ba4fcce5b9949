"""What can be had where a division is refused: other numbers of folds, fewer classes, more images.

Each way is tried, to the inner folds of every training part, before a message names it, as far as `Trials` go.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.class_folds import Ask, divide_and_check
from stackbone.stack.folds.class_labels import class_sizes, find_rare
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.target_folds import divide_targets
from stackbone.stack.folds.trials import Trials, class_steps, target_steps

_USUAL_FOLDS = (2, 3, 5)
_MOST_NUMBERS = 3  # of folds that a message names
_MOST_TRIED = 12  # numbers of folds, or classes to leave out


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
    ways = _ask_for(_class_numbers(y, units, ask, trials))
    rare = find_rare(y, ask.n_splits, units.groups) if ask.n_splits > 1 else np.empty(0, np.str_)
    if len(rare) and ask.rare == "refuse":
        if _works(trials, y, units, replace(ask, rare="drop")):
            ways.append("leave these classes out (--rare drop)")
        if _works(trials, y, units, replace(ask, rare="keep")):
            ways.append("keep them in the training parts alone (--rare keep)")
    elif not len(rare) and (name := _class_to_leave_out(y, units, ask, trials)):
        ways.append(f"leave out class {name!r}")
    if (more := _enough_images(y, units, ask, trials)) is not None:
        ways.append(more)
    if _are_numbers(y) and ask.n_splits > 1 and _works_for_targets(trials, len(y), units, ask):
        ways.append("predict the labels as the numbers that they are (--task regression)")
    return join_ways(ways, trials)


def ways_for_targets(n_rows: int, units: Units, ask: Ask) -> str:
    """Return what can be done where folds of numeric targets were refused, for the end of a message.

    Parameters
    ----------
    n_rows : int
        How many rows have a number, or several.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        What was refused.
    """
    trials = Trials()
    n_groups = len(np.unique(units.ids(n_rows)))
    most = trials.most(n_groups, lambda n: target_steps(n_rows, replace(ask, n_splits=n)))
    ways = _ask_for(
        _nearest(ask.n_splits, most, lambda n: _works_for_targets(trials, n_rows, units, replace(ask, n_splits=n)))
    )
    for n_splits, n in ((k, n) for k in _to_try(ask) for n in range(n_groups + 1, 2 * k + 3)):
        grown = units.grow(n_rows, n - n_groups)
        if _works_for_targets(trials, n_rows + n - n_groups, grown, replace(ask, n_splits=n_splits)):
            ways.append(f"add images until there are {n} {units.name}{_and_ask(n_splits, ask)}")
            break
    return join_ways(ways, trials)


def _class_to_leave_out(y: NDArray[np.str_], units: Units, ask: Ask, trials: Trials) -> str | None:
    """Return the class, of the fewest images, without which the division works; None if there is no such class."""
    names, counts = np.unique(y, return_counts=True)
    for name in names[np.argsort(counts, kind="stable")][:_MOST_TRIED]:
        kept = y != name
        if len(np.unique(y[kept])) > 1 and _works(trials, y[kept], units.take(kept), ask):
            return str(name)
    return None


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


def _works_for_targets(trials: Trials, n: int, units: Units, ask: Ask) -> bool:
    return trials.work(target_steps(n, ask), lambda: divide_targets(n, units, ask))


def _class_numbers(y: NDArray[np.str_], units: Units, ask: Ask, trials: Trials) -> list[int]:
    """Return other numbers of folds that these labels and groups allow."""
    names, codes = np.unique(y, return_inverse=True)
    sizes = np.sort(class_sizes(codes, units.ids(len(y)), len(names)))
    largest = sizes[0] if ask.rare == "refuse" else sizes[-2] if len(sizes) > 1 else 0
    most = trials.most(int(largest), lambda n: class_steps(len(y), units, replace(ask, n_splits=n)))
    return _nearest(ask.n_splits, most, lambda n: _works(trials, y, units, replace(ask, n_splits=n)))


def _nearest(asked: int, most: int, works: Callable[[int], bool]) -> list[int]:
    """Return, ascending, the few numbers of folds up to `most` that work and are nearest to the one asked for."""
    others = sorted((n for n in range(2, most + 1) if n != asked), key=lambda n: abs(n - asked))
    return sorted(islice(filter(works, others[:_MOST_TRIED]), _MOST_NUMBERS))


def _ask_for(numbers: list[int]) -> list[str]:
    """Return numbers of folds as a way, ``ask for 2, 3 or 5 folds``; no way where there are none."""
    if not numbers:
        return []
    *first, last = map(str, numbers)
    return [f"ask for {', '.join(first)} or {last} folds" if first else f"ask for {last} folds"]


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
