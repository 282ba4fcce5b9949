"""The training loop: one for every method, resumed where it stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from stackbone.cache import StackboneError
from stackbone.cache.errors import says_memory_is_full
from stackbone.cache.progress import Progress
from stackbone.cache.trainings.checkpoints import load_checkpoint, save_checkpoint, warn_unsound
from stackbone.extract.methods.method import HEAD, RECIPES, steering_parameters
from stackbone.extract.steering.mixed_precision import mixed_precision
from stackbone.extract.steering.options import EpochReport, SteerOptions
from stackbone.extract.steering.training_data import Batches
from stackbone.extract.steering.training_state import parse_training_state

_log = logging.getLogger(__name__)


class Trainer:
    """Trains a method's module and a linear head on what it gives.

    Parameters
    ----------
    method
        From `build_method`; what requires gradients is trained.
    features
        What turns a batch's inputs into features (B, dim) float32, by way of `method`; or the identity.
    dim, n_classes
        Of the head, which starts at zero.
    autocast
        Type to compute in where that is sound, or None for float32.
    head
        (weight (n_classes, dim), bias (n_classes,)) that the head starts at, trained on the frozen backbone. Then
        nothing is new that would disturb the backbone, and one learning rate is for all, from the first step.
    """

    def __init__(
        self,
        method: nn.Module,
        features: nn.Module,
        dim: int,
        n_classes: int,
        options: SteerOptions,
        device: torch.device,
        autocast: torch.dtype | None,
        head: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> None:
        self._features = features.to(device)
        self._head = skip_init(nn.Linear, dim, n_classes).to(device)  # type: ignore[no-untyped-call]
        nn.init.zeros_(self._head.weight)
        nn.init.zeros_(self._head.bias)
        self._is_head_new = head is None
        if head is not None:
            with torch.no_grad():
                self._head.weight.copy_(torch.from_numpy(head[0]))
                self._head.bias.copy_(torch.from_numpy(head[1]))
        self.start_accuracy: float | None = None  # of that head on the validation part, 0 to 1
        self._method = method
        self._options = options
        self._device = device
        self._autocast = autocast
        of_head = dict(zip(HEAD, (self._head.weight, self._head.bias), strict=True))
        self._parameters = steering_parameters(method) | of_head
        self._steered = [each for each in method.parameters() if each.requires_grad]
        self._optimiser = self._make_optimiser()
        self.history: list[dict[str, float]] = []
        self._best = -1  # epoch, 0 the first
        self._best_tensors: dict[str, NDArray[np.float32]] = {}

    @property
    def n_tuned(self) -> int:
        """Number of trained parameters, the head's included."""
        return sum(each.numel() for each in [*self._steered, *self._head.parameters()])

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the whole network, the head's included."""
        return sum(each.numel() for module in (self._method, self._head) for each in module.parameters())

    def run(
        self,
        batches: Batches,
        checkpoint: Path,
        fingerprint: str,
        *,
        on_epoch: Callable[[EpochReport], None] | None = None,
        on_step: Progress | None = None,
    ) -> int:
        """Train to the end, from the checkpoint if it is this run's; return how many epochs it had.

        Raises
        ------
        StackboneError
            If the loss is not finite, there is not enough memory, or the checkpoint cannot be written.
        """
        if not self._is_head_new and batches.n_validation:
            self.start_accuracy = self._validate(batches)["validation_accuracy"]
        resumed = self._resume(checkpoint, fingerprint)
        try:
            while len(self.history) < self._options.epochs and not self._is_stopped():
                report = self._run_epoch(batches, on_step)
                self._save(checkpoint, fingerprint)
                if on_epoch:
                    on_epoch(report)
        except KeyboardInterrupt:
            if self.history:
                done, in_all = len(self.history), self._options.epochs
                message = "interrupted after %d of %d epochs, which %s keeps: the same command resumes from there"
                _log.warning(message, done, in_all, checkpoint)
            raise
        except RuntimeError as exc:  # torch has one type for all its errors
            if says_memory_is_full(exc):
                message = (
                    f"there is not enough memory for {self._options.batch_size} images at once on {self._device}. "
                    "Lower --batch-size"
                )
                if self.history:
                    message += (
                        f", and the training starts over; or free memory, and the same command resumes after epoch "
                        f"{len(self.history)}, which {checkpoint} keeps"
                    )
                raise StackboneError(message) from exc
            raise
        return resumed

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the parameters of the best epoch, by name."""
        return self._best_tensors

    def _run_epoch(self, batches: Batches, on_step: Progress | None) -> EpochReport:
        started = time.monotonic()
        epoch, options = len(self.history), self._options
        is_first = self._is_head_new and RECIPES[options.method].trains_head_first
        is_head_alone = is_first and epoch < options.warmup_epochs
        for parameter in self._steered:
            parameter.requires_grad = not is_head_alone
        self._features.train()
        n_steps = -(-batches.n_training // options.batch_size)
        loss, n_right = 0.0, 0
        # What a module draws, as for its drop path, depends on seed and epoch alone, like all other draws.
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(_mixed(options.seed, epoch))
            for step, (inputs, codes) in enumerate(batches.training(epoch)):
                self._set_rate(options.rate(epoch + (step + 0.5) / n_steps))
                step_loss, step_right = self._step(inputs, codes)
                loss, n_right = loss + step_loss, n_right + step_right
                if on_step:
                    on_step(f"epoch {epoch + 1} of {options.epochs}", step + 1, n_steps)
        facts = {"loss": loss / batches.n_training, "accuracy": n_right / batches.n_training}
        if batches.n_validation:
            facts |= self._validate(batches)
        facts["lr"] = options.rate_after(epoch)
        self.history.append(facts)
        is_best = self._is_best(epoch)
        if is_best:
            self._best, self._best_tensors = epoch, self._snapshot()
        return EpochReport(
            epoch=epoch + 1,
            n_epochs=options.epochs,
            loss=facts["loss"],
            accuracy=facts["accuracy"],
            validation_loss=facts.get("validation_loss"),
            validation_accuracy=facts.get("validation_accuracy"),
            lr=facts["lr"],
            seconds=time.monotonic() - started,
            is_best=is_best,
        )

    def _step(self, inputs: Tensor, codes: Tensor) -> tuple[float, int]:
        """Take one step; return the sum of the images' losses, and how many were right before it."""
        inputs, codes = self._move(inputs), self._move(codes)
        self._optimiser.zero_grad(set_to_none=True)
        logits = self._head(self._embed(inputs))
        loss = F.cross_entropy(logits, codes)
        objective = loss
        if self._options.stage == "pretune" and hasattr(self._method, "variational_loss"):
            with mixed_precision(self._device, self._autocast):
                method = cast("Any", self._method)
                objective = loss + method.variational_weight * method.variational_loss()
        value = float(loss.detach())
        self._check_finite(float(objective.detach()))
        objective.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return value * len(codes), int((logits.argmax(1) == codes).sum())

    def _check_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            message = (
                f"the loss is no longer finite in epoch {len(self.history) + 1}: the steps are too large. "
                f"Lower --learning-rate, which is {self._options.highest_rate:g}, and run again"
            )
            raise StackboneError(message)

    @torch.no_grad()
    def _validate(self, batches: Batches) -> dict[str, float]:
        self._features.eval()
        loss, n_right = 0.0, 0
        for inputs, codes in batches.validation():
            codes = self._move(codes)
            logits = self._head(self._embed(self._move(inputs)))
            loss += float(F.cross_entropy(logits, codes, reduction="sum"))
            n_right += int((logits.argmax(1) == codes).sum())
        self._check_finite(loss)
        return {
            "validation_loss": loss / batches.n_validation,
            "validation_accuracy": n_right / batches.n_validation,
        }

    def _embed(self, inputs: Tensor) -> Tensor:
        with mixed_precision(self._device, self._autocast):
            return cast("Tensor", self._features(inputs)).float()

    def _move(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cuda":  # the copy overlaps with the step before only from pinned memory
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    def _is_best(self, epoch: int) -> bool:
        """Return whether the last epoch is the best so far; without validation the last one always is."""
        if self._best < 0 or "validation_accuracy" not in self.history[epoch]:
            return True
        return self._quality(epoch) > self._quality(self._best)

    def _quality(self, epoch: int) -> tuple[float, float]:
        facts = self.history[epoch]
        return facts["validation_accuracy"], -facts["validation_loss"]

    def _is_stopped(self) -> bool:
        return len(self.history) - (self._best + 1) >= self._options.chosen_patience

    def _set_rate(self, rate: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]

    def _make_optimiser(self) -> torch.optim.Optimizer:
        recipe, options = RECIPES[self._options.method], self._options
        groups = [
            {"params": self._steered, "share": recipe.body_rate if self._is_head_new else 1.0},
            {"params": list(self._head.parameters()), "share": 1.0},
        ]
        groups = [group for group in groups if group["params"]]
        if options.chosen_optimiser == "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=options.momentum, weight_decay=options.weight_decay)
        return torch.optim.AdamW(groups, lr=0.0, betas=(options.momentum, 0.999), weight_decay=options.weight_decay)

    def _snapshot(self) -> dict[str, NDArray[np.float32]]:
        return {name: each.detach().cpu().numpy().copy() for name, each in self._parameters.items()}

    def _save(self, path: Path, fingerprint: str) -> None:
        facts = {"history": self.history, "best": self._best}
        tensors = {f"now.{name}": array for name, array in self._snapshot().items()}
        if self._best < len(self.history) - 1:
            tensors |= {f"best.{name}": array for name, array in self._best_tensors.items()}
        for name, parameter in self._parameters.items():
            for key, value in self._optimiser.state.get(parameter, {}).items():
                if value is not None:  # SGD without momentum says so
                    tensors[f"optimiser.{key}.{name}"] = value.detach().cpu().numpy()
        save_checkpoint(path, fingerprint, facts, tensors)

    @torch.no_grad()
    def _resume(self, path: Path, fingerprint: str) -> int:
        found = load_checkpoint(path, fingerprint)
        if found is None:
            return 0
        shapes = {name: tuple(each.shape) for name, each in self._parameters.items()}
        state = parse_training_state(*found, shapes, self._options.chosen_optimiser)
        if state is None:
            warn_unsound(path)
            return 0
        self.history, self._best = state.history, state.best
        self._best_tensors = state.best_tensors
        for name, parameter in self._parameters.items():
            parameter.copy_(torch.from_numpy(state.tensors[name]))
            for entry, array in state.optimiser.get(name, {}).items():
                value = torch.from_numpy(array)
                # Adam counts its steps on the CPU; the rest lies where and as its parameter does.
                is_count = value.shape != parameter.shape
                self._optimiser.state[parameter][entry] = (
                    value if is_count else torch.empty_like(parameter).copy_(value)
                )
        _log.info("going on after %d of %d epochs, from %s", len(self.history), self._options.epochs, path)
        return len(self.history)


def _mixed(seed: int, epoch: int) -> int:
    """Return a seed for one epoch of a training."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
