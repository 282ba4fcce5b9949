"""The report of a training run, for people and for programs, and where its file belongs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import DatasetIndex, UsageError, as_keys
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import counted, printable
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.steering.options import SteerOptions, TrainingImages
from stackbone.extract.steering_files.file import read_steering
from stackbone.extract.steering_files.steering import Steering

SUFFIX = ".safetensors"
"""How the name of a steering file ends."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")  # in names of files
_LONGEST_COLUMN = 40  # characters of its name in that of a file
_SHOWN_FAILURES = 10
_UNREAD = (
    "it could not be read when this steering was made. To train with it, name another --out, or remove the steering"
)


@dataclass(frozen=True, eq=False)
class SteerReport:
    """The outcome of a training run.

    Attributes
    ----------
    path, sha256
        The steering file, and what its features are known by.
    steering
        What it holds.
    n_tuned, n_parameters
        Trained parameters, and parameters of the whole network, both with the head's; 0 where nothing was trained
        now.
    seconds
        Wall time.
    resumed_from
        Epochs that an earlier run had left in a checkpoint.
    already_done
        Whether the file was there before, made from the same inputs.
    failures
        (path, reason) of each image that was left out.
    """

    path: Path
    sha256: str
    steering: Steering
    n_tuned: int
    n_parameters: int
    seconds: float
    resumed_from: int
    already_done: bool
    failures: list[tuple[str, str]]

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, whose parameters were kept: the first of the best ones; without validation, the last."""
        history = self.steering.history
        if "validation_accuracy" not in history[-1]:
            return len(history)
        quality = [(each["validation_accuracy"], -each["validation_loss"]) for each in history]
        return quality.index(max(quality)) + 1

    def examples(self, index: DatasetIndex, n_images: int = 24) -> list[ListedFile]:
        """Return images of a dataset for pictures: class after class in turn, those not seen before others."""
        was_seen = np.isin(as_keys(index.image_sha256), as_keys(self.steering.seen))
        by_class: dict[str, list[int]] = {}
        for row in np.flatnonzero(index.ok)[np.argsort(was_seen[index.ok], kind="stable")]:
            by_class.setdefault(index.label[row], []).append(int(row))
        turns = zip_longest(*(by_class[name] for name in sorted(by_class)))
        rows = [row for turn in turns for row in turn if row is not None]
        digests = index.image_sha256
        return [ListedFile(index.root, index.path[row], digests[row].tobytes()) for row in rows[:n_images]]

    def lines(self) -> list[str]:
        """Return the summary that people read."""
        if self.already_done:
            return [f"{self.path}: nothing to train, it was already made from the same images and options"]
        steering, best = self.steering, self.steering.history[self.best_epoch - 1]
        n_images = len(steering.seen)
        lines = [
            f"{self.path}: {steering.name}, {counted(len(steering.classes), 'class', 'classes')}, "
            f"{counted(n_images, 'image')} seen, "
            f"{self.n_tuned:,} of {self.n_parameters:,} parameters trained in {self.seconds:.1f} s"
        ]
        if self.resumed_from:
            lines.append(f"resumed after epoch {self.resumed_from}, where an earlier run stopped")
        if read := steering.training.get("parent_read"):
            lines.append(f"started from a released checkpoint: read {printable(read)}")
        accuracy = best.get("validation_accuracy")
        start = steering.training.get("start_accuracy")
        if start is not None and accuracy is not None:
            gain = 100 * (accuracy - start)
            lines.append(
                f"started from a head on the frozen backbone: validation accuracy {start:.1%}, {gain:+.1f} points since"
            )
        on = "training" if accuracy is None else "validation"
        shown = best["accuracy"] if accuracy is None else accuracy
        return [*lines, f"kept epoch {self.best_epoch} of {len(steering.history)}: {on} accuracy {shown:.1%}"]

    def failure_lines(self) -> list[str]:
        """Return the first images that were left out, one a line."""
        lines = [f"left out: {path!r}: {reason}" for path, reason in self.failures[:_SHOWN_FAILURES]]
        if len(self.failures) > _SHOWN_FAILURES:
            lines.append(f"left out: {len(self.failures) - _SHOWN_FAILURES:,} more; --json lists all")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        steering = self.steering
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "backbone": steering.name,
            "plain": steering.backbone,
            "method": steering.method,
            "stage": steering.stage,
            "options": steering.options,
            "classes": steering.classes,
            "n_seen": len(steering.seen),
            "division": steering.division,
            "training": steering.training,
            "history": steering.history,
            "best_epoch": self.best_epoch,
            "n_tuned": self.n_tuned,
            "n_parameters": self.n_parameters,
            "resumed_from": self.resumed_from,
            "already_done": self.already_done,
            "left_out": [{"path": path, "reason": reason} for path, reason in self.failures],
            "seconds": round(self.seconds, 3),
        }


def read_finished(out: Path, inputs: str, images: TrainingImages, seconds: float) -> SteerReport | None:
    """Return the report of a run that was finished before, or None if there is no file.

    Parameters
    ----------
    out
        The steering file.
    inputs
        Hex digest of all that the result depends on.
    images
        Those that were asked for; the report names those that the steering left out.
    seconds
        That the question took so far.

    Raises
    ------
    UsageError
        If the file was made from other inputs.
    WeightsError
        If it is not sound.
    """
    if not out.exists():
        return None
    steering, sha256 = read_steering(out)
    if steering.training.get("versions", {}).get("inputs") != inputs or not steering.history:
        message = (
            f"{out} is a finished steering of other images, options or weights, and features may have been made "
            "with it. Name another --out, or remove it first"
        )
        raise UsageError(message)
    distinct, failures = images.distinct()
    unseen = np.flatnonzero(~np.isin(as_keys(distinct.digests), as_keys(steering.seen)))
    failures += [(distinct.paths[row], _UNREAD) for row in unseen]
    return SteerReport(
        path=out,
        sha256=sha256,
        steering=steering,
        n_tuned=0,
        n_parameters=0,
        seconds=seconds,
        resumed_from=0,
        already_done=True,
        failures=failures,
    )


def steering_path(
    folder: Path, dataset: str, backbone: Backbone, options: SteerOptions, division: Mapping[str, Any] | None
) -> Path:
    """Return where in a folder the steering of one part of a dataset belongs, for people to tell files apart.

    Such as ``vit_base-toast-birds-seed0-cv3-fold1.safetensors``. Runs that differ in other options have the same
    place, where `steer` refuses to replace one with the other: a folder holds the steerings of one recipe.
    """
    part = division or {}
    parts = [backbone.name, options.method, *(["pretune"] if options.stage == "pretune" else []), dataset]
    parts.append(f"seed{options.seed}")
    parts += [part["plan"]] if "plan" in part else []
    parts += [part["column"][:_LONGEST_COLUMN]] if "column" in part else []
    parts += [f"cv{part['cv']}", f"fold{part['fold']}"] if "fold" in part else []
    parts += [f"without-{part['split']}"] if "split" in part else []
    parts += [f"inner{part['inner']}"] if "inner" in part else []
    return folder / f"{_UNSAFE.sub('_', '-'.join(parts))}{SUFFIX}"
