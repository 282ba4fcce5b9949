"""What a transfer experiment is: what was asked of two domains, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.divisions.division import Division
from stackbone.stack.models.model import StackModel
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import FoldPart
from stackbone.stack.transfer.domains.reading import Asked
from stackbone.stack.transfer.explanation import Explanation
from stackbone.stack.transfer.results.scores import SettingScores

TRANSFER_FORMAT = "stackbone-transfer"
TRANSFER_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class TransferExperiment:
    """What was asked and what came out.

    Attributes
    ----------
    asked : Asked
        Which domains were meant.
    division : Division
        How the target was divided.
    pair : DomainPair
        Both domains, as they took part.
    parts : list of FoldPart
        Folds of the target.
    scores : list of SettingScores
        One for each setting, from the fewest target labels to the most.
    notes : list of str
        What a reader of the scores should know, in sentences.
    warnings : dict of str to list of str
        What solvers warned of, by setting and backbone.
    explanation : Explanation
        How far the domains are apart, and which source images help least.
    model : StackModel, optional
        Fitted on everything, where it was asked for.
    """

    asked: Asked
    division: Division
    pair: DomainPair
    parts: Sequence[FoldPart]
    scores: list[SettingScores]
    notes: list[str]
    warnings: dict[str, list[str]]
    explanation: Explanation
    model: StackModel | None = None

    def __repr__(self) -> str:
        return f"<TransferExperiment {self.source} -> {self.target}: {counted(self.n_target, 'target image')}>"

    @property
    def source(self) -> str:
        """Name of the source; of several, all."""
        return self.pair.source_name

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.asked.target

    @property
    def dataset(self) -> str | None:
        """Dataset that holds all domains; None where each domain is one."""
        return None if self.asked.column is None else self.pair.target.index.name

    @property
    def n_source(self) -> int:
        """Images of the source that take part."""
        return len(self.pair.source)

    @property
    def n_target(self) -> int:
        """Images of the target that take part."""
        return len(self.pair.target.rows)

    @property
    def n_folds(self) -> int:
        """Folds of the target."""
        return len(self.parts)

    @property
    def class_names(self) -> list[str]:
        """Classes of both domains, ascending."""
        return [str(name) for name in self.pair.classes]

    @property
    def left_out(self) -> dict[str, int]:
        """Images of the target that take no part, by why."""
        return self.pair.target.left_out

    @property
    def images_sha256(self) -> str:
        """SHA-256 of which images took part under which labels: see `DomainPair.images_sha256`."""
        return self.pair.images_sha256

    @property
    def backbones(self) -> dict[str, str]:
        """Backbone to feature set id, the same of both domains."""
        return {name: self.pair.target.feature_sets[name].id for name in self.pair.target.names}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; accuracies are 0 to 1, log-losses in nats."""
        division = self.division
        return {
            "format": TRANSFER_FORMAT,
            "format_version": TRANSFER_VERSION,
            "dataset": self.dataset,
            "domain_column": self.asked.column,
            "source": self.pair.source.names,
            "target": self.target,
            "n_source": self.n_source,
            "n_target": self.n_target,
            **({} if self.pair.unlabelled is None else {"n_unlabelled": len(self.pair.unlabelled)}),
            "classes": self.class_names,
            "cv": None if division.split is not None else division.cv,
            "repeats": division.repeats,
            "split": division.split,
            "seed": division.seed,
            "group_by": division.group_by,
            "near_duplicates": division.near_duplicates,
            "rare": division.rare,
            "dealing": division.dealing,
            "stackbone": version("stackbone"),
            "backbones": self.backbones,
            "images_sha256": self.images_sha256,
            "left_out": self.left_out,
            "source_left_out": self.pair.source.left_out,
            "matched": asdict(self.pair.matched),
            "kept_apart": [len(self.pair.source) - len(part.source) for part in self.parts],
            "notes": self.notes,
            "settings": [each.to_dict() for each in self.scores],
            "warnings": self.warnings,
            "explanation": self.explanation.to_dict(),
        }
