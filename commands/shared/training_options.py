"""Options of a training of `steer`, as it takes them; what is not given is left to the method's own recipe."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed

if TYPE_CHECKING:
    from stackbone.extract.steering.options import SteerOptions


@dataclass(frozen=True)
class MethodOptions:
    """What single methods can be told; None leaves it to the method."""

    rank: Annotated[
        int | None, typer.Option(help="lora, toast-lite: rank of the trained updates; more learns more [default: 4]")
    ] = None
    alpha: Annotated[
        float | None, typer.Option(help="lora, toast-lite: scale the updates by ALPHA / rank [default: not scaled]")
    ] = None
    targets: Annotated[
        str | None,
        typer.Option(help="lora: layers that get an update, by peft's names: {lora_targets} [default: qkv,proj]"),
    ] = None
    value_bias: Annotated[
        bool | None,
        typer.Option(
            "--value-bias/--no-value-bias",
            help="toast, toast-lite: add the value projection's bias twice, as released checkpoints do [default: yes]",
        ),
    ] = None
    prompts: Annotated[int | None, typer.Option(help="vpt: trained tokens in each block [default: 10]")] = None
    shallow: Annotated[bool, typer.Option("--shallow", help="vpt: train tokens of the first block alone")] = False
    blocks: Annotated[
        int | None, typer.Option(help="finetune: train only the last N blocks of the backbone [default: all]")
    ] = None

    method_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of a method that another package adds; repeat for more"),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given, by the names that the methods use."""
        options = {
            "rank": self.rank,
            "alpha": self.alpha,
            "targets": self.targets,
            "value_bias": self.value_bias,
            "n_prompts": self.prompts,
            "shallow": self.shallow or None,
            "blocks": self.blocks,
        }
        return {name: value for name, value in options.items() if value is not None} | self._others()

    def _others(self) -> dict[str, Any]:
        """Return what ``--method-option`` gives, as the numbers, true or false that it spells."""
        found: dict[str, Any] = {}
        for each in self.method_option or []:
            name, is_given, value = each.partition("=")
            if not name or not is_given:
                message = f"--method-option {typed(each)} has no value: write it as NAME=VALUE"
                raise UsageError(message)
            try:
                found[name] = json.loads(value)
            except ValueError:
                found[name] = value
        return found


@dataclass(frozen=True)
class TrainingOptions:
    """How long, how fast and on what a steering is trained."""

    recipe: Annotated[
        str,
        typer.Option(
            help="How to train TOAST: {trainings}; released is as its authors do from a pre-tuned checkpoint, own "
            "starts better without one (docs/steering.md has the differences)"
        ),
    ] = "own"
    epochs: Annotated[int, typer.Option(help="Passes over the training images")] = 100
    warmup: Annotated[
        int | None, typer.Option(help="Epochs in which the learning rate rises [default: a tenth of all]")
    ] = None
    batch_size: Annotated[int, typer.Option(help="Images in each training step")] = 32
    optimiser: Annotated[
        str | None, typer.Option(help="Optimiser: {optimisers} [default: adamw for lora and finetune, else sgd]")
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Highest learning rate; finetune trains the backbone at a hundredth of it [default: the method's, see "
            "docs/steering.md]"
        ),
    ] = None
    weight_decay: Annotated[
        float, typer.Option(help="Weight decay: larger values keep the trained parameters smaller")
    ] = 1e-4
    validation: Annotated[
        float, typer.Option(help="Share of the training images set aside to choose the best epoch; 0 keeps the last")
    ] = 0.1
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without improvement [default: 20; of --recipe released never]"),
    ] = None
    crop_area: Annotated[float, typer.Option(help="Smallest share of an image that a random crop keeps")] = 0.7
    no_augment: Annotated[bool, typer.Option("--no-augment", help="Do not crop and mirror images at random")] = False
    views: Annotated[
        str, typer.Option(help="linear: train the head on these views of each image, such as plain,augment:8")
    ] = "plain"
    precision: Annotated[
        str, typer.Option(help="Arithmetic of the training: {training_precisions}; auto is bf16 where it is fast")
    ] = "auto"

    def to_options(self, method: str, stage: str, seed: int, own: MethodOptions) -> SteerOptions:
        """Return the options of the training, unchecked."""
        from stackbone.extract.steering.options import SteerOptions

        same = asdict(self)
        augment = not same.pop("no_augment")
        return SteerOptions(method=method, stage=stage, seed=seed, augment=augment, method_options=own.given(), **same)
