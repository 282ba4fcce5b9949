"""Networks of the user's own: what of their code is in the key of their features.

Of a file, all its bytes. Of a module in memory, for it and every module in it: the class by name, the attributes that
are no tensors, and the bytes of each file that declares a class of it or one above; for classes of installed packages,
whose versions are provenance as timm's are, the name alone. Tensors are in the key too, as the weights are.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from stackbone.cache import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stackbone.extract.backbones.backbone import Transform

PREFIX = "own:"
_MOST_PIXELS = 4096  # of a side
_DEEPEST = 20  # of attributes within attributes
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class OwnModule:
    """The code behind a backbone that is the user's own.

    Attributes
    ----------
    class_name
        Of the `torch.nn.Module`.
    sha256
        Of the code, hex.
    file
        What declares it; None for a module in memory.
    network
        The module in memory; None for one of a file.
    weights
        ``sha256:`` and the digest of the tensors of a module in memory; empty for one of a file, which needs a file.
    version
        What stands for the code of a module in memory; empty where its source does.
    """

    class_name: str
    sha256: str
    file: Path | None = None
    network: Any = field(default=None, compare=False, repr=False)
    weights: str = ""
    version: str = ""

    @property
    def architecture(self) -> str:
        """Its place in a spec: ``own:CLASS:sha256:...``."""
        return f"{PREFIX}{self.class_name}:sha256:{self.sha256}"


def is_own(architecture: str) -> bool:
    """Return whether the architecture of a spec is a network of somebody's own."""
    return architecture.startswith(PREFIX)


def module_in_memory(network: nn.Module, version: str = "") -> OwnModule:
    """Return what identifies the code and the tensors of a module in memory.

    Raises
    ------
    UsageError
        If it is no module, or its code cannot be read and `version` does not stand for it.
    """
    from torch import nn

    if not isinstance(network, nn.Module):
        found = f"the class {network.__name__}" if isinstance(network, type) else f"a {type(network).__name__}"
        message = f"from_module takes a torch.nn.Module with its weights, such as Net(), not {found}"
        raise UsageError(message)
    name = type(network).__qualname__.rpartition(".")[2]
    weights = f"sha256:{_digest_of_tensors(network)}"
    code = {"class": name, "version": version} if version else _code(network)
    digest = hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()
    return OwnModule(name, digest, network=network, weights=weights, version=version)


def check_own_input(name: str, transform: Transform, mean: Iterable[float], std: Iterable[float]) -> None:
    """Raise `UsageError` unless images can be fed so to a network of the user's own."""
    problem = ""
    if not _is_size(transform.input_size):
        problem = f"input_size is {transform.input_size!r}: give (height, width) in pixels, from 1 to {_MOST_PIXELS:,}"
    elif not (_is_number(transform.crop_fraction) and 0 < transform.crop_fraction <= 1):
        problem = f"crop_fraction is {transform.crop_fraction!r}: give a number above 0, at most 1"
    elif transform.crop_mode not in ("center", "squash"):
        problem = f"crop_mode is {transform.crop_mode!r}: give 'center' or 'squash'"
    elif transform.interpolation not in ("bilinear", "bicubic"):
        problem = f"interpolation is {transform.interpolation!r}: give 'bilinear' or 'bicubic'"
    elif not _are_three(mean):
        problem = f"mean is {mean!r}: give three numbers, one for each of red, green and blue"
    elif not (_are_three(std) and all(value > 0 for value in std)):
        problem = f"std is {std!r}: give three numbers above 0, one for each of red, green and blue"
    if problem:
        message = f"the input of {name}: {problem}"
        raise UsageError(message)


def _is_size(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(type(side) is int and 1 <= side <= _MOST_PIXELS for side in value)
    )


def _are_three(values: object) -> bool:
    return isinstance(values, tuple | list) and len(values) == 3 and all(map(_is_number, values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _digest_of_tensors(network: nn.Module) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of all parameters and buffers, hex."""
    digest = hashlib.sha256()
    for kind in (network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False)):
        for name, tensor in sorted(kind):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(_bytes_of(tensor, name))
    return digest.hexdigest()


def _bytes_of(tensor: Tensor, name: str) -> bytes:
    import torch

    try:
        flat = tensor.detach().to("cpu").contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError, ValueError) as exc:  # on the meta device, sparse, quantised, ...
        message = f"the tensor {name} of the network has no bytes to make a key of ({exc}). Give an ordinary one"
        raise UsageError(message) from exc


def _code(network: nn.Module) -> list[Any]:
    import torch
    from torch import nn

    inner = {*vars(nn.Module()), "training"}
    found: list[Any] = []
    for name, module in network.named_modules():
        if any(getattr(module, hooks, None) for hooks in _HOOKS):
            raise UsageError(_no_source(network, f"its module {name or 'itself'} has hooks, which may do anything"))
        if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule):
            raise UsageError(
                _no_source(network, f"its module {name or 'itself'} was traced, and holds code of its own")
            )
        settings = {key: value for key, value in vars(module).items() if key not in inner}
        found.append([name, *_class_code(network, type(module)), _plain(network, settings, _DEEPEST)])
    return found


def _class_code(network: nn.Module, kind: type) -> list[Any]:
    """Return the name of a class, and the digests of the files of it and of those above that are the user's own."""
    if _is_installed(kind):
        return [f"{kind.__module__}.{kind.__qualname__}", []]
    above = [each for each in kind.__mro__ if not _is_installed(each)]
    return [kind.__qualname__, [_source(network, each) for each in above]]


def _is_installed(thing: Any) -> bool:  # noqa: ANN401 - a class or a function
    """Return whether a class or function is Python's or an installed package's."""
    files = _files(thing)
    if not files:  # built in, or typed at a prompt
        return bool(thing.__module__ != "__main__")
    stdlib = sysconfig.get_paths()["stdlib"]
    return all(any(part in _INSTALLED for part in Path(file).parts) or file.startswith(stdlib) for file in files)


def _files(thing: Any) -> list[str]:  # noqa: ANN401 - a class or a function
    """Return the files that the code of a class or function is compiled from, sorted.

    Not what `inspect` says: of a class it is the file of a module of that name, whether or not it declares the class.
    """
    files = {each.__code__.co_filename for each in _functions(thing)}
    written = files - {"<string>"}  # as the functions that a dataclass makes are
    if written or files:
        return sorted(written or files)
    try:
        file = inspect.getsourcefile(thing)
    except TypeError:
        return []
    return [file] if file else []


def _functions(thing: Any) -> list[FunctionType]:  # noqa: ANN401 - a class or a function
    own = vars(thing).values() if isinstance(thing, type) else [thing]
    unwrapped = [inspect.unwrap(each) for each in own if isinstance(each, FunctionType)]
    return [each for each in unwrapped if isinstance(each, FunctionType)]


def _source(network: nn.Module, thing: Any) -> list[str]:  # noqa: ANN401 - a class or a function
    """Return the SHA-256s of the files that declare a class or function, hex, or of its source where it has none."""
    try:
        contents = [
            Path(file).read_bytes()
            if Path(file).is_file()
            else "".join(map(inspect.getsource, _functions(thing))).encode()
            for file in _files(thing)
        ]
    except (OSError, TypeError) as exc:
        raise UsageError(_no_source(network, f"the source of {thing.__qualname__} cannot be read ({exc})")) from exc
    if not contents:
        raise UsageError(_no_source(network, f"{thing.__qualname__} has no source"))
    return [hashlib.sha256(content).hexdigest() for content in contents]


def _no_source(network: nn.Module, why: str) -> str:
    return (
        f"features are keyed by the code that makes them, and of {type(network).__qualname__} {why}. Declare it in a "
        'file of its own; or give version="1", which stands for the code: another one whenever it changes'
    )


def _plain(network: nn.Module, value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever an attribute holds
    """Return JSON that stands for the value of an attribute: equal for equal ones, in another process too."""
    from torch import Tensor, nn

    if depth == 0:
        raise UsageError(_no_source(network, "attributes lie too deep in each other"))
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, Tensor):
        return hashlib.sha256(_bytes_of(value, "of an attribute")).hexdigest()
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, nn.Module):
        return [_digest_of_tensors(value), _code(value)]
    if isinstance(value, FunctionType | type):
        return [value.__qualname__, [] if _is_installed(value) else _source(network, value)]
    if isinstance(value, ModuleType | BuiltinFunctionType):
        return [value.__name__]
    return [type(value).__qualname__, [_plain(network, each, depth - 1) for each in _parts(value)]]


def _parts(value: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever an attribute holds
    """Yield what a value is made of, in an order that does not depend on the process; nothing of what has no parts."""
    if isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from (key, value[key])
    elif isinstance(value, set | frozenset):
        yield from sorted(value, key=repr)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif hasattr(value, "__dict__"):
        yield vars(value)
