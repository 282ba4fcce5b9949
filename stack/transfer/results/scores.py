"""How each method did in each setting, with its paired difference to the best baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.results.source_worth import SourceWorth

TARGET_ONLY, POOLED, SOURCE_ONLY = "target-only", "pooled", "source-only"
"""Names of the baselines, which the verdict is about."""

_CHANCE = 0.05
_CLASSES_SHOWN = 5

Logs = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MethodScore:
    """How one method did in one setting.

    Attributes
    ----------
    method : str
        Its name.
    family : str
        Of it.
    setting : str
        Name of the setting.
    score : ModelScore
        Of the mean of its probabilities over backbones, one number a fold.
    backbones : dict of str to ModelScore
        Of each backbone alone.
    chosen : dict of str to list of dict
        By backbone, what it chose in each fold: see `stack.transfer.method.Fitted`.
    difference : Difference, optional
        By how much it is better than the best baseline of the setting; None of that baseline itself.
    """

    method: str
    family: str
    setting: str
    score: ModelScore
    backbones: dict[str, ModelScore]
    chosen: dict[str, list[dict[str, float | str]]]
    difference: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            **self.score.to_dict(),
            "method": self.method,
            "family": self.family,
            "setting": self.setting,
            "backbones": {name: each.to_dict() for name, each in self.backbones.items()},
            "chosen": self.chosen,
            "difference": None if self.difference is None else self.difference.to_dict(),
        }


@dataclass(frozen=True)
class Refusals:
    """What becomes of target images whose class the source lacks, where images unlike all known ones are refused.

    Attributes
    ----------
    n_unknown, n_known : int
        Images of such classes, and tested ones of known classes.
    unknown, known : float
        Share of each that is refused, 0 to 1, mean over folds; of known ones it is in error.
    classes : dict of str to float
        Share of each unknown class that is refused.
    """

    n_unknown: int
    unknown: float
    n_known: int
    known: float
    classes: dict[str, float]

    @property
    def line(self) -> str:
        """The same in a sentence."""
        each = ", ".join(f"{name!r} {share:.0%}" for name, share in list(self.classes.items())[:_CLASSES_SHOWN])
        more = ", ..." if len(self.classes) > _CLASSES_SHOWN else ""
        of_each = f" ({each}{more})" if len(self.classes) > 1 else f" ({next(iter(self.classes))!r})"
        return (
            f"open set: {self.unknown:.1%} of {counted(self.n_unknown, 'image')} of classes that the source lacks"
            f"{of_each} would be refused as unlike all that was learnt from, and in error {self.known:.1%} of "
            f"{counted(self.n_known, 'image')} of known classes"
        )


@dataclass(frozen=True, eq=False)
class SettingScores:
    """All methods in one setting.

    Attributes
    ----------
    setting : Setting
        Which target labels are shown.
    results : list of MethodScore
        In the order of the table: baselines first.
    best_baseline : str
        Name of the baseline of the highest accuracy, which every method has to beat.
    unfit : dict of str to str
        Methods that cannot serve in this setting, with why not.
    predictions : dict of str to list of NDArray[np.float64]
        By method, ``(n_test, n_classes)`` natural-log probabilities of each fold's test part, over all backbones.
    source_effect : Difference, optional
        By how much `pooled` is better than `target-only`: what the source's images are worth, with nothing done about
        the shift; a comparison that is named before any score is known. None without target labels.
    refusals : Refusals, optional
        What becomes of an open set; None where the target has none.
    sources : list of SourceWorth
        What each of several sources is worth; none of one alone.
    """

    setting: Setting
    results: list[MethodScore]
    best_baseline: str
    unfit: dict[str, str]
    predictions: dict[str, list[Logs]]
    source_effect: Difference | None
    refusals: Refusals | None = None
    sources: list[SourceWorth] = field(default_factory=list)

    def result(self, method: str) -> MethodScore:
        """Return how a method did."""
        return next(each for each in self.results if each.method == method)

    def is_sure(self, result: MethodScore) -> bool:
        """Return whether a method differs from the best baseline beyond chance, with all that were compared in mind.

        Of 15 that are as good as the baseline one in two runs or three would be outside its 95% interval; so the
        p-value is multiplied by how many methods there are (Bonferroni), and has to be below 5% then.
        """
        n = sum(each.family != "baseline" for each in self.results)
        difference = result.difference
        return difference is not None and difference.p_value is not None and difference.p_value * n < _CHANCE

    @property
    def best_method(self) -> MethodScore | None:
        """The method of the highest accuracy, the first of equals; None where baselines alone were run."""
        others = [each for each in self.results if each.family != "baseline"]
        return max(others, key=lambda each: each.score.mean, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "setting": self.setting.name,
            "best_baseline": self.best_baseline,
            "source_effect": None if self.source_effect is None else self.source_effect.to_dict(),
            "results": [each.to_dict() for each in self.results],
            "unfit": self.unfit,
            **({} if self.refusals is None else {"open_set": asdict(self.refusals)}),
            **({"sources": [each.to_dict() for each in self.sources]} if self.sources else {}),
        }
