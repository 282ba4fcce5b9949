"""Results of `stack`, side by side: what each was asked, what each scored, and how they differ on the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbone.cache import StackError
from stackbone.stack.learners.recipes import recipe_rows
from stackbone.stack.metrics.compare import Difference, paired_difference

_DIVISION = (
    *("task", "dataset", "n_images", "cv", "repeats", "split", "seed"),
    *("group_by", "n_groups", "near_duplicates", "rare", "dealing", "plan", "column"),
)
_NOT_ASKED = frozenset({"format", "format_version", "results", "without", "findings", "warnings", "notes", "chosen"})
_NOT_ASKED |= {"parts", "few_shots", "near_copies", "left_out", "stackbone"}


@dataclass(frozen=True)
class Compared:
    """One result.

    Attributes
    ----------
    name : str
        Of its file, unlike that of any other.
    result : mapping of str to object
        As of `stack.experiments.result_file.read_result`.
    """

    name: str
    result: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Row of the model that the result is about."""
        return recipe_rows()[str(self.result.get("recipe", "oof"))]

    @property
    def models(self) -> dict[str, Mapping[str, Any]]:
        """Scores by model, in the order of its table."""
        return {str(each["model"]): each for each in self.result["results"]}

    @property
    def metric(self) -> str:
        """Name of the metric that its models are ranked by."""
        return str(next(key for key in self.result["results"][0] if key != "model"))

    def folds(self, model: str) -> list[float]:
        """Return what a model scores on each fold."""
        return [float(each) for each in self.models[model][self.metric]["folds"]]

    def asked(self) -> dict[str, Any]:
        """Return what was asked for, and of what."""
        return {name: value for name, value in self.result.items() if name not in _NOT_ASKED}


@dataclass(frozen=True)
class PairedModels:
    """Two models of two results on the same folds, and by how much the second differs from the first."""

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
    differing = [name for name in _DIVISION if first.result.get(name) != second.result.get(name)]
    if differing:
        return f"they differ in {', '.join(each.replace('_', ' ') for each in differing)}"
    if len(first.folds(first.model)) < 2:
        return "on a single split there is no spread to judge a difference by"
    return None


def paired_models(first: Compared, second: Compared) -> list[PairedModels]:
    """Return how the models of two results differ: the two that they are about, and each that both have."""
    n = int(first.result["n_images"])
    n_test = n / (int(first.result["cv"] or 0) or len(first.folds(first.model)))
    pairs = [(first.model, second.model), *((name, name) for name in first.models if name in second.models)]
    return [
        PairedModels(a, b, paired_difference(second.folds(b), first.folds(a), n - n_test, n_test))
        for a, b in dict.fromkeys(pairs)
    ]
