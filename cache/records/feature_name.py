"""The name of a feature set, as people type it: a backbone, which of its outputs, and which view of the images."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stackbone.cache.backbone_groups import split_suffix
from stackbone.cache.errors import UsageError

POOLED = "pooled"
"""The output that a backbone has unless another one is named: one pooled vector an image."""
PLAIN = "plain"
"""The view that a backbone has unless another one is named: the image as it is."""
MAP = "map"
"""The output that is not pooled: every position's features, so that a row is large."""
PYRAMID = "pyramid"
"""Maps of several strides, of an image shown whole: what objects are detected on. Rows are larger still."""
LARGE = (MAP, PYRAMID)
"""Outputs whose rows are maps, kept as float16, and taken by nothing that does not name them."""
LAYER = "layer:"
"""What stands before the name of a module, of which any can be an output."""

_OUTPUT = re.compile(r"[a-z][a-z0-9+_-]*|layer:[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_VIEW = re.compile(r"[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*")
_FOLDER = re.compile(r"(?P<backbone>[A-Za-z0-9][A-Za-z0-9._]*)(@(?P<output>[^@~]+))?(~(?P<view>[^@~]+))?")


@dataclass(frozen=True)
class FeatureName:
    """``NAME``, ``NAME@OUTPUT``, ``NAME~VIEW`` or ``NAME@OUTPUT~VIEW``.

    Attributes
    ----------
    backbone
        Name of the backbone, such as ``resnet50`` or ``timm:resnet18.a1_in1k``.
    output
        Which of its outputs, such as ``stages`` or ``layer:blocks.3``.
    view
        Which view of the images it saw, such as ``hflip``.
    """

    backbone: str
    output: str = POOLED
    view: str = PLAIN

    def __str__(self) -> str:
        output = "" if self.output == POOLED else f"@{self.output}"
        view = "" if self.view == PLAIN else f"~{self.view}"
        return f"{self.backbone}{output}{view}"


def parse_feature_name(text: str) -> FeatureName:
    """Return what a name says; ``str`` of it is the same name again, without what goes without saying.

    Raises
    ------
    UsageError
        If what stands behind ``@`` or ``~`` cannot be an output or a view.
    """
    backbone, suffix = split_suffix(text)
    output, tilde, view = suffix.partition("~")
    if output and not is_output(output[1:]):
        message = f"{text!r}: {output[1:]!r} is no output. Name one behind '@', such as {backbone}@stages"
        raise UsageError(message)
    if tilde and not is_view(view):
        message = f"{text!r}: {view!r} is no view. Name one behind '~', such as {backbone}~hflip"
        raise UsageError(message)
    return FeatureName(backbone, output[1:] or POOLED, view or PLAIN)


def is_output(text: str) -> bool:
    """Return whether a text can name an output."""
    return _OUTPUT.fullmatch(text) is not None


def is_view(text: str) -> bool:
    """Return whether a text can name a view."""
    return _VIEW.fullmatch(text) is not None


def to_folder(name: FeatureName) -> str:
    """Return a name as a part of a folder's name on every file system, where ``:`` is written ``.``."""
    backbone, output = name.backbone.replace(":", ".", 1), name.output.replace(":", ".", 1)
    return str(FeatureName(backbone, output, name.view.replace(":", ".")))


def from_folder(text: str) -> FeatureName | None:
    """Return the name that `to_folder` wrote; None if the text is none."""
    match = _FOLDER.fullmatch(text)
    if match is None:
        return None
    backbone, output, view = match["backbone"], match["output"] or POOLED, match["view"] or PLAIN
    if backbone.startswith("timm."):
        backbone = f"timm:{backbone.removeprefix('timm.')}"
    if output.startswith("layer."):
        output = f"{LAYER}{output.removeprefix('layer.')}"
    found = FeatureName(backbone, output, view.replace(".", ":"))
    is_sound = is_output(found.output) and is_view(found.view) and to_folder(found) == text
    return found if is_sound else None
