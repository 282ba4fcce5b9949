"""The outputs of a backbone by name: what one forward pass can give beside the pooled vector."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbone.cache import UsageError
from stackbone.cache.choices import nearest
from stackbone.cache.records.feature_name import LARGE, LAYER, is_output
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.text import typed

GEM_POWER = 3.0
"""Power of the generalised mean (Radenovic et al. 2018, arXiv 1711.02512, eq. 3): 1 is a mean, infinity a maximum."""
GEM_LEAST = 1e-6
"""What smaller values count as in it, negative ones too."""

OUTPUTS: Mapping[str, str] = {
    "pooled": "one vector an image, as the backbone's pooling has it",
    "joint": "pooled features in the space that a text encoder shares (CLIP, SigLIP)",
    "stages": "mean over the positions of each stage's map, side by side",
    "blocks": "class token and mean of the patch tokens behind each block, side by side",
    "cls": "class token at the end",
    "mean": "mean over the positions, or patch tokens, at the end",
    "cls+mean": "class token and mean of the patch tokens at the end, side by side",
    "max": "maximum over the positions, or patch tokens, at the end",
    "gem": f"generalised mean over the positions, or patch tokens, at the end, p = {GEM_POWER:g}",
    "map": "every position, or patch token, at the end, in float16",
    "pyramid": "maps of the whole image at strides 8, 16 and 32, to detect objects on, in float16",
}
"""Name to what it is; beside them any module is an output, by `LAYER` and its name."""


@dataclass(frozen=True)
class OutputForm:
    """What a backbone gives for one output.

    Attributes
    ----------
    output
        Its name.
    n_columns
        Of a row.
    row
        What a row consists of.
    """

    output: str
    n_columns: int
    row: RowForm = field(default_factory=RowForm)

    @property
    def dtype(self) -> str:
        """In which a row is kept."""
        return "float16" if self.output in LARGE else "float32"

    @property
    def row_bytes(self) -> int:
        """Bytes of an image's features."""
        return self.n_columns * (2 if self.output in LARGE else 4)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        parts = [list(part) for part in self.row.parts]
        shape = list(self.row.row_shape)
        told = {"output": self.output, "n_columns": self.n_columns, "parts": parts, "row_shape": shape}
        shapes = [list(each) for each in self.row.map_shapes]
        return {**told, "map_shapes": shapes} if shapes else told

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OutputForm:
        """Return what `to_dict` made an object of; errors of many kinds where it did not."""
        shapes = tuple(tuple(each) for each in raw.get("map_shapes", ()))
        row = RowForm(tuple(Part(*part) for part in raw["parts"]), tuple(raw["row_shape"]), shapes)
        return cls(raw["output"], raw["n_columns"], row)


def check_output(output: str) -> None:
    """Raise `UsageError`, with a suggestion, unless a name is one of `OUTPUTS` or names a module."""
    if output in OUTPUTS or (output.startswith(LAYER) and is_output(output)):
        return
    near = nearest(output, OUTPUTS, cutoff=0.5)
    hint = f"did you mean {near!r}?" if near else f"choose from {', '.join(OUTPUTS)}."
    message = f"unknown output {output!r}: {hint} Any module of the network is {LAYER}NAME, such as {LAYER}blocks.3"
    raise UsageError(message)


def check_offered(backbone: str, output: str, offered: Sequence[str], modules: Collection[str]) -> None:
    """Raise `UsageError` unless a backbone has an output.

    Parameters
    ----------
    offered
        Outputs that it has, but for modules.
    modules
        Names of the modules whose results can be an output.
    """
    module = output.removeprefix(LAYER)
    if output in offered or (output != module and module in modules):
        return
    see = f"`stackbone backbones --outputs {typed(backbone)}` lists what it offers"
    if output == module:
        message = f"{backbone} has no output {output!r}: it has {', '.join(offered)} and {LAYER}NAME. {see}"
        raise UsageError(message)
    near = difflib.get_close_matches(module, modules, n=3, cutoff=0.4)
    hint = f"the nearest are {', '.join(f'{LAYER}{name}' for name in near)}" if near else "no other is like it"
    message = f"{backbone} has no module {module!r} that gives features of an image: {hint}. {see}"
    raise UsageError(message)


DEFAULT_MAP_SIZE = 416
"""Side in pixels of the frame that an image is put into for `PYRAMID`."""
_LEAST_MAP_SIZE, _MOST_MAP_SIZE, _STEP = 64, 2048, 32


def checked_map_size(side: int | None) -> int:
    """Return the side of the frame for maps, the usual one for None: a multiple of 32.

    Raises
    ------
    UsageError
        If maps of a stride of 32 do not cover it evenly, or it is too small or too large; the message names the nearest
        that is not.
    """
    if side is None:
        return DEFAULT_MAP_SIZE
    rounded = (side + _STEP // 2) // _STEP * _STEP
    nearest_one = min(max(rounded, _LEAST_MAP_SIZE), _MOST_MAP_SIZE)
    if side == nearest_one:
        return side
    message = (
        f"--map-size {side}: expected a multiple of {_STEP} from {_LEAST_MAP_SIZE} to {_MOST_MAP_SIZE:,} pixels, so "
        f"that the cells of every map cover the frame. The nearest is {nearest_one}"
    )
    raise UsageError(message)
