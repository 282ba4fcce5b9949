"""Where a backbone's weights come from: a file, an installed package, or the hub, in this order.

Nothing here imports torch, so that a run with nothing to compute stays short.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache import UsageError, WeightsError, sha256_file
from stackbone.cache.text import typed
from stackbone.extract.backbones.backbone import BACKBONES, Backbone
from stackbone.extract.backbones.home import expanded
from stackbone.extract.backbones.hub import cached_file, check_hub, download
from stackbone.extract.backbones.ways_out import Ask, ask_for_all, no_weights_message


@dataclass(frozen=True)
class Weights:
    """A weights file on this machine, the tensors of a network in memory, or a seed that stands for random ones.

    Attributes
    ----------
    identity
        ``sha256:`` and the hex digest of the file's bytes, or of a network's tensors, or ``random(SEED)``.
    source
        Where it was found, in words, for provenance.
    path
        The file; None without one.
    by_order
        Whether its tensors match the network's in order and shape but not in name.
    """

    identity: str
    source: str
    path: Path | None
    by_order: bool = False


def random_weights(seed: int) -> Weights:
    """Return a stand-in for weights, for tests and timings only; the spec says so."""
    return Weights(f"random({seed})", f"random weights of seed {seed}", None)


def seed_of(weights: Weights) -> int | None:
    """Return the seed that stands for weights; None for those of a file or a network in memory."""
    found = re.fullmatch(r"random\((\d+)\)", weights.identity)
    return int(found[1]) if found else None


def weights_in_memory(backbone: Backbone) -> Weights | None:
    """Return the weights of a backbone that is a network in memory; None for any other."""
    if backbone.own is None or backbone.own.network is None:
        return None
    return Weights(backbone.own.weights, "a network in memory", None)


def named_weights(backbone: Backbone) -> Weights:
    """Return the weights that a steered backbone was trained on, by name alone: their file is not looked for."""
    identity = backbone.steering.weights if backbone.steering else ""
    return Weights(identity, "the steering file, which names them", None)


def parse_weights_options(options: Sequence[str], only: str = "") -> dict[str, Path]:
    """Return the files of ``NAME=FILE`` options.

    Parameters
    ----------
    only
        The one backbone that a file without a name can be of; empty where there is none or several.

    Raises
    ------
    UsageError
        If an option has another form, or its file does not exist.
    """
    files: dict[str, Path] = {}
    for option in options:
        name, separator, file = option.partition("=")
        if only and option and not separator:
            name, separator, file = only, "=", option
        if not separator or not name or not file:
            message = f"--weights takes NAME=FILE, such as resnet50=resnet50.safetensors, not {option!r}"
            raise UsageError(message)
        path = expanded(file)
        if path is None or not path.is_file():
            message = f"--weights {typed(name)}: there is no file {path or file}"
            raise UsageError(message)
        files[name] = path
    return files


def find_weights(
    backbones: Sequence[Backbone],
    files: Mapping[str, Path],
    *,
    on_download: Callable[[str], None] | None = None,
    also: Sequence[str] = (),
    ask: Ask | None = ask_for_all,
) -> dict[str, Weights]:
    """Return the weights of every backbone, by its `key`, downloading what only the hub has.

    A steered backbone takes the weights of the plain one that it was trained on, and no others.

    Parameters
    ----------
    files
        What ``--weights`` named: backbones, or the plain ones behind steered ones.
    on_download
        Called with the name of each backbone whose weights are about to be downloaded.
    also
        Names of further backbones of the run, whose weights are not looked for now.
    ask
        How a message says which other backbones to take; None where it must be these.

    Raises
    ------
    WeightsError
        If a backbone's weights are neither here nor on a hub in reach; the message names all such backbones
        and the ways out. It is raised within 10 s. Or if a steered backbone was trained on other weights.
    UsageError
        If `files` names a backbone that is not asked for.
    """
    check_weights_names(files, backbones)
    named = {backbone.key: files.get(backbone.name) or files.get(backbone.plain) for backbone in backbones}
    local = {backbone.key: _find_local(backbone, named[backbone.key]) for backbone in backbones}
    remote = [backbone for backbone in backbones if local[backbone.key] is None]
    if remote:
        unreachable = check_hub(remote)
        if unreachable:
            rest = [*(backbone.name for backbone in backbones if local[backbone.key] is not None), *also]
            raise WeightsError(no_weights_message(unreachable, rest=rest, here=list(available_backbones()), ask=ask))
    found: dict[str, Weights] = {}
    for backbone in backbones:
        weights = local[backbone.key]
        if weights is None:
            if on_download:
                on_download(backbone.name)
            weights = _file_weights(download(backbone), f"hub {backbone.hub}")
        check_steered_weights(backbone, weights)
        found[backbone.key] = weights
    return found


def check_weights_names(files: Mapping[str, Path], backbones: Sequence[Backbone]) -> None:
    """Raise `UsageError` if ``--weights`` names a backbone that is not asked for, not even as a steered one's own."""
    unused = sorted(set(files) - {name for backbone in backbones for name in (backbone.name, backbone.plain)})
    if unused:
        asked = ", ".join(dict.fromkeys(backbone.name for backbone in backbones))
        message = f"--weights names {', '.join(unused)}, and the backbones of this run are {asked}: leave it out"
        raise UsageError(message)


def check_steered_weights(backbone: Backbone, weights: Weights) -> None:
    """Raise `WeightsError` if a steered backbone was trained on other weights than these."""
    steering = backbone.steering
    if steering is not None and weights.identity != steering.weights:
        message = (
            f"the steering {steering.path} was trained on the weights {steering.weights} of {steering.plain}, and "
            f"those here, from {weights.source}, are {weights.identity}. Name the file that it was trained on: "
            f"--weights {typed(steering.plain)}=FILE"
        )
        raise WeightsError(message)


def available_backbones() -> dict[str, Weights]:
    """Return the table's backbones whose weights are on this machine already (package or hub cache)."""
    found = {name: _find_local(backbone, None) for name, backbone in BACKBONES.items()}
    return {name: weights for name, weights in found.items() if weights is not None}


def _find_local(backbone: Backbone, file: Path | None) -> Weights | None:
    in_memory = weights_in_memory(backbone)
    if in_memory and file is not None:
        message = (
            f"--weights names {file} for {backbone.name}, which is a network in memory and has its tensors. "
            "Load the file into the network before Backbone.from_module, or leave it out"
        )
        raise UsageError(message)
    if in_memory:
        return in_memory
    if file is not None:
        return _file_weights(file, f"file {file.name}")
    packaged = _packaged_file(backbone)
    if packaged is not None:
        return _file_weights(packaged, f"package {backbone.package}", by_order=True)
    cached = cached_file(backbone)
    return None if cached is None else _file_weights(cached, f"hub {backbone.hub}")


def _file_weights(path: Path, source: str, *, by_order: bool = False) -> Weights:
    try:
        digest = sha256_file(path).hex()
    except OSError as exc:
        message = f"the weights file {path} cannot be read: {exc.strerror or exc}. Name a readable file with --weights"
        raise WeightsError(message) from exc
    return Weights(f"sha256:{digest}", source, path, by_order)


def _packaged_file(backbone: Backbone) -> Path | None:
    spec = importlib.util.find_spec(backbone.package) if backbone.package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    for location in spec.submodule_search_locations:
        for path in sorted(Path(location, "models").glob("*.pth")):
            return path
    return None
