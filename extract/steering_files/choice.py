"""What a run is to embed: backbones, plain and steered, and which of their outputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stackbone.cache import UsageError
from stackbone.cache.backbone_groups import GROUPS, expand_groups
from stackbone.cache.choices import nearest
from stackbone.cache.records.feature_name import PLAIN, POOLED, PYRAMID, FeatureName, parse_feature_name
from stackbone.cache.records.views import expand_views
from stackbone.cache.text import typed
from stackbone.extract.backbones.backbone import BACKBONES, TIMM_PREFIX, Backbone, get_backbone, parse_backbones
from stackbone.extract.backbones.outputs import check_output, checked_map_size
from stackbone.extract.backbones.ways_out import OFFLINE_INSTALL
from stackbone.extract.backbones.weights import available_backbones
from stackbone.extract.methods.method import RECIPES
from stackbone.extract.steering_files.steered import RecordedBackbone
from stackbone.extract.views.views import check_fit

DEFAULT_BACKBONES = "published"


@dataclass(frozen=True)
class Choice:
    """A backbone of a run.

    Attributes
    ----------
    backbone
        Its network.
    wanted
        (output, view) of each feature set that is wanted of it.
    """

    backbone: Backbone
    wanted: tuple[tuple[str, str], ...] = ((POOLED, PLAIN),)


def choose_backbones(
    backbones: str | Sequence[str] | None,
    steered: Sequence[RecordedBackbone],
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    modules: Sequence[Backbone] = (),
    map_size: int | None = None,
) -> list[Choice]:
    """Return the backbones of a run, a steered one once for every file that makes it.

    Parameters
    ----------
    backbones
        Names, such as ``resnet50`` or ``resnet50@stages``, and groups, comma-separated or as a list; None stands for
        all of `modules`, or without any `DEFAULT_BACKBONES`, and for all of `steered`.
    outputs
        Of every backbone that is named without one, comma-separated or as a list; by default ``pooled``.
    views
        Likewise, see `cache.records.views`; by default ``plain``.
    modules
        Networks of the user's own.
    map_size
        Side in pixels of the frame that images are put into for maps of several strides; None for the usual one. A
        backbone that gives these and others too is chosen twice, with another input.

    Raises
    ------
    UsageError
        If a name is unknown, two networks have one name, the names leave one of `steered` or `modules` out, a view
        does not fit a backbone's input, or a size is given of maps that nobody asks for.
    """
    side = checked_map_size(map_size)
    made: dict[str, list[Backbone]] = {}
    for each in steered:
        made.setdefault(each.backbone.name, []).append(each.backbone)
    own = _by_name(modules, made)
    if backbones is None:
        backbones = [*(own or [DEFAULT_BACKBONES]), *made]
    asked = expand_groups(backbones, lambda suffix: [f"{name}{suffix}" for name in _every([*own, *made])])
    for text in asked:
        _check_steered_name(parse_feature_name(text).backbone, {*made, *own})
    wanted: dict[str, list[tuple[str, str]]] = {}
    named_views = expand_views(PLAIN if views is None else views)
    for name in _multiplied(parse_backbones(asked, {*made, *own}), parse_outputs(outputs), named_views):
        check_output(name.output)
        wanted.setdefault(name.backbone, []).append((name.output, name.view))
    for option, known in (("--steering", list(made)), ("--backbone-module", list(own))):
        unused = [name for name in known if name not in wanted]
        if not unused:
            continue
        message = (
            f"{option} makes {', '.join(unused)}, which --backbones {typed(','.join(asked))} does not ask for. "
            "Name it there too, or leave one of the two options out"
        )
        raise UsageError(message)
    choices = [
        choice
        for name, of_backbone in wanted.items()
        for backbone in (made.get(name) or [own.get(name) or get_backbone(name)])
        for choice in _by_input(backbone, list(dict.fromkeys(of_backbone)), side)
    ]
    if map_size is not None and not any(choice.backbone.is_framed for choice in choices):
        message = (
            f"--map-size {map_size} is the size of what maps are made of, and no {PYRAMID} is asked for. Add --outputs "
            f"{PYRAMID}, or leave it out"
        )
        raise UsageError(message)
    for choice in choices:
        check_fit([view for _, view in choice.wanted], [choice.backbone])
    return choices


def _by_input(backbone: Backbone, wanted: Sequence[tuple[str, str]], side: int) -> list[Choice]:
    """Return a backbone once for each input that its outputs are made of."""
    maps = tuple(each for each in wanted if each[0] == PYRAMID)
    others = tuple(each for each in wanted if each[0] != PYRAMID)
    if maps and backbone.steering:
        message = (
            f"{backbone.name} is steered: its network has seen labels, and maps to detect on are made by networks that "
            f"have not. Ask for {backbone.plain}@{PYRAMID}, and leave the steered one's out"
        )
        raise UsageError(message)
    framed = [Choice(backbone.framed(side), maps)] if maps else []
    return [*([Choice(backbone, others)] if others else []), *framed]


def _by_name(modules: Sequence[Backbone], made: Collection[str]) -> dict[str, Backbone]:
    own: dict[str, Backbone] = {}
    for each in modules:
        if each.name in own or each.name in made:
            message = f"two networks of this run are called {each.name}: give one of them another name"
            raise UsageError(message)
        own[each.name] = each
    return own


def parse_outputs(text: str | Sequence[str] | None) -> list[str]:
    """Return outputs from a comma-separated list, each once, in order; the usual one for None.

    Raises
    ------
    UsageError
        If a name is unknown, or there is none.
    """
    if text is None:
        return [POOLED]
    names = [name.strip() for name in (text.split(",") if isinstance(text, str) else text)]
    found = list(dict.fromkeys(filter(None, names)))
    if not found:
        message = "no output was named. Give names such as --outputs pooled,stages, or leave the option out"
        raise UsageError(message)
    for name in found:
        check_output(name)
    return found


def _multiplied(names: Sequence[str], outputs: Sequence[str], views: Sequence[str]) -> list[FeatureName]:
    """Return every name with the output and the view that it has, or else with each of `outputs` and `views`."""
    found = []
    for text in names:
        name = parse_feature_name(text)
        of_output = [name.output] if "@" in text else outputs
        of_view = expand_views(name.view) if "~" in text else views
        found += [FeatureName(name.backbone, output, view) for output in of_output for view in of_view]
    return found


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
