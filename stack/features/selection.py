"""Which feature sets of a cache an experiment takes, and by what names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError, UsageError
from stackbone.cache.backbone_groups import ALL, expand_groups
from stackbone.cache.choices import nearest
from stackbone.cache.records.feature_name import LARGE, MAP, PLAIN, POOLED, PYRAMID, FeatureName, parse_feature_name
from stackbone.cache.records.spec import feature_set_id, parse_feature_set_id
from stackbone.cache.records.views import expand_views, is_view_group
from stackbone.cache.text import counted, typed
from stackbone.stack.features.source import extract_words, known_limits
from stackbone.stack.features.steered import Candidate, SteeredBackbone, read_candidate


def select_backbones(
    store: FeatureStore, index: DatasetIndex, asked: str | Sequence[str] | None
) -> dict[str, FeatureSet | SteeredBackbone]:
    """Return the backbones to stack, in the order asked for.

    A plain backbone is one feature set for each of its outputs; it is called as that is typed, or by its id where two
    share that name. Feature sets of one backbone that was steered in one way are one steered backbone; it is called in
    the same way, or by its long name.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    index : DatasetIndex
        The dataset that the features must cover.
    asked : str or sequence of str, optional
        Names of backbones, of their outputs and views (``resnet50~five-crop`` for each of a group), groups of them or
        feature sets, as a list or separated by commas; by default, and where ``all`` is named, every feature set of the
        plain view that covers the dataset, but for maps of either kind.

    Raises
    ------
    StackError
        If nothing covers the dataset, or it is not known what a steering saw.
    UsageError
        If a name is unknown, or is that of maps to detect objects on.
    """
    present = [each for each in store.feature_sets() if each.shards()]
    chosen: list[FeatureSet] = []
    typed_names = expand_groups(ALL if asked is None else asked, lambda suffix: _covering(store, index, suffix))
    names = list(dict.fromkeys(name for text in typed_names for name in _as_named(text)))
    if not names:
        raise StackError(_views_alone_message(store, index) or _uncovered_message(store, index, present))
    if unknown := [name for name in names if not _find(present, name)]:
        for name in unknown:
            _check_view(name)
        known = [each for each in dict.fromkeys(each.backbone for each in present) if each not in names]
        raise UsageError(_unknown_message(store, index, present, unknown, nearest(unknown[0], known)))
    for name in names:
        matches = _find(present, name)
        whole = [each for each in matches if not _n_missing(index, each)]
        if not whole:
            raise StackError(_uncovered_message(store, index, matches, name))
        _refuse_pyramids(whole, name)
        chosen.extend(each for each in whole if each not in chosen)
    return _name(chosen, [each for each in present if each not in chosen], index)


def _refuse_pyramids(feature_sets: Sequence[FeatureSet], name: str) -> None:
    """Raise `UsageError` if a name stands for maps of several strides: they are no vectors that classes are told by."""
    for each in feature_sets:
        if each.name.output == PYRAMID:
            pooled = parse_feature_name(each.backbone).backbone
            message = (
                f"{name} names maps to detect objects on, where one vector an image was expected. Leave it out here "
                f"and run `stackbone detect`, which learns on them; or name the backbone's own features, {pooled}"
            )
            raise UsageError(message)


def _as_named(text: str) -> list[str]:
    """Return names as feature sets have them, without what goes without saying; an id as it is."""
    try:
        return [str(name) for name in _of_views(text)]
    except UsageError:
        if is_view_group(text.partition("~")[2]):
            raise
        return [text]


def _of_views(text: str) -> list[FeatureName]:
    """Return what a name says, once for each view of the group that may stand behind ``~``."""
    name = parse_feature_name(text)
    views = expand_views(name.view) if is_view_group(name.view) else [name.view]
    return [replace(name, view=view) for view in views]


def _check_view(name: str) -> None:
    """Raise `UsageError` if a name that no feature set has is of a view that there cannot be."""
    if "~" in name and not parse_feature_set_id(name):
        expand_views(name.partition("~")[2])


def _covering(store: FeatureStore, index: DatasetIndex, suffix: str) -> list[str]:
    """Return the ids of the feature sets that cover a dataset: those whose names end so, or all that are no maps."""
    found = store.covering(index)
    if not suffix:
        return [each.id for each in found if each.name.output not in LARGE and each.name.view == PLAIN]
    wanted = {(name.output, name.view) for name in _of_views(f"{ALL}{suffix}")}
    ids = [each.id for each in found if (each.name.output, each.name.view) in wanted]
    if not ids:
        _check_view(f"{ALL}{suffix}")
    return ids


def list_incomplete(
    store: FeatureStore, index: DatasetIndex, taken: Iterable[FeatureSet | SteeredBackbone]
) -> list[str]:
    """Return a sentence on each feature set that covers a part of the dataset only."""
    ids = {each.id for entry in taken for each in _sets_of(entry)}
    notes = _notes_on_pyramids(store, index)
    limits: list[str] | None = None
    for each in store.feature_sets():
        if each.id in ids or each.name.output == PYRAMID:
            continue
        n = _n_missing(index, each)
        if not n and each.name.output == MAP:
            notes.append(f"{each.id} is left out: maps are stacked only where they are named with --backbones")
        if 0 < n < int(index.ok.sum()):
            steering = ["--steering", "FILE"] if each.header().spec.steering else []
            limits = known_limits(store, index) if limits is None else limits
            complete = extract_words(store, index, "--backbones", each.backbone, *steering, limits=limits)
            lacks = f"{each.id} is left out: it lacks {counted(n, 'image')} of the dataset"
            notes.append(f"{lacks}. Run {complete} to complete it")
    return notes


def _notes_on_pyramids(store: FeatureStore, index: DatasetIndex) -> list[str]:
    pyramids = [each for each in store.feature_sets() if each.name.output == PYRAMID]
    names = [each.backbone for each in pyramids if not _n_missing(index, each)]
    return [f"{', '.join(names)} left out: maps to detect objects on, for `stackbone detect`"] if names else []


def _sets_of(entry: FeatureSet | SteeredBackbone) -> list[FeatureSet]:
    return [entry] if isinstance(entry, FeatureSet) else [each.feature_set for each in entry.candidates]


def _find(present: Sequence[FeatureSet], name: str) -> list[FeatureSet]:
    """Return the feature sets that a name stands for: a backbone, an id, or the long name of a steered backbone."""
    matches = [each for each in present if name in (each.backbone, each.id)]
    if matches:
        return matches
    alike = [(each, read_candidate(each)) for each in present if name.startswith(f"{each.backbone}-")]
    return [each for each, candidate in alike if candidate and candidate.long_name == name]


def _name(
    chosen: Sequence[FeatureSet], others: Sequence[FeatureSet], index: DatasetIndex
) -> dict[str, FeatureSet | SteeredBackbone]:
    plain: dict[Hashable, FeatureSet] = {}
    steered: dict[Hashable, list[Candidate]] = {}
    names: dict[Hashable, tuple[str, ...]] = {}  # from the shortest to one that is surely its own
    for each in chosen:
        candidate = read_candidate(each)
        if candidate is None:
            plain[each] = each
            names[each] = (each.backbone, each.id)
        else:
            steered.setdefault(candidate.way, []).append(candidate)
            names.setdefault(candidate.way, (each.backbone, candidate.long_name, each.id))
    taken = [name for known in names.values() for name in known]
    named: dict[str, FeatureSet | SteeredBackbone] = {}
    for key, known in names.items():
        name = next(each for each in known if taken.count(each) == 1)
        if key in plain:
            named[name] = plain[key]
        else:
            lacking = [each.id for each in others if each.backbone == known[0] and _n_missing(index, each)]
            named[name] = SteeredBackbone(name, sorted(steered[key], key=_seed_and_id), lacking)
    return named


def _seed_and_id(candidate: Candidate) -> tuple[int, str]:
    """Return what sorts the steerings of a backbone alike for each of its outputs."""
    pooled = replace(candidate.spec, output=POOLED)
    return candidate.seen.description["seed"] or 0, feature_set_id(candidate.feature_set.backbone, pooled)


def _n_missing(index: DatasetIndex, feature_set: FeatureSet) -> int:
    return int(feature_set.missing(index.image_sha256[index.ok]).sum())


def _unknown_message(
    store: FeatureStore, index: DatasetIndex, present: Sequence[FeatureSet], unknown: Sequence[str], near: str | None
) -> str:
    has = ", ".join(dict.fromkeys(each.backbone for each in present)) or "none"
    meant = f"; did you mean {near!r}?" if near else "."
    lacks = f"the cache {store.root} has no features of"
    parsed = parse_feature_set_id(unknown[0])
    if parsed:
        again = extract_words(store, index, "--backbones", parsed[0])
        ways = f"{again} makes these where weights, precision and steering are those that they were made with"
        return f"{lacks} {unknown[0]!r}; it has {has}{meant} {ways}"
    names = [name for name in unknown if not parse_feature_set_id(name)]
    add = extract_words(store, index, "--backbones", ",".join(names))
    found = f"{lacks} {' or '.join(map(repr, names))}; it has {has}{meant}"
    them = "it" if len(names) == 1 else "them"
    lists = typed("stackbone", "backbones", *_where_outputs_are_listed(names))
    return f"{found} Run {add} to add {them}, if `{lists}` lists {them}"


def _where_outputs_are_listed(names: Sequence[str]) -> list[str]:
    """Return the options of `stackbone backbones` that list the outputs which names ask for; none where none does."""
    networks = [parse_feature_name(name).backbone for name in names if "@" in name]
    return ["--outputs", networks[0]] if networks else []


def _views_alone_message(store: FeatureStore, index: DatasetIndex) -> str:
    """Return what to say where every feature set that covers a dataset is of a view; ``""`` where none does."""
    covering = store.covering(index)
    views = [each.backbone for each in covering if each.name.view != PLAIN and each.name.output != PYRAMID]
    if covering and all(each.name.output == PYRAMID for each in covering):
        own = list(dict.fromkeys(parse_feature_name(each.backbone).backbone for each in covering))
        add = extract_words(store, index, "--backbones", ",".join(own))
        return (
            f"the cache {store.root} has maps to detect objects on alone "
            f"({', '.join(each.backbone for each in covering)}), and one vector an image was expected. Run "
            f"`stackbone detect` to learn on them, or {add} to add vectors"
        )
    if not views:
        return ""
    plain = list(dict.fromkeys(parse_feature_name(view).backbone for view in views))
    add = extract_words(store, index, "--backbones", ",".join(plain))
    return (
        f"the cache {store.root} has views of the images alone ({', '.join(views)}), and the plain one is taken by "
        f"default. Run {add} to add it, or name views with --backbones"
    )


def _uncovered_message(
    store: FeatureStore, index: DatasetIndex, feature_sets: Sequence[FeatureSet], name: str = "NAMES"
) -> str:
    n = int(index.ok.sum())
    lacks = "; ".join(f"{each.id} lacks {_n_missing(index, each):,}" for each in feature_sets)
    named = next((each.backbone for each in feature_sets if name in (each.backbone, each.id)), "NAMES")
    which = " with the backbones you want" if named == "NAMES" else " to embed the others"
    return (
        f"no features of every image of the dataset {index.name!r} ({n:,} images): {lacks or 'the cache has none'}. "
        f"Features of other datasets do not serve. Run {extract_words(store, index, '--backbones', named)}{which}"
    )
