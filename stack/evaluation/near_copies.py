"""Near copies of training images among those that are tested, and the difference that they make to the score.

Other encodings, sizes and crops of one picture have other bytes, so that they count as images of their own. A
classifier that learnt one of them recognises the others, and scores better than it will on new images. The folds are
left as they are: `stackbone steer` makes the same ones before there are features to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import SAME_PICTURE, near_duplicates
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.tasks.findings import Findings
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

MOST_COMPARED = 20_000
"""Images compared, each with each, without being asked for: beyond, it may cost more than it tells."""

_ASK = f"--near-duplicates {SAME_PICTURE:g}"


@dataclass(frozen=True)
class CopyScore:
    """One model's score on tested images, by whether the training part had a near copy of them.

    Attributes
    ----------
    copies, others : float, optional
        Mean over the predictions of all folds, of images that count alike: accuracy, 0 to 1, or absolute error in the
        target's unit; None where there is no such image.
    """

    copies: float | None
    others: float | None


@dataclass(frozen=True)
class NearCopies:
    """Tested images of which the training part of their fold had a near copy.

    Attributes
    ----------
    threshold : float
        Least cosine, in every plain backbone.
    n_copies, n_tested : int
        Images that had one in a fold at least, and all that were tested.
    example : tuple of (str, str), optional
        Paths of such an image and of one in the training part that looks like it; None if there is none.
    metric : str
        ``accuracy``; ``label accuracy``, the share of labels that are right; or ``mae``, the mean absolute error.
    scores : dict of str to CopyScore
        By model.
    """

    threshold: float
    n_copies: int
    n_tested: int
    example: tuple[str, str] | None
    metric: str
    scores: dict[str, CopyScore]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)


def look_for_copies(
    task: Task,
    joined: Joined,
    truth: Truth,
    folds: Sequence[Fold],
    evaluation: Evaluation,
    findings: Findings,
    *,
    progress: Progress | None = None,
) -> tuple[NearCopies | None, Joined]:
    """Look for near copies of training images in the test parts, and measure models on them and on the others.

    These are the stack that `findings` speak of and the best model of a single backbone.

    Parameters
    ----------
    task : Task
        What was predicted.
    joined : Joined
        The images that took part, with their features.
    truth : Truth
        What their labels say.
    folds : sequence of Fold
        Their outer folds.
    evaluation : Evaluation
        Of these folds.
    findings : Findings
        What it means.
    progress : callable, optional
        See `cache.progress.Progress`; for the comparison.

    Returns
    -------
    found : NearCopies or None
        None where they could not be looked for.
    joined : Joined
        The same images; with a note that says what was found, unless there is no near copy.
    """
    n = len(joined.rows)
    if not joined.blocks:
        return None, _noted(joined, "near copies were not looked for: steered backbones cannot tell them")
    if n > MOST_COMPARED:
        note = f"near copies are not searched for above {MOST_COMPARED:,} images; {_ASK} does, and is slow"
        return None, _noted(joined, note)
    group = near_duplicates(joined.blocks, SAME_PICTURE, progress=progress)
    known = [recognised(group, fold) for fold in folds]
    tested = np.concatenate([fold.test for fold in folds])
    copies = np.concatenate(known)
    errors = {
        model: task.errors(
            truth.values[tested], np.concatenate([each.scores for each in evaluation.predictions[model]])
        )
        for model in (findings.stack, findings.single)
    }
    found = NearCopies(
        threshold=SAME_PICTURE,
        n_copies=len(np.unique(tested[copies])),
        n_tested=len(np.unique(tested)),
        example=_example(group, folds, known, joined.paths),
        metric=task.copies_metric,
        scores={model: CopyScore(_mean(each[copies]), _mean(each[~copies])) for model, each in errors.items()},
    )
    return found, _noted(joined, _note(found, joined)) if found.n_copies else joined


def recognised(group: NDArray[np.int64], fold: Fold) -> NDArray[np.bool_]:
    """Return for each row of a fold's test part whether its training part has one of the same group.

    Parameters
    ----------
    group : NDArray[np.int64]
        ``(n_images,)`` group ids, negative for none.
    fold : Fold
        The fold.
    """
    tested = group[fold.test]
    return (tested >= 0) & np.isin(tested, group[fold.train])


def _noted(joined: Joined, note: str) -> Joined:
    return replace(joined, notes=[*joined.notes, note])


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _example(
    group: NDArray[np.int64], folds: Sequence[Fold], known: Sequence[NDArray[np.bool_]], paths: Sequence[str]
) -> tuple[str, str] | None:
    for fold, copies in zip(folds, known, strict=True):
        if copies.any():
            tested = fold.test[copies][0]
            return paths[tested], paths[fold.train[group[fold.train] == group[tested]][0]]
    return None


def _note(found: NearCopies, joined: Joined) -> str:
    if found.example is None:  # there is one wherever there are copies
        raise AssertionError
    tested, trained = found.example
    said = "; ".join(copy_words(model, score, found.metric) for model, score in found.scores.items())
    return (
        f"{found.n_copies:,} of {found.n_tested:,} tested images have a near copy in the training part (a cosine of "
        f"{found.threshold:g} or more in every plain backbone), such as {tested} of {trained}; "
        f"{said}. {_advice(joined)}"
    )


def copy_words(model: str, score: CopyScore, metric: str) -> str:
    """Return what a model scores on near copies and on the others, in words; of `NearCopies.metric`."""
    forms = {"accuracy": ("has an accuracy of", ".3f"), "mae": ("has a mean absolute error of", ".4g")}
    what, form = forms.get(metric, ("scores", ".3f"))
    others = "" if score.others is None else f" and {score.others:{form}} on the others"
    return f"{model} {what} {score.copies:{form}} on them{others}"


def _advice(joined: Joined) -> str:
    if joined.steered:
        return f"Name plain backbones alone (--backbones) to keep copies together with {_ASK}"
    return f"Ask for {_ASK} to keep copies together"
