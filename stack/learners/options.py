"""What a user may decide about the fits."""

from __future__ import annotations

from dataclasses import dataclass, field

SCORES = ("probability", "log-probability", "decision")
COMBINE = ("concat", "average")
FUSIONS = ("parts", "concat", "none")


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
    """

    c: float | None = None
    inner_splits: int = 5
    meta: MetaOptions = field(default_factory=MetaOptions)
    fusion: str = "parts"
