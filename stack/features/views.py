"""Which views of the images an experiment learns from and which it tests, and their features side by side.

The feature sets of one backbone and output that differ in nothing but the view belong together: to an experiment they
are one backbone, whose images have several rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stackbone.cache import DatasetIndex, Digests, FeatureSet, FeatureStore, UsageError
from stackbone.cache.disk.scratch import empty_array
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.records.views import expand_views, view_order
from stackbone.cache.text import counted, typed
from stackbone.stack.features.source import extract_words
from stackbone.stack.features.steered import SteeredBackbone
from stackbone.stack.folds.per_fold import Viewed, mean_of_views

ALL = "all"
"""What ``--train-views`` calls every view that there is."""
MEAN = "mean"
"""What ``--test-views`` calls the mean over every view that there is."""

SetsOfViews = Mapping[str, FeatureSet]
"""View to its feature set, of one backbone."""


@dataclass(frozen=True)
class Views:
    """What an image is, to an experiment.

    Attributes
    ----------
    train : tuple of str
        Each image is learnt from as so many rows.
    test : tuple of str
        The mean over these is tested.
    """

    train: tuple[str, ...] = (PLAIN,)
    test: tuple[str, ...] = (PLAIN,)

    @property
    def used(self) -> list[str]:
        """All of them, those that are trained on first."""
        return list(dict.fromkeys([*self.train, *self.test]))

    def note(self) -> str:
        """Return in a sentence what scores with these views are of."""
        n = len(self.train)
        rows = f"{n} rows that weigh 1/{n} each ({', '.join(self.train)})" if n > 1 else f"its view {self.train[0]}"
        tested = f"the mean of {len(self.test)} views ({', '.join(self.test)})" if len(self.test) > 1 else self.test[0]
        return f"each image is learnt from as {rows}, and tested by {tested}"


def _sets_of_views(store: FeatureStore, index: DatasetIndex, feature_set: FeatureSet) -> dict[str, FeatureSet]:
    """Return the feature sets that cover a dataset and differ from this one in the view alone, by view.

    Raises
    ------
    CacheError
        If one of them is damaged.
    """
    name, spec = feature_set.name, feature_set.header().spec
    covering = [
        each
        for each in store.covering(index)
        if (each.name.backbone, each.name.output) == (name.backbone, name.output)
        and replace(each.header().spec, view=spec.view) == spec
    ]
    return {each.name.view: each for each in sorted(covering, key=lambda each: view_order(each.name.view))}


def views_of(
    store: FeatureStore,
    index: DatasetIndex,
    entries: Mapping[str, FeatureSet | SteeredBackbone],
    train: str | Sequence[str] | None,
    test: str | Sequence[str] | None,
) -> tuple[Views, dict[str, SetsOfViews]]:
    """Return the views that were asked for, with each backbone's feature sets by view; none where none were.

    Parameters
    ----------
    store, index
        The cache and the dataset.
    entries : mapping of str to (FeatureSet or SteeredBackbone)
        The backbones of the experiment.
    train, test : str or sequence of str, optional
        Names and groups, or `ALL` and `MEAN`.

    Raises
    ------
    UsageError
        If a name is unknown, a backbone lacks a view, is steered, or is named with a view of its own.
    """
    if train is None and test is None:
        return Views(), {}
    options = " and ".join(o for o, asked in (("--train-views", train), ("--test-views", test)) if asked is not None)
    sets: dict[str, SetsOfViews] = {}
    for name, each in entries.items():
        if isinstance(each, SteeredBackbone):
            message = f"{options} cannot use views of {name}, which is steered: leave either out"
            raise UsageError(message)
        if each.name.view != PLAIN:
            message = (
                f"--backbones names the view {each.name.view} of {each.name.backbone}, and {options} choose among "
                "views: name the backbone without its view, or leave the other out"
            )
            raise UsageError(message)
        sets[name] = _sets_of_views(store, index, each)
    return _choose(store, index, sets, train, test), sets


def _choose(
    store: FeatureStore,
    index: DatasetIndex,
    sets: Mapping[str, SetsOfViews],
    train: str | Sequence[str] | None,
    test: str | Sequence[str] | None,
) -> Views:
    """Return the views that every backbone has of those that were asked for.

    Parameters
    ----------
    store, index
        The cache and the dataset.
    sets : mapping of str to SetsOfViews
        By backbone: what there is.
    train, test : str or sequence of str, optional
        Names and groups, or `ALL` and `MEAN`: the views that all backbones have. The plain view by default.

    Raises
    ------
    UsageError
        If a name is unknown, or a backbone lacks a view.
    """
    common = [view for view in next(iter(sets.values())) if all(view in each for each in sets.values())]
    chosen = []
    for option, asked, every, other in (("--train-views", train, ALL, MEAN), ("--test-views", test, MEAN, ALL)):
        words = [asked.strip()] if isinstance(asked, str) else asked
        if words == [other]:
            message = f"{option} takes {every} for every view that there is, not {other}: write {option} {every}"
            raise UsageError(message)
        views = common if words == [every] else expand_views(PLAIN if asked is None else asked)
        _check_there(store, index, sets, option, views)
        chosen.append(tuple(views))
    if not all(chosen):
        has = "; ".join(f"{name} has {', '.join(each)}" for name, each in sets.items())
        message = f"the backbones have no view in common: {has}. Name backbones of the same views with --backbones"
        raise UsageError(message)
    return Views(*chosen)


def load_views(sets: SetsOfViews, views: Views, digests: Digests) -> Viewed:
    """Return a backbone's features of several views.

    Parameters
    ----------
    sets : SetsOfViews
        Of the backbone.
    views : Views
        Which are used.
    digests : Digests
        ``(n_images, 32)`` SHA-256 of the images.

    Raises
    ------
    CacheError
        If features are damaged.
    """
    first = sets[views.train[0]].load(digests)
    values = empty_array((len(views.train) + 1, *first.shape))
    for place, view in enumerate(views.train):
        values[place] = first if place == 0 else sets[view].load(digests)
    of = {view: values[place] for place, view in enumerate(views.train)}
    values[-1] = mean_of_views([of[view] if view in of else sets[view].load(digests) for view in views.test])
    return Viewed(values, tuple(sets[view].id for view in views.used))


def unused_note(feature_sets: Sequence[FeatureSet], taken: Sequence[FeatureSet]) -> list[str]:
    """Return a sentence on views that are in a cache and take no part; none where there are none."""
    names = {(each.name.backbone, each.name.output) for each in taken}
    left = [
        each
        for each in feature_sets
        if each.name.view != PLAIN and (each.name.backbone, each.name.output) in names and each not in taken
    ]
    if not left:
        return []
    views = sorted({each.name.view for each in left}, key=view_order)
    shown = ", ".join(views[:6]) + (f" and {len(views) - 6} more" if len(views) > 6 else "")
    return [
        f"{counted(len(views), 'view')} beside the plain one ({shown}) {'takes' if len(views) == 1 else 'take'} no "
        f"part: {typed('--train-views', ALL, '--test-views', MEAN)} uses what every backbone has"
    ]


def _check_there(
    store: FeatureStore, index: DatasetIndex, sets: Mapping[str, SetsOfViews], option: str, views: Sequence[str]
) -> None:
    lacking = [name for name, each in sets.items() if not set(views) <= set(each)]
    if not lacking:
        return
    there = ", ".join(sets[lacking[0]])
    missing = [view for view in views if any(view not in sets[name] for name in lacking)]
    add = extract_words(store, index, "--backbones", ",".join(lacking), "--views", ",".join(missing))
    message = (
        f"{option} names {', '.join(missing)}, of which the cache has no features of every image by "
        f"{', '.join(lacking)}: there {'is' if len(sets[lacking[0]]) == 1 else 'are'} {there}. Run {add} to make "
        "them, or name those that are there"
    )
    raise UsageError(message)
