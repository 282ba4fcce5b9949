"""How an experiment divides its images: by its own split, or by folds that suit task, groups and classes."""

from __future__ import annotations

import numpy as np

from cache.errors import UsageError
from stack.folds import Fold, find_rare, regression_folds, split_folds, stratified_folds
from stack.join import Joined
from stack.targets import parse_targets

RARE = ("refuse", "drop", "keep")


def drop_rare(joined: Joined, cv: int) -> Joined:
    """Return what is left without the classes of fewer images (or groups) than folds, with a note that names them."""
    names = find_rare(joined.labels, cv, joined.groups)
    kept = np.flatnonzero(~np.isin(joined.labels, names))
    if not len(names):
        return joined
    note = f"left out, too few for {cv} folds ({len(joined.rows) - len(kept)} images): {', '.join(map(str, names))}"
    return joined.take(kept, note)


def outer_folds(
    joined: Joined,
    task: str,
    *,
    cv: int,
    repeats: int,
    split: str | None,
    rare: str,
    seed: int,
) -> list[Fold]:
    """Return the outer folds of an experiment; parameters are those of `stack.experiment.run_experiment`.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it.
    UsageError
        If options contradict each other.
    """
    if split is not None:
        if repeats > 1:
            message = "--repeats divides images anew, and --split says how they are divided: use one of the two"
            raise UsageError(message)
        return split_folds(joined.splits, split, groups=joined.groups)
    if repeats < 1:
        message = f"{repeats} repeats were asked for; use 1 or more"
        raise UsageError(message)
    if task == "regression":
        return regression_folds(parse_targets(joined.labels), cv, seed, groups=joined.groups, repeats=repeats)
    return stratified_folds(
        joined.labels, cv, seed, groups=joined.groups, repeats=repeats, rare="keep" if rare == "keep" else "refuse"
    )
