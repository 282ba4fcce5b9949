"""Remove what is no longer wanted: whole feature sets, datasets, or rows that no dataset uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stackbone.cache.boxes.box_file import boxes_path, remove_boxes
from stackbone.cache.corrections.batch import batch_files, remove_batches
from stackbone.cache.disk.digest import Digests, as_keys
from stackbone.cache.errors import UsageError
from stackbone.cache.feature_set import FeatureSet
from stackbone.cache.findings.found import forget_findings
from stackbone.cache.places.place import is_there, look_afresh
from stackbone.cache.records.indexes.index_file import index_path, remove_index
from stackbone.cache.records.scores import remove_scores
from stackbone.cache.store import FeatureStore
from stackbone.cache.text import counted
from stackbone.cache.upkeep.compact import compact, remove_feature_set, used_digests

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForgetPlan:
    """What would be removed; `run` does it.

    Attributes
    ----------
    feature_sets
        To be removed with all their rows.
    datasets
        Whose indexes are to be removed; their images' features stay.
    unused
        Feature sets, and the digests of their rows that no dataset lists.
    """

    store: FeatureStore
    feature_sets: list[FeatureSet]
    datasets: list[str]
    unused: list[tuple[FeatureSet, Digests]]

    def lines(self) -> list[str]:
        """Return the plan for people, one removal a line."""
        lines = [f"the feature set {each.id} with {counted(_n_rows(each), 'row')}" for each in self.feature_sets]
        lines += [
            f"the dataset {name}{_with_what_lies_beside(self.store, name)} (its images' features stay)"
            for name in self.datasets
        ]
        lines += [_unused_line(each, rows) for each, rows in self.unused]
        return lines or ["nothing"]

    def run(self) -> dict[str, Any]:
        """Remove what is planned and return what was removed, JSON-able; errors as `compact`.

        Scores that were computed from a feature set or a dataset go with it. Rows that a dataset has come to list
        since the plan was made are kept.
        """
        removed = replace(self, unused=[]).lines() if self.feature_sets or self.datasets else []
        look_afresh(self.store.root)
        for feature_set in self.feature_sets:
            remove_feature_set(feature_set)
        for name in self.datasets:
            remove_index(index_path(self.store.root, name))
            remove_batches(self.store.root, name)
            remove_boxes(self.store.root, name)
            forget_findings(self.store.root, name)
        for feature_set, rows in self.unused:
            still = rows[~np.isin(as_keys(rows), as_keys(used_digests(self.store)))]
            if len(still):
                compact(feature_set, drop=still)
                removed.append(_unused_line(feature_set, still))
        gone = [each.id for each in self.feature_sets]
        remove_scores(self.store.scores_folder, datasets=self.datasets, feature_sets=gone)
        return {"removed": removed}


def plan_forget(store: FeatureStore, names: Sequence[str], *, unused: bool) -> ForgetPlan:
    """Return what forgetting these would remove.

    Parameters
    ----------
    names
        Ids of feature sets, backbones (all their feature sets) or datasets.
    unused
        Rows of images that no dataset lists, in the feature sets that stay.

    Raises
    ------
    UsageError
        If nothing was asked for, or a name is neither a feature set, a backbone nor a dataset here.
    CacheError
        If there is no cache, `unused` is asked of a cache without datasets, or an index is damaged.
    """
    store.check_there()
    present, datasets = store.feature_sets(), store.dataset_names()
    if not names and not unused:
        message = "name what to forget (a feature set, a backbone or a dataset), or give --unused"
        raise UsageError(message)
    for name in names:
        if name not in {*datasets, *(each.id for each in present), *(each.backbone for each in present)}:
            known = ", ".join([*(each.id for each in present), *datasets]) or "nothing"
            message = f"the cache in {store.root} has no feature set, backbone or dataset {name!r}; it has {known}"
            raise UsageError(message)
    leaving = [name for name in datasets if name in names]
    chosen = [each for each in present if each.id in names or each.backbone in names]
    used = used_digests(store, leaving) if unused else None
    n_unread = 0 if used is None else int((~used.any(axis=1)).sum())
    if n_unread:
        message = "%s could not be read when last listed, and features of such images count as unused. %s"
        _log.warning(message, counted(n_unread, "file"), "To keep these, run `stackbone extract` on the dataset first")
    rest = [(each, _unused(each, used)) for each in present if each not in chosen] if used is not None else []
    return ForgetPlan(
        store=store,
        feature_sets=chosen,
        datasets=leaving,
        unused=[(each, rows) for each, rows in rest if len(rows)],
    )


def _with_what_lies_beside(store: FeatureStore, dataset: str) -> str:
    n = len(batch_files(store.root, dataset))
    boxes = " and its boxes" if is_there(boxes_path(store.root, dataset)) else ""
    return boxes + (f" and {counted(n, 'file')} of its corrected labels" if n else "")


def _unused_line(feature_set: FeatureSet, rows: Digests) -> str:
    return f"{counted(len(rows), 'row')} of {feature_set.id} that no dataset lists"


def _n_rows(feature_set: FeatureSet) -> int:
    return len(np.unique(as_keys(feature_set.digests())))


def _unused(feature_set: FeatureSet, used: Digests) -> Digests:
    digests = np.unique(feature_set.digests(), axis=0)
    return digests[~np.isin(as_keys(digests), as_keys(used))]
