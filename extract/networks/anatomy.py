"""What of a timm network gives which output: learnt from timm's own description and one pass of one image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from stackbone.cache.records.feature_name import MAP, POOLED, PYRAMID
from stackbone.extract.networks.joint import JOINT, joint_width
from stackbone.extract.networks.levels import Level, find_levels
from stackbone.extract.networks.reading import Reading


@dataclass(frozen=True)
class Anatomy:
    """Where a network's outputs come from.

    Attributes
    ----------
    pooled
        Columns of the pooled features.
    final
        How the features at the end are read; None where they are neither a map nor tokens.
    grid
        (h, w) of their positions or patches; None where these lie on none.
    stages, blocks
        Modules behind which each stage's map, or each block's tokens, are, in order, and how these are read.
    modules
        Every module whose result can be an output, by name.
    joint
        Columns of the features in the space of a text encoder; 0 where there is none.
    levels
        The maps of several strides, the finest first; none where it has none that cover its input evenly.
    """

    pooled: int
    final: Reading | None
    grid: tuple[int, int] | None
    stages: Mapping[str, Reading]
    blocks: Mapping[str, Reading]
    modules: Mapping[str, Reading]
    joint: int = 0
    levels: tuple[Level, ...] = ()

    @property
    def offered(self) -> list[str]:
        """Names of the outputs that there are, but for modules."""
        names = [
            POOLED,
            *([JOINT] if self.joint else []),
            *(["stages"] if self.stages else []),
            *(["blocks"] if self.blocks else []),
        ]
        maps = [PYRAMID] if self.levels else []
        if self.final is None:
            return [*names, *maps]
        own = ("cls", "mean", "cls+mean", "max", "gem") if self.final.has_cls else ("mean", "max", "gem")
        return [*names, *own, *([MAP] if self.grid else []), *maps]


def find_trunk(module: nn.Module) -> nn.Module | None:
    """Return what gives a network's features before its pool: itself, or the first body below that does; else None."""
    found: Any = module
    while not hasattr(found, "forward_features"):
        found = getattr(found, "body", None)
        if not isinstance(found, nn.Module):
            return None
    return cast("nn.Module", found)


def find_plain(trunk: nn.Module) -> nn.Module:
    """Return the timm model in a trunk, which may be a steering around it."""
    return trunk if hasattr(trunk, "num_features") else cast("nn.Module", trunk.body)


def study(trunk: nn.Module, x: Tensor, *, average: bool) -> Anatomy:
    """Return a network's anatomy, from one pass.

    Parameters
    ----------
    trunk
        From `find_trunk`.
    x
        Normalised images (B, 3, H, W), on any device, torch's ``meta`` too.
    average
        Whether the pooled features are the mean of the last map, and not what the network's head makes of it.
    """
    plain: Any = find_plain(trunk)
    shapes: dict[str, Sequence[int]] = {}
    hooks = [
        module.register_forward_hook(_Recorder(name, shapes).record) for name, module in plain.named_modules() if name
    ]
    try:
        with torch.no_grad():
            final = cast("Any", trunk).forward_features(x)
            pooled = final.mean((2, 3)) if average else cast("Any", trunk).forward_head(final)
    finally:
        for hook in hooks:
            hook.remove()
    reader = _Reader(plain, tuple(final.shape) if isinstance(final, Tensor) else ())
    readings = {name: reader.read(shape) for name, shape in shapes.items()}
    listed = _feature_info(plain)
    taps = [(info["module"], int(info["num_chs"])) for info in listed]
    taken = {name: reader.read(shapes.get(name, ()), width) for name, width in taps}
    layouts = {"none" if each is None else each.layout[:3] for each in taken.values()}
    sound = {name: each for name, each in taken.items() if each}
    strides = {info["module"]: info.get("reduction") for info in listed}
    levels = find_levels(
        {name: (strides[name], shapes[name], each) for name, each in sound.items()}, reader, x.shape[2:]
    )
    return Anatomy(
        pooled=int(pooled.shape[1]),
        final=reader.final,
        grid=reader.grid,
        stages=sound if layouts == {"map"} else {},
        blocks=sound if layouts == {"tok"} else {},
        modules={name: each for name, each in readings.items() if each},
        joint=joint_width(plain) if plain is trunk and not average else 0,
        levels=levels,
    )


@dataclass(frozen=True)
class _Recorder:
    """A forward hook that keeps the shape of a module's result, of the last time that it runs."""

    name: str
    shapes: dict[str, Sequence[int]]

    def record(self, _module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.is_floating_point():
            self.shapes[self.name] = tuple(output.shape)


class _Reader:
    """Tells maps from tokens, and where their channels are."""

    def __init__(self, plain: Any, final_shape: Sequence[int]) -> None:  # noqa: ANN401 - timm's models share no type
        self._n_tokens = final_shape[1] if len(final_shape) == 3 else None
        self._channels_last = getattr(plain, "output_fmt", "NCHW") == "NHWC"
        self._n_prefix = getattr(plain, "num_prefix_tokens", None)
        self._has_cls = bool(self._n_prefix) and getattr(plain, "cls_token", None) is not None
        found = self.read(final_shape, int(plain.num_features))
        self.final = None if found and found.layout == "vector" else found
        self.grid = self._find_grid(plain, final_shape)

    def read(self, shape: Sequence[int], width: int | None = None) -> Reading | None:
        """Return how a result of this shape is read; None if it is no features of a whole image.

        Parameters
        ----------
        width
            Its channels, where they are known.
        """
        if len(shape) == 2:
            return Reading("vector", shape[1])
        if len(shape) == 4:
            is_last = self._is_channels_last(shape, width)
            return Reading("map-last" if is_last else "map", shape[3] if is_last else shape[1])
        if len(shape) == 3 and shape[1] == self._n_tokens and self._n_prefix is not None:
            return Reading("tokens", shape[2], self._n_prefix, self._has_cls)
        return None

    def _is_channels_last(self, shape: Sequence[int], width: int | None) -> bool:
        _, first, middle, last = shape
        if width is not None and (first == width) != (last == width):
            return last == width
        if (first == middle) != (middle == last):  # images are mostly square, and so are their maps
            return first == middle
        return self._channels_last

    def _find_grid(self, plain: Any, final_shape: Sequence[int]) -> tuple[int, int] | None:  # noqa: ANN401 - as above
        if self.final is None:
            return None
        if self.final.layout != "tokens":
            h, w = final_shape[1:3] if self.final.layout == "map-last" else final_shape[2:4]
            return h, w
        n = final_shape[1] - self.final.n_prefix
        grid = getattr(getattr(plain, "patch_embed", None), "grid_size", None)
        if grid is not None and math.prod(grid) == n:
            return int(grid[0]), int(grid[1])
        side = math.isqrt(n)
        return (side, side) if side * side == n else None


def _feature_info(plain: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - timm's models share no type
    """Return timm's own list of the stages, or blocks, of a model; none where it has none."""
    return [each for each in getattr(plain, "feature_info", None) or () if isinstance(each, dict) and "module" in each]
