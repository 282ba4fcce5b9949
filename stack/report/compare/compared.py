"""Results of `stack`, side by side: what each was asked, what each scored, and how they differ on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stackbone.cache import StackError
from stackbone.cache.text import counted, typed
from stackbone.stack.experiments.against.compare_results import ACCURACY
from stackbone.stack.experiments.against.earlier import Earlier
from stackbone.stack.experiments.against.same_folds import (
    differing_options,
    fold_gain,
    fold_sizes,
    share_images,
)
from stackbone.stack.experiments.result_file import IMAGES, N_TESTED
from stackbone.stack.metrics.compare import Difference

_NOT_ASKED = frozenset({"format", "format_version", "results", "without", "findings", "warnings", "notes", "chosen"})
_NOT_ASKED |= {"parts", "few_shots", "near_copies", "left_out", "stackbone", IMAGES, N_TESTED}


@dataclass(frozen=True, eq=False)
class Compared:
    """One result.

    Attributes
    ----------
    name : str
        Of its file, unlike that of any other.
    result : Earlier
        What the file says.
    """

    name: str
    result: Earlier

    @property
    def dataset(self) -> str:
        """Name of its dataset."""
        return str(self.result.content["dataset"])

    @property
    def model(self) -> str:
        """Row of the model that the result is about."""
        return self.result.model

    @property
    def scores(self) -> dict[str, list[float]]:
        """Scores of each fold by model, in the order of its table."""
        return self.result.scores

    @property
    def metric(self) -> str:
        """Name of the metric that its models are ranked by."""
        return self.result.metric

    def asked(self) -> dict[str, Any]:
        """Return what was asked for, and of what."""
        return {name: value for name, value in self.result.content.items() if name not in _NOT_ASKED}


@dataclass(frozen=True)
class PairedModels:
    """Two models of two results on the same folds, and by how much the second is better than the first."""

    first: str
    second: str
    difference: Difference


def check_comparable(results: Sequence[Compared]) -> str:
    """Return the metric of all results.

    Raises
    ------
    StackError
        If they are ranked by different metrics.
    """
    metrics = {each.name: each.metric for each in results}
    if len(set(metrics.values())) > 1:
        said = ", ".join(f"{name} by {metric}" for name, metric in metrics.items())
        message = (
            f"the models of these results are ranked by different metrics: {said}. Compare results of one metric, "
            "or run `stackbone stack` again with --metric"
        )
        raise StackError(message)
    return results[0].metric


def lacks_same_folds(first: Compared, second: Compared) -> str | None:
    """Return why two results cannot be compared fold by fold; None where they can."""
    a, b = first.result, second.result
    if a.images is not None and b.images is not None and not share_images(a.images, b.images).rows:
        return "they are of different datasets, with no image in common"
    differing = [name for name in ("task", "n_images", "n_groups") if a.content.get(name) != b.content.get(name)]
    if (a.images is None or b.images is None) and first.dataset != second.dataset:  # else its images tell
        differing.append("dataset")
    differing += differing_options(a.content, b.content)
    if differing:
        return f"they differ in {', '.join(each.replace('n_', 'number of ') for each in differing)}"
    n_first, n_second = (len(each.scores[each.model]) for each in (first, second))
    if n_first != n_second:
        return f"{first.name} has scores of {counted(n_first, 'fold')}, {second.name} of {n_second:,}"
    if n_first < 2:
        return "on a single split there is no spread to judge a difference by"
    if said := _differing_images(first, second):
        return said
    if _sizes(first, second) is None:
        return "the files do not tell how many images each fold was trained and tested on, which an interval needs"
    return None


def way_to_pair(first: Compared, second: Compared) -> str | None:
    """Return what pairs two results by their images, which scores of folds cannot; None where nothing does.

    By accuracy, of one label an image, `stack.experiments.against.compare_results` holds answers of both against one
    label each: where images or labels differ, and on a single split. By other metrics it gives no interval there.
    """
    a, b = first.result, second.result
    if a.images is None or b.images is None or a.content.get("task") != b.content.get("task"):
        return None
    if first.metric != ACCURACY or second.metric != ACCURACY or differing_options(a.content, b.content):
        return None
    shared = share_images(a.images, b.images)
    is_paired = shared.is_same and len(first.scores[first.model]) > 1
    if is_paired or not (shared.is_one_dataset and shared.keeps_folds):
        return None
    return (
        f"`stack` can: run the command that wrote {second.name} again with `{typed('--against', a.file)}`. It holds "
        f"both answers against the labels of now, on the {counted(len(shared.same), 'image')} that both tested in the "
        "same fold, and computes no score again that was kept"
    )


def unchecked_images(first: Compared, second: Compared) -> str | None:
    """Return what could not be checked of two results on the same folds; None where all was."""
    silent = [each.name for each in (first, second) if each.result.images is None]
    if not silent:
        return None
    return (
        f"Whether images, labels and folds are the same was not checked: {' and '.join(silent)} "
        f"{'does' if len(silent) == 1 else 'do'} not tell images one by one, as results that `stackbone stack "
        "--result FILE` writes now do"
    )


def paired_models(first: Compared, second: Compared) -> list[PairedModels]:
    """Return how the models of two results differ: the two that they are about, and each that both have.

    Raises
    ------
    StackError
        If they cannot be compared fold by fold.
    """
    sizes = _sizes(first, second)
    if (why := lacks_same_folds(first, second)) or sizes is None:
        message = f"{first.name} and {second.name} cannot be compared fold by fold: {why}. Compare their means alone"
        raise StackError(message)
    tested = first.result.tested_by_fold or second.result.tested_by_fold
    pairs = [(first.model, second.model), *((name, name) for name in first.scores if name in second.scores)]
    return [
        PairedModels(a, b, fold_gain(first.metric, second.scores[b], first.scores[a], sizes, tested=tested))
        for a, b in dict.fromkeys(pairs)
    ]


def _sizes(first: Compared, second: Compared) -> tuple[int, int] | None:
    """Return the mean number of training and of test images of folds that two results share."""
    return fold_sizes(_telling(first, second))


def _telling(first: Compared, second: Compared) -> Earlier:
    """Return the one of two results that tells more of the folds that they share."""
    return first.result if first.result.images is not None else second.result


def _differing_images(first: Compared, second: Compared) -> str | None:
    """Return in which images two results differ; None where they do not, or do not tell."""
    before, now = first.result.images, second.result.images
    if before is None or now is None:
        return None
    shared = share_images(before, now)
    if shared.is_same:
        return None
    found = (
        (shared.n_gone, f"tested only in {first.name}"),
        (shared.n_new, f"tested only in {second.name}"),
        (shared.n_relabelled, "with another label"),
        (shared.n_other_fold, "in another fold"),
    )
    said = ", ".join(f"{counted(n, 'image')} {what}" for n, what in found if n)
    return f"they differ in {said}, of {counted(len(shared.rows), 'image')} that both tested"
