"""Networks of the user's own as torch modules: run from their file's very bytes, or copied, and tried before use."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import Tensor, nn

from stackbone.cache import UsageError, WeightsError
from stackbone.cache.errors import says_memory_is_full
from stackbone.cache.text import printable, typed
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.own_file import OPTION, read_module
from stackbone.extract.backbones.own_module import OwnModule, module_in_memory
from stackbone.extract.backbones.weights import Weights, seed_of
from stackbone.extract.networks.state_dict import first_mismatch, read_state_dict

if TYPE_CHECKING:
    from pathlib import Path

_NEAR = 1e-3
"""How far apart, relative to the features' length, those of one image may be that is computed twice."""
_T = TypeVar("_T")


def own_body(backbone: Backbone, own: OwnModule, weights: Weights) -> nn.Module:
    """Return the network of a backbone that is the user's own, which gives features of normalised images.

    Raises
    ------
    UsageError
        If its code is not what it was when it was named, cannot be run, makes no module, or makes one that does not
        give one row of finite features for each image, the same whenever it is asked and whatever else is in the batch.
    WeightsError
        If the weights are not this network's.
    """
    if own.network is None:
        body = _from_file(backbone, own, weights)
    else:
        if module_in_memory(own.network, own.version) != own:
            message = (
                f"the network {backbone.name} was changed since Backbone.from_module looked at it, and its features "
                "would have the key of what it was. Call from_module again"
            )
            raise UsageError(message)
        body = copy.deepcopy(own.network)
    body = body.eval()
    _try(body, backbone)
    return body


def _from_file(backbone: Backbone, own: OwnModule, weights: Weights) -> nn.Module:
    where = f"{own.file}:{own.class_name}"
    kind = _run_file(own).get(own.class_name)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        message = f"{OPTION}: {where} is a {type(kind).__name__}. Expected a class below torch.nn.Module"
        raise UsageError(message)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(weights) or 0)
        body = _guarded(kind, f"{OPTION}: {where}() cannot be made", "It must need no arguments")
    if weights.path is None:
        return body
    state, expected = read_state_dict(backbone.name, weights.path, weights.identity), body.state_dict()
    if problem := first_mismatch(state, expected):
        message = (
            f"{weights.path} does not hold weights of {where}: {problem}. Give the file of this network with "
            f"--weights {typed(backbone.name)}=FILE"
        )
        raise WeightsError(message)
    body.load_state_dict(state, strict=False)  # all that it may lack are counts of batches
    return body


def _run_file(own: OwnModule) -> dict[str, object]:
    """Return the names that a file of Python declares, run from the very bytes that its key is made of."""
    path = cast("Path", own.file)  # a network in memory has none, and does not come here
    content = read_module(path)
    if hashlib.sha256(content).hexdigest() != own.sha256:
        message = f"{OPTION}: {path} was changed since it was read. Nothing was computed with it; run again"
        raise UsageError(message)
    module = ModuleType(f"stackbone_own_{own.sha256[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and the like look for a class's module

    def run() -> None:
        exec(compile(content, str(path), "exec"), module.__dict__)  # its own user names it, to be run

    _guarded(run, f"{OPTION}: {path} cannot be run", "All code must be in this one file or in installed packages")
    return module.__dict__


def _guarded(call: Callable[[], _T], what: str, hint: str) -> _T:
    """Return what code of the user's own returns; whatever it raises becomes a `UsageError`."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            return call()
    except MemoryError:
        raise
    except (Exception, SystemExit) as exc:
        if isinstance(exc, RuntimeError) and says_memory_is_full(exc):  # torch's; a message of others may say anything
            raise MemoryError(str(exc)) from exc
        reason = printable(str(exc).strip().split("\n")[0])
        message = f"{what} ({type(exc).__name__}: {reason}{_place(exc)}). {hint}"
        raise UsageError(message) from exc


def _place(exc: BaseException) -> str:
    """Return in which line of the user's code an exception was raised, if in any."""
    theirs = [each for each in traceback.extract_tb(exc.__traceback__) if each.filename != __file__]
    theirs = [each for each in theirs if "site-packages" not in each.filename]
    return f", in line {theirs[-1].lineno} of {theirs[-1].filename}" if theirs else ""


def _try(body: nn.Module, backbone: Backbone) -> None:
    """Refuse a network whose features of an image would depend on more than that image, or are none."""
    images = torch.randn(2, 3, *backbone.transform.input_size, generator=torch.Generator().manual_seed(0))
    together, again, alone = (_features(body, each, backbone) for each in (images, images, images[1:]))
    length = together.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if not bool(((together - again).norm(dim=1, keepdim=True) <= _NEAR * length).all()):
        problem = "gives other features for the same images when it is asked twice: it draws at random, or keeps count"
    elif not bool((together[1:] - alone).norm() <= _NEAR * length[1]):
        problem = "gives an image other features beside another image than alone: it mixes the images of a batch"
    else:
        return
    message = f"the network {backbone.name} {problem}. A cache needs the same features for the same image, always"
    raise UsageError(message)


def _features(body: nn.Module, images: Tensor, backbone: Backbone) -> Tensor:
    """Return the features (B, dim) that a network gives of images (B, 3, H, W), once they are known to be features."""
    what = f"the network {backbone.name}"
    shape = f"{tuple(images.shape)} float32"
    with torch.inference_mode():
        found = _guarded(lambda: body(images), f"{what} cannot take images {shape}", "See docs/backbones.md")
    problem = ""
    if isinstance(found, tuple | list | dict):
        problem = f"a {type(found).__name__} of {len(found)}. Return the one tensor of features"
    elif not isinstance(found, Tensor):
        problem = f"a {type(found).__name__}. Return a tensor of features"
    elif found.ndim != 2 or len(found) != len(images) or not found.shape[1]:
        problem = f"a tensor {tuple(found.shape)}, where ({len(images)}, dim) was expected. Pool it to a row an image"
    elif not found.is_floating_point():
        problem = f"a tensor of {found.dtype}. Return features as floating-point numbers"
    elif not bool(found.isfinite().all()):
        problem = "features that are not finite. Are its weights sound, and its input normalised as it expects?"
    if problem:
        message = f"{what} gives, for images {shape}, {problem}"
        raise UsageError(message)
    features: Tensor = found.float()
    return features
