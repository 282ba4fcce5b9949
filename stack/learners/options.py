"""What a user may decide about the fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCORES = ("probability", "log-probability", "decision")
COMBINE = ("concat", "average")
FUSIONS = ("parts", "concat", "none")

_ALWAYS = ("c", "inner_splits", "meta", "fusion")  # in every result file


@dataclass(frozen=True)
class MetaOptions:
    """How the backbones' scores are combined.

    Attributes
    ----------
    learner : str
        Name of the meta-learner, of `stack.learners.registry.META_LEARNERS`.
    scores : str
        What it sees of each backbone: ``probability``, ``log-probability`` or ``decision`` (the logits).
    combine : str
        ``concat``, side by side, or ``average`` over backbones.
    c : float, optional
        Its inverse regularisation strength; chosen inside the training part by default.
    """

    learner: str = "svm"
    scores: str = "probability"
    combine: str = "concat"
    c: float | None = None


@dataclass(frozen=True)
class StackOptions:
    """What is fitted on each outer fold's training part.

    Attributes
    ----------
    c : float, optional
        Inverse regularisation strength of every ``lr:`` and ``concat``; chosen on the inner folds by default.
    inner_splits : int
        Inner folds, where the smallest class allows as many.
    meta : MetaOptions
        The meta-learner of ``stack:oof``.
    fusion : str
        How outputs of one network are put together: see `stack.features.fusion.fuse`.
    metric : str, optional
        Name of the metric that chooses strengths of regularisation on the inner folds, ranks models and is what the
        verdict speaks of. By default each learner chooses by what it minimises, and models are ranked by the task's
        `primary_metric`.
    class_weight : str or mapping of str to float, optional
        What an image of each class counts for where a model learns: ``balanced``, or a number above 0 by class name.
        All count alike by default.
    weight_column : str, optional
        Column of the dataset with what each image counts for, where a model learns and where it is tested.
    """

    c: float | None = None
    inner_splits: int = 5
    meta: MetaOptions = field(default_factory=MetaOptions)
    fusion: str = "parts"
    metric: str | None = None
    class_weight: str | Mapping[str, float] | None = None
    weight_column: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; what was added since the first result files is in it where it is asked for."""
        plain = StackOptions()
        return {
            name: value
            for name, value in asdict(self).items()
            if name in _ALWAYS or getattr(self, name) != getattr(plain, name)
        }
