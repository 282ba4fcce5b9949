"""The images of a transfer that was run before, read again from the cache, to be shown."""

from __future__ import annotations

import numpy as np

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.text import typed
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.transfer.domains.pair import DomainPair, Matched
from stackbone.stack.transfer.domains.reading import read_domains
from stackbone.stack.transfer.domains.shared_classes import share_classes
from stackbone.stack.transfer.results.told import TransferResult


def reread_images(result: TransferResult, store: FeatureStore) -> DomainPair:
    """Return both domains of a result, without groups: near copies matter to folds, and nothing is divided here.

    Parameters
    ----------
    result : TransferResult
        As of `stack.transfer.results.reading.read_transfer`.
    store : FeatureStore
        The cache that it was made with.

    Raises
    ------
    StackError
        If other images take part now: labels or images have changed since.
    CacheError, UsageError
        If the cache lacks a dataset or its features.
    """
    source, target, _ = read_domains(store, result.asked)
    shared = share_classes(source, target, result.target)
    source, target = shared.take(source, target)
    if result.division.split is not None:
        target, _ = outer_folds(target, result.division)
    # A class that was too rare for the folds took no part.
    rows = np.flatnonzero(np.isin(source.labels, result.class_names))
    tested = np.flatnonzero(np.isin(target.labels, result.class_names))
    pair = DomainPair(
        source=source.take(rows),
        target=target if len(tested) == len(target.rows) else target.take(tested),
        classes=np.array(result.class_names, np.str_),
        source_groups=None,
        target_groups=None,
        matched=Matched(0, {}, {}),
        notes=[],
    )
    found = len(pair.source), len(pair.target.rows)
    recorded = result.n_source, result.n_target
    if found != recorded or result.images_sha256 not in ("", pair.images_sha256):
        message = (
            f"labels or images have changed since: {recorded[0]:,} source and {recorded[1]:,} target images took part, "
            f"and {found[0]:,} and {found[1]:,}{' others' if found == recorded else ''} would now. Run "
            f"`{_again(result)}` to record what is there, with the other options that it had"
        )
        raise StackError(message)
    return pair


def _again(result: TransferResult) -> str:
    """Return the command that transfers between the same domains again."""
    words = [word for name in result.sources for word in ("--source", name)]
    if result.asked.column is not None:
        words += ["--domain-column", result.asked.column, "--dataset", result.asked.dataset or ""]
    return typed("stackbone", "transfer", *words, "--target", result.target, "--result", "FILE")
