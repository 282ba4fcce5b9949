"""What a training run starts from: nothing, a steering of an earlier stage, or a released TOAST checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, UsageError, WeightsError, sha256_file
from stackbone.cache.disk.reading import open_regular
from stackbone.cache.text import counted, typed
from stackbone.extract.backbones.backbone import IMAGENET, Backbone
from stackbone.extract.methods.method import HEAD, RECIPES, steering_parameters, with_unnamed
from stackbone.extract.steering.options import SteerOptions
from stackbone.extract.steering_files.file import list_steering_files, read_steering
from stackbone.extract.steering_files.steering import Steering

if TYPE_CHECKING:
    from torch import nn

_RELEASED_SEEN = (
    "not known one by one: those of a released TOAST checkpoint, pre-tuned on ImageNet and maybe tuned on more since"
)
_RELEASED_VIT = "vit_base_imagenet"
_SAFETENSORS_HEADER = slice(8, 9)  # after the length of the header, its JSON begins
_log = logging.getLogger(__name__)


def _no_digests() -> Digests:
    return np.zeros((0, 32), np.uint8)


@dataclass(frozen=True, eq=False)
class StartingHead:
    """A head that was trained on the frozen backbone.

    Attributes
    ----------
    path
        Of its file.
    classes
        Of its outputs.
    weight, bias
        (n_classes, dim) and (n_classes,) float32.
    recipe
        Hex digest of how it was made, which the heads of all folds share.
    """

    path: Path
    classes: Sequence[str]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    recipe: str

    def of(self, classes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight and bias of these classes, in their order.

        Raises
        ------
        UsageError
            If it does not know one.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            message = (
                f"the head of {self.path} knows {', '.join(map(repr, self.classes))}, and these images are of "
                f"{unknown[0]!r} too: train a head on the same labels (--method linear), or leave --start out"
            )
            raise UsageError(message)
        rows = [list(self.classes).index(name) for name in classes]
        return self.weight[rows], self.bias[rows]


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """Parameters to begin with, and what they are known to have seen.

    Attributes
    ----------
    sha256, path
        Of the file; None if there is none.
    tensors
        By name in the method's module, the head's left out.
    options
        The method's, as far as they follow from the file's.
    seen
        (n, 32) uint8: the images whose labels it saw.
    remark
        What is to be said of images that `seen` cannot list, or None.
    is_released
        Whether the file is a released checkpoint, read once the network is there.
    head
        The head, where the file's method trains nothing else; other heads are left out.
    """

    sha256: str | None = None
    path: Path | None = None
    tensors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    seen: Digests = field(default_factory=_no_digests)
    remark: str | None = None
    is_released: bool = False
    head: StartingHead | None = None

    def load(self, method: nn.Module) -> str | None:
        """Set the parameters of a method's module to these; what TOAST-Lite adds stays at its start.

        Returns
        -------
        str or None
            Of a released checkpoint, what was read of the file, in words.

        Raises
        ------
        WeightsError
            If a tensor does not fit, or the released checkpoint is not sound or of another ViT.
        """
        if self.path is None:
            return None
        import torch

        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in self.tensors.items()}
        read = None
        if self.is_released:
            from stackbone.extract.steering.released import read_released

            released = read_released(self.path, self.sha256 or "", method.body)  # type: ignore[arg-type]
            tensors, read = released.tensors, released.read
        own = steering_parameters(method)
        wrong = [name for name in tensors if name not in own or own[name].shape != tensors[name].shape]
        if wrong:
            message = (
                f"{self.path} cannot be used as a start: its {wrong[0]} {tuple(tensors[wrong[0]].shape)} does not fit "
                "the method with these options. Give the options that it was made with"
            )
            raise WeightsError(message)
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        return read


def read_start(path: Path, backbone: Backbone, spec: FeatureSpec, options: SteerOptions) -> StartingPoint:
    """Return what to start from.

    Parameters
    ----------
    spec
        Of the plain backbone's fp32 features.

    Raises
    ------
    UsageError
        If the method does not go on from the file's, or the file is not a steering and the backbone is normalised
        otherwise than the ViTs of released checkpoints.
    WeightsError
        If the file is not sound, or of another backbone.
    NewerVersionError
        If a newer Stackbone wrote it.
    """
    recipe = RECIPES[options.method]
    if not recipe.changes_features:
        message = f"the method {options.method} trains nothing but a new head, which needs no start: leave --start out"
        raise UsageError(message)
    if _is_foreign(path):
        if not recipe.takes_released:
            message = (
                f"{path} is not a steering file, and only TOAST can start from anything else: choose --method toast"
            )
            raise UsageError(message)
        _check_normalisation(path, backbone)
        _log.warning(
            "%s: it is unknown which images it saw; it did see ImageNet's, so a score on those means nothing", path
        )
        return StartingPoint(sha256_file(path).hex(), path, remark=_RELEASED_SEEN, is_released=True)
    steering, sha256 = read_steering(path)
    if steering.method not in (options.method, *recipe.continues):
        message = (
            f"{path} holds {steering.method}, and {options.method} cannot continue it, only "
            f"{' or '.join((options.method, *recipe.continues))}"
        )
        raise UsageError(message)
    if steering.spec != spec:
        message = (
            f"{path} steers {steering.backbone} ({steering.spec.fingerprint}: {steering.spec.architecture}, weights "
            f"{steering.spec.weights}), not {backbone.name} ({spec.fingerprint}: {spec.architecture}, weights "
            f"{spec.weights}). Start from a steering of this backbone"
        )
        raise WeightsError(message)
    return StartingPoint(
        sha256=sha256,
        path=path,
        tensors={name: array for name, array in steering.tensors.items() if name not in HEAD},
        options={
            name: value
            for name, value in with_unnamed(steering.method, steering.options).items()
            if name in recipe.options
        },
        seen=steering.seen,
        remark=steering.training.get("parent_seen"),
        head=None if RECIPES[steering.method].changes_features else _head(path, steering),
    )


def _head(path: Path, steering: Steering) -> StartingHead:
    weight, bias = (steering.tensors[name] for name in HEAD)
    return StartingHead(path, steering.classes, weight, bias, steering.recipe)


def start_of_part(folder: Path, backbone: str, method: str, division: Mapping[str, Any] | None) -> Path:
    """Return the file of a folder to start from on one part of a dataset: the steering of that very part.

    A head that saw more would have seen what a fold tests, and features made with it could not be scored there.

    Raises
    ------
    UsageError
        If the folder has no such steering of the backbone that the method continues, or several.
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    files = list_steering_files([folder], "--start")
    known = (method, *RECIPES[method].continues)
    fitting = []
    for path in files:
        each = read_steering(path)[0]  # its tensors, maybe hundreds of megabytes, are not kept
        if each.backbone == backbone and each.method in known and each.division == division:
            fitting.append(path)
    if len(fitting) != 1:
        part = "all images" if division is None else ", ".join(f"{key} {value}" for key, value in division.items())
        found = " and ".join(map(str, fitting)) if fitting else f"none among its {counted(len(files), 'file')}"
        message = (
            f"--start {typed(folder)}: expected one steering of {backbone} on {part} by {' or '.join(known)}, and "
            f"there is {found}. Train it with the same folds, seed and groups, or name one file"
        )
        raise UsageError(message)
    return fitting[0]


def _check_normalisation(path: Path, backbone: Backbone) -> None:
    """Refuse a backbone whose images are normalised otherwise than those that a released checkpoint was trained on."""
    if {"mean": backbone.mean, "std": backbone.std} == IMAGENET:
        return
    means, stds = (", ".join(f"{each:g}" for each in values) for values in (backbone.mean, backbone.std))
    how = typed("--backbone", _RELEASED_VIT, "--weights", f"{_RELEASED_VIT}={path}", "--start", path)
    message = (
        f"{path} is not a steering file, and the checkpoints that TOAST's authors released are of ViTs whose images "
        f"are normalised with ImageNet's mean and standard deviation; those of {backbone.name} are with mean {means} "
        f"and standard deviation {stds}. Choose the backbone of that kind, whose weights the checkpoint holds: {how}"
    )
    raise UsageError(message)


def _is_foreign(path: Path) -> bool:
    """Return whether a file exists and is not a safetensors file."""
    try:
        with open_regular(path) as stream:
            return stream.read(9)[_SAFETENSORS_HEADER] != b"{"
    except OSError:
        return False  # reading it as a steering says what is wrong
