"""Which features a base learner sees together: the outputs of one network, or each by itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from stackbone.cache import FeatureSet
from stackbone.cache.choices import check_choice
from stackbone.cache.records.feature_name import FeatureName
from stackbone.stack.features.join import Joined
from stackbone.stack.learners.member import Member
from stackbone.stack.learners.options import FUSIONS


def fuse(joined: Joined, fusion: str) -> list[Member]:
    """Return the members of a stack, in the order of their first outputs.

    A network that is read at several places (``pooled``, ``stages``, ``blocks``) has a block of features for each, made
    of the same pixels by the same weights. ``parts`` makes one member of them, whose parts (stages, blocks, the pooled
    vector) are standardised by themselves and each get a weight; ``concat`` makes one member of them that knows no
    parts; ``none`` makes a member of each output. What sees other pixels, or has other weights, another precision or a
    steering, is another network.

    Parameters
    ----------
    joined : Joined
        Features.
    fusion : str
        One of `stack.learners.options.FUSIONS`.

    Raises
    ------
    UsageError
        If `fusion` is unknown.
    """
    check_choice("value of --fusion", fusion, FUSIONS)
    found: dict[Hashable, list[str]] = {}
    for name in joined.names:
        feature_set = joined.feature_sets.get(name)
        key = name if feature_set is None or fusion == "none" else _network(feature_set)
        found.setdefault(key, []).append(name)
    return [_member(joined, names, fusion) for names in found.values()]


def _network(feature_set: FeatureSet) -> Hashable:
    """Return what outputs of one network on the same pixels have in common."""
    spec, name = feature_set.header().spec, feature_set.name
    seen = (spec.input_size, spec.crop_fraction, spec.crop_mode, spec.interpolation, spec.mean, spec.std)
    return (name.backbone, name.view, spec.architecture, spec.weights, spec.precision, spec.steering, *seen)


def _member(joined: Joined, names: Sequence[str], fusion: str) -> Member:
    parts = [(name, *part) for name in names for part in joined.parts.get(name, ())] if fusion == "parts" else []
    sets = [joined.feature_sets[name] for name in names if name in joined.feature_sets]
    if len(names) == 1:
        return Member(names[0], tuple(names), tuple((part, width) for _, part, width in parts))
    first, outputs = sets[0].name, "+".join(each.name.output for each in sets)
    is_short = all(name == str(each.name) for name, each in zip(names, sets, strict=True))
    whole = str(FeatureName(first.backbone, outputs, first.view)) if is_short else "+".join(names)
    taken = [part for _, part, _ in parts]
    named = tuple((part if taken.count(part) == 1 else f"{name} {part}", width) for name, part, width in parts)
    return Member(whole, tuple(names), named)
