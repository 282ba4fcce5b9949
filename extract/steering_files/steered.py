"""Backbones that a steering file makes: rebuilt from the file alone, without torch or timm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackbone.cache import SeenRecord, UsageError
from stackbone.cache.backbone_groups import GROUPS, expand_groups
from stackbone.cache.choices import nearest
from stackbone.cache.text import typed
from stackbone.extract.backbones.backbone import (
    BACKBONES,
    TIMM_PREFIX,
    Backbone,
    SteeredBy,
    Transform,
    get_backbone,
    parse_backbones,
)
from stackbone.extract.backbones.ways_out import OFFLINE_INSTALL
from stackbone.extract.backbones.weights import available_backbones
from stackbone.extract.methods.method import RECIPES
from stackbone.extract.steering_files.file import find_steering, list_steering_files, read_steering
from stackbone.extract.steering_files.steering import Steering

DEFAULT_BACKBONES = "published"


@dataclass(frozen=True, eq=False)
class RecordedBackbone:
    """A backbone that a file steers, with the record that its feature sets keep."""

    backbone: Backbone
    record: SeenRecord


def steered_backbone(path: Path) -> tuple[Backbone, Steering]:
    """Return the backbone that a steering file makes, and the steering.

    Its transform and architecture are those that the steering was trained with. Nothing is imported for it, so it
    does not know on which hub weights of ``timm:MODEL`` lie: see `with_hub`.

    Raises
    ------
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    steering, sha256 = read_steering(path)
    return _backbone_of(path, steering, sha256), steering


def _backbone_of(path: Path, steering: Steering, sha256: str) -> Backbone:
    spec = steering.spec
    known = BACKBONES.get(steering.backbone)
    return Backbone(
        name=steering.name,
        architecture=spec.architecture,
        transform=Transform(spec.input_size, spec.crop_fraction, spec.interpolation, spec.crop_mode),
        mean=spec.mean,
        std=spec.std,
        pooling=spec.pooling,
        hub=known.hub if known else "",
        package=known.package if known else None,
        steering=SteeredBy(path, sha256, steering.backbone, spec.weights),
    )


def read_steered(paths: Sequence[Path]) -> list[RecordedBackbone]:
    """Return the backbones that some files, and folders of files, steer; the same file under two names counts once.

    Passed over in a folder are steerings that train a classifier and change no feature, such as linear ones, and those
    of the stage ``pretune``, which are there to start from.

    Raises
    ------
    UsageError
        If there is no such file, a linear steering is named, or a folder holds no others.
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    found: dict[str, RecordedBackbone] = {}
    passed_over = ""
    for path in list_steering_files(paths):
        steering, sha256 = read_steering(path)  # its tensors, maybe hundreds of megabytes, are not kept
        if not RECIPES[steering.method].changes_features:
            passed_over = _no_features(path, steering)
            if path in paths:
                raise UsageError(passed_over)
            continue
        if steering.stage == "pretune" and path not in paths:
            passed_over = (
                f"--steering {typed(path)}: it was trained for others to start from, and its folder holds no other. "
                "Train one on the task with `stackbone steer --start`, or name the file itself"
            )
            continue
        backbone = _backbone_of(path, steering, sha256)
        found[backbone.key] = RecordedBackbone(backbone, steering.record(sha256))
    if passed_over and not found:
        raise UsageError(passed_over)
    return list(found.values())


def choose_backbones(
    backbones: str | Sequence[str] | None, steered: Sequence[RecordedBackbone], modules: Sequence[Backbone] = ()
) -> list[Backbone]:
    """Return the backbones of a run, a steered one once for every file that makes it.

    Parameters
    ----------
    backbones
        Names and groups, comma-separated or as a list; None stands for all of `modules`, or without any
        `DEFAULT_BACKBONES`, and for all of `steered`.
    modules
        Networks of the user's own.

    Raises
    ------
    UsageError
        If a name is unknown, two networks have one name, or the names leave one of `steered` or `modules` out.
    """
    made: dict[str, list[Backbone]] = {}
    for each in steered:
        made.setdefault(each.backbone.name, []).append(each.backbone)
    own = _by_name(modules, made)
    if backbones is None:
        backbones = [*(own or [DEFAULT_BACKBONES]), *made]
    asked = expand_groups(backbones, lambda: _every([*own, *made]))
    for name in asked:
        if name not in own:
            _check_steered_name(name, made)
    names = parse_backbones(asked, {*made, *own})
    for option, known in {"--steering": made, "--backbone-module": own}.items():
        unused = [name for name in known if name not in names]
        if not unused:
            continue
        message = (
            f"{option} makes {', '.join(unused)}, which --backbones {typed(','.join(asked))} does not ask for. "
            "Name it there too, or leave one of the two options out"
        )
        raise UsageError(message)
    return [backbone for name in names for backbone in (made.get(name) or [own.get(name) or get_backbone(name)])]


def _by_name(modules: Sequence[Backbone], made: Collection[str]) -> dict[str, Backbone]:
    own: dict[str, Backbone] = {}
    for each in modules:
        if each.name in own or each.name in made:
            message = f"two networks of this run are called {each.name}: give one of them another name"
            raise UsageError(message)
        own[each.name] = each
    return own


def _every(made: Collection[str]) -> list[str]:
    here = [*available_backbones(), *made]
    if not here:
        message = (
            "`all` means every backbone whose weights are on this machine, and there is none. "
            f"Run `{OFFLINE_INSTALL}`, or name the backbones"
        )
        raise UsageError(message)
    return here


def _check_steered_name(name: str, made: Collection[str]) -> None:
    """Raise `UsageError` if an unknown name is, or looks most like, that of a backbone which no file given makes."""
    if name in made or name in BACKBONES or name.startswith(TIMM_PREFIX):
        return
    if name.endswith(tuple(f"_{method.replace('-', '_')}" for method in RECIPES)):
        message = (
            f"{name} is a steered backbone, and no steering file that was given makes it. "
            "Give the file that `stackbone steer` wrote: --steering FILE"
        )
        raise UsageError(message)
    usual = {recipe.steered_name(recipe.name, "vit_base", "") for recipe in RECIPES.values() if recipe.changes_features}
    near = nearest(name, [*BACKBONES, *GROUPS, *made, *sorted(usual)])
    if near in usual:
        message = f"unknown backbone {name!r}: did you mean {near!r}? It takes --steering FILE, from `stackbone steer`"
        raise UsageError(message)


def with_hub(backbone: Backbone) -> Backbone:
    """Return a steered backbone that knows where its weights lie; for ``timm:MODEL`` this imports timm (seconds)."""
    if backbone.steering is None or backbone.hub or backbone.plain in BACKBONES:
        return backbone
    return replace(backbone, hub=get_backbone(backbone.plain).hub)


def _no_features(path: Path, steering: Steering) -> str:
    return (
        f"--steering {typed(path)}: a {steering.method} steering trains a classifier and leaves the features of "
        f"{steering.backbone} as they are. Use --backbones {typed(steering.backbone)} without it"
    )


def find_steered(sha256: str, name: str, paths: Sequence[Path]) -> RecordedBackbone:
    """Return the backbone of the one among some steering files that has a digest.

    Raises
    ------
    UsageError
        If none has; the message names the digest, the backbone and what to type. Or if it is a linear one.
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    if found := find_steering(sha256, paths):
        path, steering = found
        if not RECIPES[steering.method].changes_features:
            raise UsageError(_no_features(path, steering))
        return RecordedBackbone(_backbone_of(path, steering, sha256), steering.record(sha256))
    other = "; the one given is another" if len(paths) == 1 else f"; none of the {len(paths)} given is that file"
    given = other if paths else ""
    message = (
        f"the features of {name} were made with the steering file whose SHA-256 is {sha256}{given}. "
        "Give that file: --steering FILE"
    )
    raise UsageError(message)
