"""Which feature sets of a cache an experiment takes, and by what names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError, UsageError
from stackbone.cache.text import typed
from stackbone.stack.features.steered import Candidate, SteeredBackbone, read_candidate


def select_backbones(
    store: FeatureStore, index: DatasetIndex, asked: Sequence[str] | None
) -> dict[str, FeatureSet | SteeredBackbone]:
    """Return the backbones to stack, in the order asked for.

    A plain backbone is one feature set; it is called by its backbone, or by its id where two share a backbone. Feature
    sets of one backbone that was steered in one way are one steered backbone; it is called by its backbone too, or by
    its long name.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    index : DatasetIndex
        The dataset that the features must cover.
    asked : sequence of str, optional
        Names of backbones or feature sets; by default every feature set that covers the dataset.

    Raises
    ------
    StackError
        If nothing covers the dataset, or it is not known what a steering saw.
    UsageError
        If a name is unknown.
    """
    present = [each for each in store.feature_sets() if each.shards()]
    chosen: list[FeatureSet] = []
    if asked is None:
        chosen = store.covering(index)
        if not chosen:
            raise StackError(_uncovered_message(index, present))
    for name in asked or ():
        matches = _find(present, name)
        if not matches:
            known = ", ".join(dict.fromkeys(each.backbone for each in present)) or "none"
            message = (
                f"the cache {store.root} has no features of {name!r}; it has {known}. "
                f"Run `stackbone extract` with --backbones {typed(name)} to add them"
            )
            raise UsageError(message)
        whole = [each for each in matches if not _n_missing(index, each)]
        if not whole:
            raise StackError(_uncovered_message(index, matches))
        chosen.extend(each for each in whole if each not in chosen)
    return _name(chosen, [each for each in present if each not in chosen], index)


def list_incomplete(
    store: FeatureStore, index: DatasetIndex, taken: Iterable[FeatureSet | SteeredBackbone]
) -> list[str]:
    """Return a sentence on each feature set that covers a part of the dataset only."""
    ids = {each.id for entry in taken for each in _sets_of(entry)}
    notes = []
    for each in store.feature_sets():
        n = _n_missing(index, each) if each.id not in ids else 0
        if 0 < n < int(index.ok.sum()):
            steering = " --steering FILE" if each.header().spec.steering else ""
            notes.append(
                f"{each.id} is left out: it lacks {n:,} images of the dataset. "
                f"{_embed(index, f' --backbones {typed(each.backbone)}{steering}')} to complete it"
            )
    return notes


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
    return candidate.seen.description["seed"] or 0, candidate.feature_set.id


def _n_missing(index: DatasetIndex, feature_set: FeatureSet) -> int:
    return int(feature_set.missing(index.image_sha256[index.ok]).sum())


def _uncovered_message(index: DatasetIndex, feature_sets: Sequence[FeatureSet]) -> str:
    n = int(index.ok.sum())
    lacks = "; ".join(f"{each.id} lacks {_n_missing(index, each):,}" for each in feature_sets)
    return (
        f"no features of every image of the dataset {index.name!r} ({n:,} images): {lacks or 'the cache has none'}. "
        f"Features of other datasets do not serve. {_embed(index)} with the backbones you want"
    )


def _embed(index: DatasetIndex, options: str = "") -> str:
    """Return what embeds a dataset again, as the beginning of a sentence."""
    if index.in_memory:
        return "Call `extract` in Python on the same arrays"
    return f"Run `stackbone extract {typed(index.root)}{options}`"
