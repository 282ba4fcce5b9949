"""A network that gives several outputs of one forward pass.

What a stage, a block or any other module gives is pooled at once, as the pass comes by: no map is held until the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from stackbone.cache import UsageError
from stackbone.cache.records.feature_name import LAYER, MAP, POOLED, PYRAMID
from stackbone.cache.records.parts import Part, RowForm
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.outputs import GEM_LEAST, GEM_POWER, OutputForm, check_offered
from stackbone.extract.networks.anatomy import Anatomy, find_plain, find_trunk, study
from stackbone.extract.networks.joint import JOINT, PROJECTION
from stackbone.extract.networks.levels import Level, form_of_levels
from stackbone.extract.networks.network import FeatureNetwork
from stackbone.extract.networks.reading import Reading

_TOLERANCE = 1e-3  # of pooled features, relative to the largest


class OutputNetwork(nn.Module):
    """A network's outputs, in the order asked for.

    Parameters
    ----------
    network
        In evaluation mode.
    backbone
        Whose network it is.
    outputs
        Names of outputs.

    Attributes
    ----------
    forms
        What it gives for each.

    Raises
    ------
    UsageError
        If it lacks an output; the message names those it has.
    """

    forms: tuple[OutputForm, ...]

    def __init__(self, network: FeatureNetwork, backbone: Backbone, outputs: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._average = backbone.pooling == "avg"
        self._seen: dict[str, list[Tensor]] = {}
        self._maps: dict[str, Tensor] = {}
        self._pooled_alone = tuple(outputs) == (POOLED,)
        self._maps_alone = tuple(outputs) == (PYRAMID,)
        pixels = sample_pixels(network, backbone)
        if self._pooled_alone:
            with torch.no_grad():
                self.forms = (OutputForm(POOLED, int(network(pixels).shape[1])),)
            return
        anatomy = study_network(network, backbone)
        check_anatomy(backbone, outputs, anatomy)
        self.forms = tuple(form_of(output, anatomy) for output in outputs)
        self._taken = [self._prepare(output, anatomy) for output in outputs]
        if not self._maps_alone:
            self._check_pooled(backbone, pixels)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return (B, n_columns) float32 of each output, of pixels (B, H, W, 3) uint8."""
        if self._pooled_alone:
            return (self.network(pixels),)
        final = self._run(pixels)
        taken = tuple(take(final) for take in self._taken)
        self._seen.clear()
        self._maps.clear()
        return taken

    def _run(self, pixels: Tensor) -> Tensor:
        """Return the features at the end, with what is pooled on the way in `_seen`."""
        self._seen.clear()
        trunk: Any = find_trunk(self.network.body)
        final: Tensor = trunk.forward_features(self.network.normalise(pixels))
        if self._maps_alone:
            return final
        pooled = final.mean((2, 3)) if self._average else trunk.forward_head(final)
        self._seen[POOLED] = [pooled.float()]
        return final

    def _prepare(self, output: str, anatomy: Anatomy) -> Callable[[Tensor], Tensor]:
        """Return what makes an output of the features at the end, with hooks in place for what it needs on the way."""
        taps = {"stages": anatomy.stages, "blocks": anatomy.blocks}.get(output)
        if output.startswith(LAYER):
            name = output.removeprefix(LAYER)
            taps = {name: anatomy.modules[name]}
        if taps is not None:
            names = list(taps)
            for name in names:
                self._hook(name, taps[name])
            return lambda _final: _side_by_side([part for name in names for part in self._seen[name]])
        if output == PYRAMID:
            for level in anatomy.levels:
                self._hook_level(level)
            return lambda final: _side_by_side(
                [level.take(final) if level.module is None else self._maps[level.module] for level in anatomy.levels]
            )
        if output == POOLED:
            return lambda _final: self._seen[POOLED][0]
        if output == JOINT:
            project = getattr(find_trunk(self.network.body), PROJECTION, nn.Identity())
            return lambda _final: cast("Tensor", project(self._seen[POOLED][0])).float()
        return _Final(output, cast("Reading", anatomy.final)).take

    def _hook(self, name: str, reading: Reading) -> None:
        def keep(_module: nn.Module, _inputs: object, result: Tensor) -> None:
            self._seen[name] = reading.pool(result)

        self._plain.get_submodule(name).register_forward_hook(keep)

    def _hook_level(self, level: Level) -> None:
        name = level.module
        if name is None:
            return

        def keep(_module: nn.Module, _inputs: object, result: Tensor) -> None:
            self._maps[name] = level.take(result)

        self._plain.get_submodule(name).register_forward_hook(keep)

    @property
    def _plain(self) -> nn.Module:
        return find_plain(cast("nn.Module", find_trunk(self.network.body)))

    def _check_pooled(self, backbone: Backbone, pixels: Tensor) -> None:
        """Refuse a network whose features are not those that its head makes of its features at the end."""
        if pixels.is_meta:
            return
        with torch.no_grad():
            expected = self.network(pixels)
            self._run(pixels)
        found = self._seen.pop(POOLED)[0]
        self._seen.clear()
        largest = expected.abs().max()
        if found.shape != expected.shape or not (found - expected).abs().max() <= _TOLERANCE * largest:
            message = (
                f"{backbone.name} makes its pooled features in a way of its own, so that no other output can be taken "
                f"beside it: it has {POOLED} alone. Leave the other outputs out"
            )
            raise UsageError(message)


class _Final:
    """An output of the features at the end."""

    def __init__(self, output: str, reading: Reading) -> None:
        self._output = output
        self._reading = reading

    def take(self, final: Tensor) -> Tensor:
        """Return (B, n_columns) float32 of the features at the end."""
        reading = self._reading
        if self._output == "cls":
            return reading.pool(final)[0]
        if self._output == "mean":
            return reading.pool(final)[-1]
        if self._output == "cls+mean":
            return _side_by_side(reading.pool(final))
        positions = reading.positions(final)
        if self._output == "max":
            return positions.amax(1)
        if self._output == "gem":
            return positions.clamp(min=GEM_LEAST).pow(GEM_POWER).mean(1).pow(1 / GEM_POWER)
        return positions.flatten(1)


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def sample_pixels(network: FeatureNetwork, backbone: Backbone) -> Tensor:
    """Return an image of many colours, (1, H, W, 3) uint8, where the network is."""
    height, width = backbone.transform.input_size
    n = height * width * 3
    if network.scale.is_meta:
        return torch.zeros((1, height, width, 3), dtype=torch.uint8, device="meta")
    colours = (torch.arange(n, device=network.scale.device) * 37 % 251).to(torch.uint8)
    return colours.view(1, height, width, 3)


def study_network(network: FeatureNetwork, backbone: Backbone) -> Anatomy:
    """Return where the outputs of a backbone's network come from; errors as of `OutputNetwork`."""
    trunk = find_trunk(network.body)
    pixels = sample_pixels(network, backbone)
    if trunk is None:
        with torch.no_grad():
            return Anatomy(int(network(pixels).shape[1]), None, None, {}, {}, {})
    try:
        anatomy = study(trunk, network.normalise(pixels), average=backbone.pooling == "avg")
    except (AssertionError, RuntimeError, ValueError) as exc:  # each of timm's layers refuses in its own way
        if not backbone.is_framed or pixels.is_meta:
            raise
        side = backbone.transform.input_size[0]
        message = (
            f"{backbone.name} does not take images of {side} x {side} pixels, as its {PYRAMID} would ({exc}). Choose "
            f"another --map-size, or leave {backbone.name}@{PYRAMID} out"
        )
        raise UsageError(message) from exc
    return replace(anatomy, joint=0) if backbone.steering else anatomy  # steered ones are loaded without a projection


def check_anatomy(backbone: Backbone, outputs: Sequence[str], anatomy: Anatomy) -> None:
    """Raise `UsageError` unless a network has some outputs; the message names those it has, or a frame that fits."""
    if (
        PYRAMID in outputs
        and not anatomy.levels
        and anatomy.final
        and anatomy.grid
        and anatomy.final.layout == "tokens"
    ):
        side, patches = backbone.transform.input_size[0], anatomy.grid[0]
        step = math.lcm(32, side // patches)
        fitting = max(1, round(side / step)) * step
        message = (
            f"{backbone.name} has no {PYRAMID} of images of {side} x {side} pixels: its patches of {side // patches} "
            f"do not fill them. Use --map-size {fitting}, or leave {backbone.name}@{PYRAMID} out"
        )
        raise UsageError(message)
    for output in outputs:
        check_offered(backbone.name, output, anatomy.offered, anatomy.modules)


def form_of(output: str, anatomy: Anatomy) -> OutputForm:
    """Return what a network gives for an output that it has."""
    if output == POOLED:
        return OutputForm(POOLED, anatomy.pooled)
    if output == JOINT:
        return OutputForm(JOINT, anatomy.joint)
    if output == "stages":
        parts = [Part(f"stage{i}", each.width) for i, each in enumerate(anatomy.stages.values(), start=1)]
        return _of_parts(output, parts)
    if output == "blocks":
        numbered = enumerate(anatomy.blocks.values(), start=1)
        parts = [Part(f"block{i}.{name}", each.width) for i, each in numbered for name in each.pooled_parts]
        return _of_parts(output, parts)
    if output.startswith(LAYER):
        reading = anatomy.modules[output.removeprefix(LAYER)]
        return _of_parts(output, [Part(name, reading.width) for name in reading.pooled_parts])
    if output == PYRAMID:
        row = form_of_levels(anatomy.levels)
        return OutputForm(PYRAMID, sum(part.n_columns for part in row.parts), row)
    final = cast("Reading", anatomy.final)
    if output == MAP:
        h, w = cast("tuple[int, int]", anatomy.grid)
        return OutputForm(MAP, h * w * final.width, RowForm(row_shape=(h, w, final.width)))
    if output == "cls+mean":
        return _of_parts(output, [Part(name, final.width) for name in final.pooled_parts])
    return OutputForm(output, final.width)


def _of_parts(output: str, parts: Sequence[Part]) -> OutputForm:
    n_columns = sum(part.n_columns for part in parts)
    return OutputForm(output, n_columns, RowForm(tuple(parts) if len(parts) > 1 else ()))
