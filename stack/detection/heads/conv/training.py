"""Training of the `conv` head: AdamW under a warm-up and a cosine, from a checkpoint where there is one.

Every draw depends on the seed and the number of the epoch alone, so that a run that was cut short goes on as if it had
not been.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stackbone.cache.choices import check_choice
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Progress
from stackbone.cache.trainings.checkpoints import load_checkpoint, remove_checkpoint, try_checkpoint, warn_unsound
from stackbone.stack.detection.cells import Cells
from stackbone.stack.detection.framed import FramedBoxes
from stackbone.stack.detection.head import PRECISIONS
from stackbone.stack.detection.heads.conv.losses import Targets, loss
from stackbone.stack.detection.heads.conv.network import DEPTH, WIDTH, ConvHead, as_tensors, initialise, set_moments
from stackbone.stack.detection.moments import moments
from stackbone.stack.detection.source import HELD_BYTES, HeldMaps, batches

_VERSION = 1  # of the training: a checkpoint of another one is not taken up
_CLIP = 10.0  # norm of the gradient
_FEWEST_EPOCHS, _MOST_EPOCHS = 12, 200
_ENTRIES = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Plan:
    """How a head is trained.

    Attributes
    ----------
    steps : int
        Of the optimiser, about; whole epochs, but no fewer than 12 and no more than 200.
    batch : int
        Images in a step.
    rate, decay : float
        Learning rate at its highest, and weight decay.
    width, depth : int
        Of the network.
    held_bytes : int
        Maps that may be held in memory, in bytes.
    n_epochs : int, optional
        In place of `steps`.
    precision : str
        One of `head.PRECISIONS`. In ``bf16`` the network computes in bfloat16, on any processor; its parameters, the
        loss and what is found are float32 all the same.
    """

    steps: int = 450
    batch: int = 8
    rate: float = 2e-3
    decay: float = 1e-2
    width: int = WIDTH
    depth: int = DEPTH
    held_bytes: int = field(default=HELD_BYTES)
    n_epochs: int | None = None
    precision: str = PRECISIONS[0]

    def __post_init__(self) -> None:
        check_choice("--precision", self.precision, PRECISIONS)

    def epochs(self, n_images: int) -> int:
        """Return how often each image is seen."""
        if self.n_epochs is not None:
            return self.n_epochs
        wanted = round(self.steps / math.ceil(n_images / self.batch))
        return min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS)


@dataclass(frozen=True, eq=False)
class Examples:
    """Images to learn from, plain and, where there are mirrored maps, mirrored.

    Attributes
    ----------
    maps : tuple of HeldMaps
        Plain ones, then mirrored ones.
    boxes : tuple of list of FramedBoxes
        Of each image in each view.
    """

    maps: tuple[HeldMaps, ...]
    boxes: tuple[list[FramedBoxes], ...]

    def __len__(self) -> int:
        return len(self.boxes[0])


def train(
    examples: Examples,
    cells: Cells,
    depths: Sequence[int],
    n_classes: int,
    seed: int,
    plan: Plan,
    *,
    checkpoint: Place | None,
    on_progress: Progress,
) -> tuple[ConvHead, dict[str, Any]]:
    """Return a trained head, and how it was trained: the mean loss of each epoch, and the precision."""
    head = ConvHead(depths, n_classes, plan.width, plan.depth).to(memory_format=torch.channels_last)
    initialise(head, seed)
    set_moments(head, moments(examples.maps[0], len(examples), seed))
    run = _Run(head, examples, cells, n_classes, seed, plan, on_progress)
    if checkpoint is not None:
        run.resume(checkpoint)
    run.finish(checkpoint)
    return head.eval(), {"losses": run.history, "precision": plan.precision}


class _Run:
    """One training, epoch after epoch."""

    def __init__(
        self,
        head: ConvHead,
        examples: Examples,
        cells: Cells,
        n_classes: int,
        seed: int,
        plan: Plan,
        on_progress: Progress,
    ) -> None:
        self._head, self._examples, self._cells, self._n_classes = head, examples, cells, n_classes
        self._seed, self._plan, self._on_progress = seed, plan, on_progress
        self._epochs = plan.epochs(len(examples))
        self._per_epoch = math.ceil(len(examples) / plan.batch)
        decayed = [each for each in head.parameters() if each.ndim > 1]
        others = [each for each in head.parameters() if each.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": plan.decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=plan.rate, foreach=False)
        self.history: list[float] = []

    def resume(self, checkpoint: Place) -> None:
        """Go on from a checkpoint, if there is a sound one of this training."""
        found = load_checkpoint(checkpoint, self._name)
        if found is None:
            return
        facts, tensors = found
        history: Any = facts.get("history")
        if not self._is_whole(history, tensors):
            warn_unsound(checkpoint)
            return
        self.history = [float(each) for each in history]
        steps = torch.tensor(float(len(self.history) * self._per_epoch))
        with torch.no_grad():
            for name, parameter in self._head.named_parameters():
                parameter.copy_(torch.from_numpy(tensors[f"now.{name}"].copy()))
                state = {entry: torch.empty_like(parameter) for entry in _ENTRIES}
                for entry, values in state.items():
                    values.copy_(torch.from_numpy(tensors[f"{entry}.{name}"].copy()))
                self._optimiser.state[parameter] = {"step": steps.clone(), **state}

    def _is_whole(self, history: object, tensors: Mapping[str, NDArray[np.float32]]) -> bool:
        """Return whether a checkpoint holds all that a training goes on from, of the shapes and numbers it can have."""
        if not isinstance(history, list) or not 0 < len(history) < self._epochs:
            return False
        if not all(type(each) in (int, float) and math.isfinite(each) for each in history):
            return False
        expected = {
            f"{part}.{name}": tuple(parameter.shape)
            for name, parameter in self._head.named_parameters()
            for part in ("now", *_ENTRIES)
        }
        found = {name: array.shape for name, array in tensors.items()}
        return found == expected and all(np.isfinite(array).all() for array in tensors.values())

    def finish(self, checkpoint: Place | None) -> None:
        """Train all epochs that are left."""
        self._head.train()
        for epoch in range(len(self.history), self._epochs):
            self.history.append(self._epoch(epoch))
            if checkpoint is not None and epoch + 1 < self._epochs:
                is_kept = try_checkpoint(checkpoint, self._name, {"history": self.history}, self._state())
                checkpoint = checkpoint if is_kept else None
        if checkpoint is not None:
            remove_checkpoint(checkpoint)

    @property
    def _name(self) -> str:
        """Fingerprint of all that decides the outcome; the maps are known by their means and deviations."""
        told = hashlib.sha256()
        told.update(
            json.dumps([_VERSION, self._seed, asdict(self._plan), self._n_classes, len(self._examples)]).encode()
        )
        for buffer in self._head.buffers():
            told.update(buffer.numpy().tobytes())
        for view in self._examples.boxes:
            for each in view:
                for array in (each.corners, each.classes, each.ignored):
                    told.update(f"{array.shape}".encode() + array.tobytes())
        return told.hexdigest()

    def _state(self) -> dict[str, NDArray[np.float32]]:
        tensors: dict[str, NDArray[np.float32]] = {}
        for name, parameter in self._head.named_parameters():
            tensors[f"now.{name}"] = parameter.detach().numpy()
            for entry in _ENTRIES:
                tensors[f"{entry}.{name}"] = self._optimiser.state[parameter][entry].numpy()
        return tensors

    def _epoch(self, epoch: int) -> float:
        """Train on every image once, in one of its views, and return the mean loss."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._examples))
        views = rng.integers(len(self._examples.maps), size=self._per_epoch)
        total = 0.0
        for number, rows in enumerate(batches(len(order), self._plan.batch)):
            done = epoch * self._per_epoch + number
            total += self._step(order[rows], int(views[number]), done)
            self._on_progress("training the head", done + 1, self._epochs * self._per_epoch)
        return total / self._per_epoch

    def _step(self, rows: NDArray[np.int64], view: int, done: int) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = self._plan.rate * self._share(done)
        maps = as_tensors(self._examples.maps[view].read(rows))
        targets = Targets(self._cells, [self._examples.boxes[view][row] for row in rows], self._n_classes)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._plan.precision == "bf16"):
            outputs = self._head(maps)
        value = loss(outputs, targets)
        self._optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call] # torch has no types for it
        torch.nn.utils.clip_grad_norm_(self._head.parameters(), _CLIP)
        self._optimiser.step()
        return value.item()

    def _share(self, done: int) -> float:
        """Return the learning rate of a step as a share of the highest: a linear rise, then a cosine down to zero."""
        steps = self._epochs * self._per_epoch
        rise = max(1, min(100, steps // 10))
        if done < rise:
            return (done + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (done - rise) / max(1, steps - rise)))
