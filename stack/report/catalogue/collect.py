"""The catalogue of an experiment's images, and the labels among them that look wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.audit.doubt import NEIGHBOURS, doubts, neighbour_log_probabilities
from stackbone.stack.audit.neighbours import MOST_COMPARED, find_neighbours
from stackbone.stack.models.unlike.novelty import unit_rows
from stackbone.stack.report.catalogue.catalogue import UNKNOWN, Catalogue, Said, index_columns
from stackbone.stack.report.context import Context

_NEIGHBOURS_SHOWN = 6
_TILE = 4096  # rows that are compared at a time


@dataclass(frozen=True)
class Suspect:
    """A label that looks wrong.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    label, likeliest : str
        The class that the dataset says, and the one that it looks like.
    doubt : float
        .5 to 1, see `stack.audit.doubt.doubts`.
    n_agree, n_backbones : int
        How many of the backbones say that it is the latter.
    """

    row: int
    label: str
    likeliest: str
    doubt: float
    n_agree: int
    n_backbones: int


def collect_catalogue(context: Context) -> Catalogue:
    """Return what is known of the images that the page shows or has on a map."""
    index = context.experiment.joined.index
    rows = np.union1d(context.rows[context.shown], np.fromiter(context.images, np.int64))
    paths, labels, splits = index_columns(index, rows)
    neighbours = _pictured_neighbours(context, rows)
    answers, n_images = context.answers, context.experiment.n_images
    n_in_all = n_images if len(context.shown) < n_images else None
    if answers is None:
        return Catalogue(rows, paths, labels, splits, neighbours=neighbours, n_in_all=n_in_all)
    true, said = np.full(len(index), UNKNOWN), np.full(len(index), UNKNOWN)
    true[context.rows], said[answers.rows] = context.codes, answers.predicted
    sure = None if answers.probability is None else np.full(len(index), np.nan)
    if sure is not None:
        sure[answers.rows] = answers.probability
    votes = {}
    for name, (codes, probability) in answers.votes.items():
        each, its = np.full(len(index), UNKNOWN), np.full(len(index), np.nan)
        each[answers.rows], its[answers.rows] = codes, probability
        votes[name] = Said(each[rows], its[rows])
    return Catalogue(
        rows,
        paths,
        labels,
        splits,
        classes=context.classes,
        true=true[rows],
        model=context.experiment.called,
        said=Said(said[rows], None if sure is None else sure[rows]),
        votes=votes,
        neighbours=neighbours,
        n_in_all=n_in_all,
    )


def find_suspects(context: Context) -> tuple[list[Suspect], bool]:
    """Return the labels that look wrong, the gravest first: what `audit` finds, on this experiment's folds.

    Backbones' classifiers that never saw an image and, of up to 20,000 images and where a backbone is not steered, the
    labels of its neighbours speak for or against its label.

    Returns
    -------
    suspects : list of Suspect
        None where no classifier gives probabilities.
    by_neighbours : bool
        Whether the neighbours were asked.
    """
    answers = context.answers
    if answers is None or not len(answers.log_probabilities):
        return [], False
    of_neighbours = None
    blocks = context.plain_blocks
    if blocks and NEIGHBOURS < context.experiment.n_images <= MOST_COMPARED:
        found = find_neighbours(blocks, NEIGHBOURS, context.experiment.seed, context.progress).rows[:, answers.tested]
        of_neighbours = neighbour_log_probabilities(found, context.codes, len(context.classes))
    doubt, likeliest = doubts(list(answers.log_probabilities), of_neighbours, answers.truth)
    wrong = np.flatnonzero(likeliest != answers.truth)
    names = context.classes
    said = np.array([codes for codes, _ in answers.votes.values()]).reshape(len(answers.votes), len(doubt))
    suspects = [
        Suspect(
            int(answers.rows[i]),
            names[answers.truth[i]],
            names[likeliest[i]],
            float(doubt[i]),
            int((said[:, i] == likeliest[i]).sum()),
            len(said),
        )
        for i in wrong[np.argsort(-doubt[wrong], kind="stable")]
    ]
    return suspects, of_neighbours is not None


def _pictured_neighbours(context: Context, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``(n, k)`` rows of the pictured images that are nearest, by the mean cosine over backbones."""
    pictured = np.sort(np.fromiter(context.images, np.int64)[: context.options.max_thumbnails])
    pictured = pictured[np.isin(pictured, context.rows)]
    k = min(_NEIGHBOURS_SHOWN, len(pictured) - 1)
    blocks = context.plain_blocks
    if k < 1 or not blocks:
        return np.zeros((0, 0), np.int64)
    places, theirs = np.searchsorted(context.rows, rows), np.searchsorted(context.rows, pictured)
    known = np.flatnonzero(np.isin(rows, context.rows))
    found = np.tile(pictured[:k], (len(rows), 1))
    units = {name: unit_rows(x[theirs]) for name, x in blocks.items()}
    for start in range(0, len(known), _TILE):
        tile = known[start : start + _TILE]
        alike = sum(unit_rows(x[places[tile]]) @ units[name].T for name, x in blocks.items())
        alike = np.where(rows[tile, None] == pictured, -np.inf, alike)
        found[tile] = pictured[np.argsort(-alike, axis=1, kind="stable")[:, :k]]
    return found
