"""Audit a dataset: gather what is known of its images, and ask each kind of finding for what it sees in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError
from stackbone.cache.choices import check_choice
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.errors import UsageError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.facts import Facts, MeasureImages
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FACTS, FEATURES, KINDS, LABELS, SCORES, Kind
from stackbone.stack.audit.out_of_fold import OutOfFold, score_out_of_fold
from stackbone.stack.audit.result import Audit
from stackbone.stack.divisions.labelled_images import check_group_by
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.features.classes import are_numbers
from stackbone.stack.features.distinct import distinct_rows
from stackbone.stack.features.join import join_features
from stackbone.stack.features.selection import select_backbones

_FEWEST = 3  # images of which one can be unlike the others


def audit(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    kinds: str | Sequence[str] | None = None,
    cv: int | str | None = None,
    repeats: int = 1,
    group_by: str = "auto",
    seed: int = 0,
    measure: MeasureImages | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Look for what is wrong with a dataset, in its cached features and by scores out of fold.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        As of `stack.experiments.run.run_experiment`.
    kinds
        What to look for, names of `stack.audit.kind.KINDS` as a list or separated by commas; by default everything.
    cv, repeats, group_by, seed
        Of the folds that scores are taken on, as of `run_experiment`: those of `stack` are found in the cache.
    measure
        Looks at the image files, such as `stackbone.measure_images`; without it no file is opened, and the kinds that
        ask for it are left out.
    n_jobs
        Fits at a time; all cores by default.
    progress
        See `cache.progress.Progress`.

    Returns
    -------
    Audit
        Findings by kind, the gravest first, and what was left out, with the reason.

    Raises
    ------
    StackError
        If nothing that was asked for can be looked for.
    CacheError
        If the cache lacks the dataset or is damaged.
    UsageError
        If a name is unknown.
    """
    asked = _asked(kinds)
    check_group_by(group_by)
    store = store or FeatureStore()
    index = store.dataset(dataset)
    needed = {need for kind in asked for need in (*kind.needs, *kind.uses)}
    lacking = _lacking_labels(index)
    rows = distinct_rows(index)
    blocks: dict[str, NDArray[np.float32]] = {}
    scores = None
    if needed & {FEATURES, SCORES}:
        try:
            sets = select_backbones(store, index, backbones)
        except StackError as exc:
            lacking[FEATURES] = str(exc)
        else:
            plain = {name: each for name, each in sets.items() if isinstance(each, FeatureSet)}
            blocks = {name: each.load(index.image_sha256[rows]) for name, each in plain.items()}
    lacking = _lacking_features(rows, blocks) | lacking
    if SCORES in needed and LABELS in lacking:
        lacking[SCORES] = lacking[LABELS]
    elif SCORES in needed:
        try:
            joined = join_features(store, dataset=index.name, backbones=backbones, group_by=group_by)
            scores = score_out_of_fold(
                joined, store, cv=cv, repeats=repeats, group_by=group_by, seed=seed, n_jobs=n_jobs, progress=progress
            )
        except StackError as exc:
            lacking[SCORES] = str(exc)
    facts, unread = _look(index, rows, measure if FACTS in needed else None, progress)
    if not facts:
        lacking[FACTS] = next(iter(unread.values()), "the files were not looked at")
    audited = Audited(index, rows, blocks, scores, facts, seed, progress)
    left_out = {kind.name: lacking[need] for kind in asked for need in reversed(kind.needs) if need in lacking}
    if len(left_out) == len(asked):
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        message = f"nothing that was asked for can be looked for in the dataset {index.name!r}: {reasons}"
        raise StackError(message)
    found = {kind.name: kind.find(audited) for kind in asked if kind.name not in left_out}
    return Audit(
        dataset=index.name,
        n_images=len(rows),
        n_files=len(index),
        backbones=list(blocks),
        titles={kind.name: kind.title for kind in asked},
        findings={name: sorted(each, key=lambda one: -one.score) for name, each in found.items()},
        left_out=left_out,
        notes=[*_notes(index, scores, unread), *_not_compared(audited, found, lacking.get(FEATURES))],
    )


def _asked(kinds: str | Sequence[str] | None) -> list[Kind]:
    """Return the kinds that are meant, in their order."""
    if kinds is None:
        return list(KINDS.values())
    names = [name.strip() for name in (kinds.split(",") if isinstance(kinds, str) else kinds)]
    if not names:
        message = "no kind of finding was named: leave kinds out for all"
        raise UsageError(message)
    for name in names:
        check_choice("kind of finding", name, KINDS)
    return [each for each in KINDS.values() if each.name in names]


def _lacking_labels(index: DatasetIndex) -> dict[str, str]:
    """Return why classes are not to be had, where they are not."""
    if not any(index.label):
        return {LABELS: "no image has a label"}
    if are_numbers(index):
        return {LABELS: "labels are numbers, and not names of classes"}
    return {}


def _lacking_features(rows: NDArray[np.int64], blocks: dict[str, NDArray[np.float32]]) -> dict[str, str]:
    if len(rows) < _FEWEST:
        return {FEATURES: f"there {'is' if len(rows) == 1 else 'are'} {counted(len(rows), 'image')}"}
    if not blocks:
        return {FEATURES: "steered features differ from fold to fold, and there is no plain backbone"}
    return {}


def _look(
    index: DatasetIndex, rows: NDArray[np.int64], measure: MeasureImages | None, progress: Progress | None
) -> tuple[dict[int, Facts], dict[str, str]]:
    """Return what a look at the files told, by row, and of those that could not be looked at why, by path."""
    if measure is None:
        return {}, {}
    if progress is not None:
        progress("looking at files", 0, len(rows))
    files = [ListedFile(index.root, index.path[row], index.image_sha256[row].tobytes()) for row in rows]
    told = dict(zip(rows.tolist(), measure(files), strict=True))
    facts = {row: each for row, each in told.items() if not isinstance(each, str)}
    return facts, {index.path[row]: each for row, each in told.items() if isinstance(each, str)}


def _notes(index: DatasetIndex, scores: OutOfFold | None, unread: dict[str, str]) -> list[str]:
    of_labels = [] if index.corrected is None else index.corrected.notes()
    notes = of_labels if scores is None else list(scores.notes)  # which begin with them
    if unread:
        path, reason = next(iter(unread.items()))
        files = counted(len(unread), "file")
        notes.append(f"{files} could not be looked at; the first is {path!r}: {reason}")
    return notes


def _not_compared(audited: Audited, found: Mapping[str, Sequence[Finding]], lacking: str | None) -> list[str]:
    """Return what to say where near copies were not looked for, and kinds ask for them."""
    uses = any({FEATURES} == {*KINDS[name].uses} and not KINDS[name].needs for name in found)
    if audited.compares or not uses:
        return []
    why = f"there are more than {MOST_COMPARED:,} images" if audited.blocks else lacking
    return [f"copies of the same bytes are found, and near copies are not searched for: {why}"]
