"""What is known of a training run before torch is loaded: its options, its images, its epochs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from stackbone.cache import Digests, UsageError
from stackbone.cache.choices import unknown_choice
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.records.views import expand_views
from stackbone.extract.methods.method import OPTIMISERS, RECIPES, check_method, check_options
from stackbone.extract.steering_files.steering import MOST_SEED, STAGES

PRECISIONS = ("auto", "fp32", "bf16")
TRAININGS = ("own", "released")
"""Our way to train, and that of TOAST's authors as far as it is known: docs/steering.md has the table."""
OWN, RELEASED = TRAININGS
_LATER = {"recipe": OWN, "views": PLAIN}
_PATIENCE = 20
_CROP_AREA = 0.7
_WARMUP_SHARE = 10  # of the epochs, one in so many: 10 of the published 100


@dataclass(frozen=True)
class SteerOptions:
    """How to train a steering.

    Optimiser, schedule, epochs and batch size are by default those of Shi et al. 2023, arXiv 2305.15542, section 4.

    Attributes
    ----------
    method, stage
        Of `RECIPES` and `STAGES`.
    epochs, batch_size
        Passes over the training images, and images a step.
    warmup
        Epochs in which the learning rate rises; it then falls to zero along a cosine. By default a tenth of all.
        Some methods, such as `finetune`, train their head alone until then.
    optimiser
        Of `OPTIMISERS`; by default the method's own.
    learning_rate
        At its highest; by default that of the method with this optimiser.
    momentum, weight_decay
        Of the optimiser; Adam's first moment decays as the momentum does.
    validation
        Share of the images that is kept from training, to choose the best epoch and to stop early; 0 trains on all
        and keeps the last epoch.
    patience
        Epochs without a better one after which training stops; by default 20, of the recipe ``released`` never.
    precision
        ``fp32``, ``bf16`` (automatic mixed precision; the trained parameters are float32 all the same), or ``auto``:
        bf16 where the hardware has it.
    augment
        Crop and mirror the training images at random; `linear` never does.
    crop_area
        Share of an image that a random crop keeps at least; 1 keeps images whole. The recipe ``released`` crops all
        images alike.
    seed
        Of every draw: same seed, same machine, same result.
    method_options
        Options of the method itself, such as ``rank``: see its recipe.
    recipe
        Of `TRAININGS`.
    views
        Of each image, that a method which changes no features trains its head on: names and groups of
        `cache.records.views`, separated by commas. It is validated on the plain view.
    """

    method: str
    stage: str = "tune"
    epochs: int = 100
    warmup: int | None = None
    batch_size: int = 32
    optimiser: str | None = None
    learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    validation: float = 0.1
    patience: int | None = None
    precision: str = "auto"
    augment: bool = True
    crop_area: float = _CROP_AREA
    seed: int = 0
    method_options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = OWN
    views: str = PLAIN

    @property
    def view_names(self) -> list[str]:
        """The views, one by one."""
        return expand_views(self.views)

    @property
    def warmup_epochs(self) -> int:
        """Epochs of warm-up, given or not."""
        if self.warmup is not None:
            return self.warmup
        least = 1 if RECIPES[self.method].trains_head_first and self.epochs > 1 else 0
        return max(self.epochs // _WARMUP_SHARE, least)

    @property
    def chosen_optimiser(self) -> str:
        """The optimiser, given or not."""
        return self.optimiser or RECIPES[self.method].optimiser

    @property
    def highest_rate(self) -> float:
        """The learning rate, given or not."""
        return RECIPES[self.method].rates[self.chosen_optimiser] if self.learning_rate is None else self.learning_rate

    @property
    def chosen_patience(self) -> int:
        """Epochs without a better one after which training stops, given or not."""
        if self.patience is not None:
            return self.patience
        return self.epochs if self.recipe == RELEASED else _PATIENCE

    @property
    def recipe_options(self) -> dict[str, Any]:
        """Options of the method that the recipe sets, where neither a start nor the user does."""
        of_recipe = RECIPES[self.method].released if self.recipe == RELEASED else None
        return dict(of_recipe or {})

    def described(self) -> dict[str, Any]:
        """Return what tells one way to train from others; what came later is named where it is not what it was."""
        described = asdict(self) | {"patience": self.chosen_patience, "views": ",".join(self.view_names)}
        return {name: value for name, value in described.items() if name not in _LATER or value != _LATER[name]}

    def rate(self, time: float) -> float:
        """Return the learning rate at a time in epochs, 0 to `epochs`; ``released`` changes it between epochs only."""
        warmup = self.warmup_epochs
        time = math.floor(time) if self.recipe == RELEASED else time
        if time < warmup:
            return self.highest_rate * time / warmup
        return self.highest_rate * 0.5 * (1.0 + math.cos(math.pi * (time - warmup) / (self.epochs - warmup)))

    def rate_after(self, epoch: int) -> float:
        """Return the learning rate at the end of an epoch, 0 the first."""
        return self.rate(epoch if self.recipe == RELEASED else epoch + 1)

    def check(self) -> None:
        """Raise `UsageError`, naming everything that is wrong."""
        check_method(self.method)
        check_options(self.method, self.method_options)
        rate = self.learning_rate
        is_own = self.recipe != RELEASED
        rules = [
            (self.recipe in TRAININGS, unknown_choice("--recipe", self.recipe, TRAININGS)),
            (
                is_own or RECIPES[self.method].released is not None,
                f"--recipe released is how TOAST's authors train it, not the method {self.method}: leave it out",
            ),
            (is_own or self.crop_area == _CROP_AREA, "--crop-area is of our own recipe, not of --recipe released"),
            (
                self.view_names == [PLAIN] or not RECIPES[self.method].changes_features,
                f"--views is for a head on a backbone that stays as it is (--method linear): {self.method} draws "
                "another crop of each image in every epoch by itself. Leave it out",
            ),
            (self.stage in STAGES, unknown_choice("--stage", self.stage, STAGES)),
            (self.epochs >= 1, f"--epochs is {self.epochs}, expected 1 or more"),
            (
                0 <= self.warmup_epochs < max(self.epochs, 1),
                f"--warmup is {self.warmup}; expected 0 to {max(self.epochs, 1) - 1}, fewer than --epochs",
            ),
            (self.batch_size >= 1, f"--batch-size is {self.batch_size}, expected 1 or more"),
            (
                self.optimiser in (None, *OPTIMISERS),
                unknown_choice("--optimiser", self.optimiser or "", OPTIMISERS),
            ),
            (rate is None or 0 < rate < math.inf, f"--learning-rate is {rate}, expected more than 0"),
            (0 <= self.momentum < 1, f"momentum is {self.momentum}, expected at least 0 and less than 1"),
            (0 <= self.weight_decay < math.inf, f"--weight-decay is {self.weight_decay}, expected 0 or more"),
            (0 <= self.validation <= 0.5, f"--validation is {self.validation}, expected 0 to 0.5"),
            (self.chosen_patience >= 1, f"--patience is {self.patience}, expected 1 or more"),
            (self.precision in PRECISIONS, unknown_choice("--precision", self.precision, PRECISIONS)),
            (0 < self.crop_area <= 1, f"--crop-area is {self.crop_area}, expected more than 0 and at most 1"),
            (0 <= self.seed <= MOST_SEED, f"--seed is {self.seed}, expected 0 to {MOST_SEED:,}"),
            (
                self.stage != "pretune" or RECIPES[self.method].changes_features,
                f"the method {self.method} trains nothing but a head, which no later stage can start from: "
                "leave out --stage pretune",
            ),
        ]
        wrong = [message for is_sound, message in rules if not is_sound]
        if wrong:
            raise UsageError("; ".join(wrong))


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Images with the labels that a steering is to learn.

    Attributes
    ----------
    paths
        The n files.
    digests
        (n, 32) uint8, SHA-256 of their bytes.
    labels
        The class of each.
    groups
        Number of the group of each: images of one are all trained on, or all validated on. None where nothing groups
        them.
    """

    paths: list[str]
    digests: Digests
    labels: list[str]
    groups: list[int] | None = None

    @property
    def fingerprint(self) -> str:
        """Hex digest of which images have which labels and belong together, whatever their order and place."""
        names = [digest.tobytes().hex() for digest in self.digests]
        groups = range(len(names)) if self.groups is None else self.groups
        first: dict[int, str] = {}
        for name, group in sorted(zip(names, groups, strict=True)):
            first.setdefault(group, name)
        rows = sorted(zip(names, self.labels, (first[group] for group in groups), strict=True))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def distinct(self) -> tuple[TrainingImages, list[tuple[str, str]]]:
        """Return each image once, sorted by digest, so that neither doubles nor the order of a listing matter.

        Also (path, reason) of the images that are left out, since the same bytes have two labels.
        """
        _, first, inverse = np.unique(self.digests, axis=0, return_index=True, return_inverse=True)
        labels: dict[int, set[str]] = {}
        for row, distinct in enumerate(inverse.ravel()):
            labels.setdefault(int(distinct), set()).add(self.labels[row])
        torn = {row: sorted(found) for row, found in labels.items() if len(found) > 1}
        images = self._take(first.tolist())
        reasons = [(images.paths[row], f"the same bytes are labelled {' and '.join(torn[row])}") for row in torn]
        return images.without(torn), reasons

    def without(self, rows: Container[int]) -> TrainingImages:
        """Return the images without some rows."""
        return self._take([row for row in range(len(self.paths)) if row not in rows])

    def _take(self, rows: list[int]) -> TrainingImages:
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        labels = [self.labels[row] for row in rows]
        return TrainingImages([self.paths[row] for row in rows], self.digests[rows], labels, groups)


@dataclass(frozen=True)
class EpochReport:
    """The outcome of one epoch.

    Attributes
    ----------
    epoch, n_epochs
        From 1.
    loss, accuracy
        Over the training images, as they were cropped, while the parameters changed.
    validation_loss, validation_accuracy
        After the epoch; None without a validation part.
    lr
        Learning rate at its end.
    seconds
        Wall time.
    is_best
        Whether no epoch before was as good.
    """

    epoch: int
    n_epochs: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    lr: float
    seconds: float
    is_best: bool

    def history(self) -> dict[str, float]:
        """Return what a steering file keeps: nothing that another run of the same training would not give again."""
        kept = ("loss", "accuracy", "validation_loss", "validation_accuracy", "lr")
        return {name: value for name, value in asdict(self).items() if name in kept and value is not None}

    def line(self) -> str:
        """Return one line for people."""
        text = f"epoch {self.epoch:>3} of {self.n_epochs}: loss {self.loss:.3f}, accuracy {self.accuracy:.1%}"
        if self.validation_loss is not None:
            text += f"; validation loss {self.validation_loss:.3f}, accuracy {self.validation_accuracy:.1%}"
        return f"{text}  {self.seconds:.1f} s"
