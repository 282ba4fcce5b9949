"""What is told of a transfer, with its images and features at hand or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stackbone.stack.divisions.division import Division
from stackbone.stack.transfer.domains.reading import Asked
from stackbone.stack.transfer.explanation import Explanation
from stackbone.stack.transfer.results.scores import SettingScores

if TYPE_CHECKING:
    from stackbone.stack.transfer.experiment import TransferExperiment


@dataclass(frozen=True, eq=False)
class TransferResult:
    """What a result file keeps of a transfer.

    Attributes
    ----------
    asked : Asked
        Which domains were meant, by the feature sets that were used.
    division : Division
        How the target was divided.
    sources : list of str
        The source domains.
    n_source, n_target : int
        Images that took part.
    n_folds : int
        Of the target.
    class_names : list of str
        Classes of both domains, ascending.
    backbones : dict of str to str
        Backbone to feature set id.
    left_out : dict of str to int
        Images of the target that took no part, by why.
    scores : list of SettingScores
        Without predictions.
    notes : list of str
        What a reader of the scores should know, in sentences.
    warnings : dict of str to list of str
        What solvers warned of, by setting and backbone.
    explanation : Explanation
        How far the domains are apart, and which source images help least.
    images_sha256 : str
        As of `TransferExperiment.images_sha256`; "" of a file that was written before it was kept.
    """

    asked: Asked
    division: Division
    sources: list[str]
    n_source: int
    n_target: int
    n_folds: int
    class_names: list[str]
    backbones: dict[str, str]
    left_out: dict[str, int]
    scores: list[SettingScores]
    notes: list[str]
    warnings: dict[str, list[str]]
    explanation: Explanation
    images_sha256: str = ""

    @property
    def dataset(self) -> str | None:
        """Dataset that holds all domains; None where each domain is one."""
        return self.asked.dataset

    @property
    def source(self) -> str:
        """Name of the source; of several, all."""
        return " + ".join(self.sources)

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.asked.target


Told: TypeAlias = "TransferExperiment | TransferResult"
"""What tables, verdicts and pages take."""
