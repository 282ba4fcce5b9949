"""Labels that look wrong, by what classifiers that never saw them say, and by the labels of the neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.labels.sets import join_names, split_names
from stackbone.cache.text import counted
from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.confident import confident_classes
from stackbone.stack.audit.doubt import NEIGHBOURS, doubts, neighbour_log_probabilities
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, LABELS, SCORES, Kind
from stackbone.stack.audit.out_of_fold import OutOfFold, mean_probabilities


@dataclass(frozen=True, eq=False)
class _Doubted:
    """One label of each image against the others that there are: a class, or whether a label is there.

    Attributes
    ----------
    codes, likeliest, confident : NDArray[np.int64]
        ``(n,)`` what the labels say, what is likeliest, and what the images are confidently of, -1 for nothing.
    doubt : NDArray[np.float64]
        ``(n,)`` 0 to 1.
    mean : NDArray[np.float64]
        ``(n, n_codes)`` mean probabilities.
    votes : NDArray[np.int64]
        ``(n_backbones, n)`` what each classifier says.
    stack : NDArray[np.int64]
        ``(n,)`` what the stack says.
    nearest : NDArray[np.int64], optional
        ``(n_backbones, n, k)`` codes of the neighbours, -1 without one.
    """

    codes: NDArray[np.int64]
    likeliest: NDArray[np.int64]
    confident: NDArray[np.int64]
    doubt: NDArray[np.float64]
    mean: NDArray[np.float64]
    votes: NDArray[np.int64]
    stack: NDArray[np.int64]
    nearest: NDArray[np.int64] | None

    @property
    def found(self) -> NDArray[np.int64]:
        """Rows whose label is not the likeliest."""
        return np.flatnonzero(self.likeliest != self.codes)

    def evidence(self, row: int, name: str, given: str) -> str:
        """Return what speaks for the likeliest, which is called so, and not for what is given, called so."""
        likeliest = self.likeliest[row]
        agree, n_backbones = int((self.votes[:, row] == likeliest).sum()), len(self.votes)
        too = ", and so does the stack" if self.stack[row] == likeliest else ""
        sure = self.mean[row, likeliest], self.mean[row, self.codes[row]]
        said = [
            f"{agree} of {counted(n_backbones, 'backbone')} {'says' if agree == 1 else 'say'} {name}{too}",
            f"mean probability {sure[0]:.2f} against {sure[1]:.2f} of {given}",
        ]
        if self.nearest is not None:
            share = float((self.nearest[:, row] == likeliest).mean())
            said.append(f"{share:.0%} of the {self.nearest.shape[2]} nearest images are so")
        if self.confident[row] == likeliest:
            said.append("confident learning counts it as an error")
        return "; ".join(said)


class LabelIssues(Kind):
    """See the module."""

    name = "label"
    title = "Labels that look wrong"
    place = 10
    needs = (LABELS, SCORES)
    uses = (FEATURES,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images whose label is not the likeliest; of several labels each that is so."""
        scores = audited.scores
        if scores is None:
            raise AssertionError  # it is needed
        several = scores.truth.presence
        found = _of_classes(audited, scores) if several is None else _of_labels(audited, scores, several)
        return list(found)


def _of_classes(audited: Audited, scores: OutOfFold) -> Iterator[Finding]:
    truth = scores.truth
    names, codes = truth.classes.tolist(), np.full(len(audited.rows), -1)
    codes[audited.places_of(scores.rows)] = truth.values
    doubted = _doubted(audited, scores, list(scores.backbones.values()), scores.stack, codes)
    for row in doubted.found:
        label, likeliest = names[doubted.codes[row]], names[doubted.likeliest[row]]
        yield Finding(
            LabelIssues.name,
            audited.index.path[scores.rows[row]],
            float(doubted.doubt[row]),
            label,
            likeliest,
            f"look whether it is {likeliest}, and correct the label if so",
            doubted.evidence(row, likeliest, label),
        )


def _of_labels(audited: Audited, scores: OutOfFold, presence: NDArray[np.int8]) -> Iterator[Finding]:
    """Yield the labels, one against its absence, that look wrong; all of one image suggest the same corrected set."""
    names = scores.truth.classes.tolist()
    doubted = [_of_label(audited, scores, presence[:, place], place) for place in range(len(names))]
    wrong = np.stack([each.likeliest != each.codes for each in doubted], axis=1)
    for name, each in zip(names, doubted, strict=True):
        for row in each.found:
            label = audited.index.label[scores.rows[row]]
            has = bool(each.codes[row])
            said = (f"no {name}", name) if has else (name, f"no {name}")
            yield Finding(
                LabelIssues.name,
                audited.index.path[scores.rows[row]],
                float(each.doubt[row]),
                label,
                join_names({*split_names(label)} ^ {names[other] for other in np.flatnonzero(wrong[row])}),
                f"look whether {name} is there, and take the label away if not"
                if has
                else f"look whether {name} is there, and add the label if so",
                each.evidence(row, *said),
            )


def _of_label(audited: Audited, scores: OutOfFold, present: NDArray[np.int8], place: int) -> _Doubted:
    codes = np.full(len(audited.rows), -1)
    codes[audited.places_of(scores.rows)] = present
    own = [_both_sides(each[:, place]) for each in (*scores.backbones.values(), scores.stack)]
    return _doubted(audited, scores, own[:-1], own[-1], codes)


def _both_sides(log_probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n, 2)`` log-probabilities that a label is not there, and that it is."""
    present = np.clip(np.exp(log_probability), 1e-12, 1 - 1e-12)
    sides: NDArray[np.float64] = np.log(np.stack([1 - present, present], axis=1))
    return sides


def _doubted(
    audited: Audited,
    scores: OutOfFold,
    said: Sequence[NDArray[np.float64]],
    stack: NDArray[np.float64],
    codes: NDArray[np.int64],
) -> _Doubted:
    """Return the doubt in each label; `codes` are of all audited images, `said` of the backbones."""
    places = audited.places_of(scores.rows)
    own, nearest, of_neighbours = codes[places], None, None
    if audited.blocks:
        neighbours = audited.neighbours.rows[:, places, :NEIGHBOURS]
        nearest = codes[neighbours]
        of_neighbours = neighbour_log_probabilities(neighbours, codes, stack.shape[1])
    mean = mean_probabilities(said)
    doubt, likeliest = doubts(said, of_neighbours, own)
    return _Doubted(
        own,
        likeliest,
        confident_classes(mean, own),
        doubt,
        mean,
        np.stack([each.argmax(axis=1) for each in said]),
        stack.argmax(axis=1),
        nearest,
    )


KIND = LabelIssues()
