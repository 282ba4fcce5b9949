"""The images of a dataset that are nearest to some pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSpec, FeatureStore, StackError, UsageError, as_keys
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Progress, silent
from stackbone.stack.exploring import approximate
from stackbone.stack.exploring.explored import Explored, explore
from stackbone.stack.exploring.hits import Hit, Search
from stackbone.stack.exploring.nearest import Nearest
from stackbone.stack.exploring.queries import Query, resolve
from stackbone.stack.exploring.rank_fusion import depth_of, fuse
from stackbone.stack.exploring.rankers import Exact, Ranker
from stackbone.stack.models.unlike.novelty import unit_rows


class Embedded(Protocol):
    """Features of files, as `extract.embedding.predict.EmbeddedFiles` has them."""

    @property
    def reasons(self) -> list[str]:
        """Why a file has no features, ``""`` where it has, in the order of the files."""
        ...

    @property
    def features(self) -> dict[str, NDArray[np.float32]]:
        """Feature set id to ``(n_ok, dim)`` features of the others, in their order."""
        ...


EmbedFiles = Callable[[Sequence[str], Mapping[str, FeatureSpec], FeatureStore], Embedded]
"""Embeds files in exactly the feature sets that specs stand for, by id, such as `stackbone.embed_files`."""


def search(
    queries: str | Sequence[str],
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    k: int = 12,
    exact: bool = False,
    embed: EmbedFiles | None = None,
    progress: Progress | None = None,
) -> Search:
    """Find the images of a dataset that are nearest to pictures, by the cosine of their features.

    Queries are compared with every image. Above a million images an index of faiss answers, where that is installed
    and `exact` is not asked for; see `stack.exploring.approximate`.

    Several backbones each rank the images, and their rankings are fused by reciprocal rank (see `rank_fusion`).

    Parameters
    ----------
    queries
        Image files, paths of the dataset as it lists them, or SHA-256 of images in hex (8 digits or more). What the
        cache has features of takes no network.
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        As of `stack.experiments.run.run_experiment`.
    k
        Images to find for each query; the query itself, where the dataset has it, comes before them with rank 0.
    exact
        Compare with every image, however many there are.
    embed
        Embeds files that the cache has no features of, such as `stackbone.embed_files`.
    progress
        See `cache.progress.Progress`.

    Returns
    -------
    Search

    Raises
    ------
    UsageError
        If there is no query, k is less than 1, or a name is unknown.
    StackError
        If no query can be answered, or no features serve.
    CacheError
        If the cache lacks the dataset or is damaged.
    """
    asked = [queries] if isinstance(queries, str) else list(dict.fromkeys(queries))
    if not asked:
        message = "there is nothing to look for: name one image or more"
        raise UsageError(message)
    if k < 1:
        message = f"{k} images were asked for: ask for 1 or more"
        raise UsageError(message)
    report = progress or silent
    store = store or FeatureStore()
    explored = explore(store, dataset, backbones)
    resolved, failed = resolve(asked, explored)
    features, failed_too = _features(resolved, explored, store, embed)
    failed |= failed_too
    resolved = [each for each in resolved if each.text not in failed]
    if not resolved:
        raise StackError("\n".join(f"{query!r}: {reason}" for query, reason in failed.items()))
    own = _own_places(resolved, explored)
    limits = len(explored) - (own >= 0)
    fewest, most = int(limits.min()), int(limits.max())
    notes = list(explored.notes)
    if k > fewest:
        there = f"{most:,}" if fewest == most else f"{most:,}, or {fewest:,} beside a query that is one of them"
        notes.append(f"{k:,} images were asked for, and there are {there}: all are taken")
    many = not exact and len(explored) > approximate.MANY and approximate.is_installed()
    rankers: dict[str, Ranker] = {
        name: approximate.open_index(explored, name, 0, report) if many else Exact(explored, name) for name in features
    }
    if many:
        notes.append(approximate.about(list(features)))
    found = _rank(rankers, features, own, min(k, most), most, report)
    hits, files = _hits(resolved, explored, own, found)
    return Search(
        dataset=explored.index.name,
        n_images=len(explored),
        backbones=list(explored.sets),
        k=min(k, most),
        queries=[each.text for each in resolved],
        hits=hits,
        failed=failed,
        notes=notes,
        query_files={each.text: each.file for each in resolved},
        hit_files=files,
    )


def _features(
    queries: Sequence[Query], explored: Explored, store: FeatureStore, embed: EmbedFiles | None
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Return by feature set the ``(n_answered, dim)`` features of queries, of length 1, and why others have none."""
    digests = np.frombuffer(b"".join(each.file.digest for each in queries), np.uint8).reshape(-1, 32)
    missing = np.zeros(len(queries), np.bool_)
    for each in explored.sets.values():
        missing |= each.missing(digests)
    failed: dict[str, str] = {}
    made: dict[str, NDArray[np.float32]] = {}
    waiting = [query for query, lacks in zip(queries, missing, strict=True) if lacks]
    if waiting and embed is None:
        why = "the cache has no features of it: pass what embeds it, such as embed=stackbone.embed_files"
        failed = {query.text: why for query in waiting}
    elif waiting and embed is not None:
        specs = {each.id: each.header().spec for each in explored.sets.values()}
        embedded = embed([query.file.place for query in waiting], specs, store)
        failed = {query.text: reason for query, reason in zip(waiting, embedded.reasons, strict=True) if reason}
        made = embedded.features
    kept = np.array([query.text not in failed for query in queries], np.bool_)
    found = {}
    for name, each in explored.sets.items():
        known = each.load(digests[kept & ~missing])
        ready = made.get(each.id, known[:0])
        x = np.empty((int(kept.sum()), max(known.shape[1], ready.shape[1])), np.float32)
        if len(known):
            x[~missing[kept]] = known
        if len(ready):
            x[missing[kept]] = ready
        found[name] = unit_rows(x)
    return found, failed


def _own_places(queries: Sequence[Query], explored: Explored) -> NDArray[np.int64]:
    """Return where the image of each query is among those explored; -1 where it is not."""
    keys = as_keys(explored.digests)
    order = np.argsort(keys)
    own = np.frombuffer(b"".join(each.file.digest for each in queries), np.uint8).reshape(-1, 32)
    at = np.minimum(np.searchsorted(keys, as_keys(own), sorter=order), len(keys) - 1)
    places = order[at]
    return np.where(keys[places] == as_keys(own), places, -1)


@dataclass(frozen=True, eq=False)
class _Found:
    """``(k,)`` images that were found for one query, best first, and by backbone the ``(k,)`` cosines with them."""

    places: NDArray[np.int64]
    cosines: dict[str, NDArray[np.float32]]


def _rank(
    rankers: Mapping[str, Ranker],
    features: Mapping[str, NDArray[np.float32]],
    own: NDArray[np.int64],
    k: int,
    most: int,
    report: Progress,
) -> list[_Found]:
    """Return the k best images of each query, fewer of one that is itself among them and has no more others."""
    if k == 0:
        nothing = np.zeros(0, np.float32)
        return [_Found(np.zeros(0, np.int64), dict.fromkeys(features, nothing)) for _ in own]
    depth = k if len(features) == 1 else depth_of(k, most)
    ranked = {}
    for done, (name, x) in enumerate(features.items()):
        report("comparing", done, len(features))
        ranked[name] = rankers[name].nearest(x, depth, own)
    report("comparing", len(features), len(features))
    if len(ranked) == 1:
        (name, only), *_ = ranked.items()
        others = only.rows != own[:, None]  # where all are taken, a query's own image is the last of them
        return [
            _Found(rows[meant], {name: cosines[meant]})
            for rows, cosines, meant in zip(only.rows, only.cosines, others, strict=True)
        ]
    places = []
    for query, itself in enumerate(own):
        rankings = [each.rows[query] for each in ranked.values()]
        places.append(fuse([rows[rows != itself] for rows in rankings], k)[0])
    cosines = {name: _cosines(each, places, rankers[name], features[name]) for name, each in ranked.items()}
    return [_Found(best, {name: each[query] for name, each in cosines.items()}) for query, best in enumerate(places)]


def _cosines(
    ranked: Nearest, places: Sequence[NDArray[np.int64]], ranker: Ranker, features: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return the cosines of queries with images of which a ranking, cut at some depth, may lack a few."""
    found = [np.full(len(best), np.nan, np.float32) for best in places]
    for best, cosines, rows, those in zip(places, found, ranked.rows, ranked.cosines, strict=True):
        order = np.argsort(rows)
        at = order[np.minimum(np.searchsorted(rows, best, sorter=order), len(rows) - 1)]
        is_known = rows[at] == best
        cosines[is_known] = those[at[is_known]]
    missing = [best[np.isnan(cosines)] for best, cosines in zip(places, found, strict=True)]
    lacking = np.unique(np.concatenate(missing))
    if len(lacking):
        theirs = ranker.rows(lacking)
        for cosines, rows, x in zip(found, missing, features, strict=True):
            cosines[np.isnan(cosines)] = theirs[np.searchsorted(lacking, rows)] @ x
    return found


def _hits(
    queries: Sequence[Query], explored: Explored, own: NDArray[np.int64], found: Sequence[_Found]
) -> tuple[list[Hit], list[ListedFile]]:
    """Return a row for each image found, and the files of these."""
    hits, files = [], []
    for query, itself, best in zip(queries, own.tolist(), found, strict=True):
        ranked = [(0, itself, dict.fromkeys(best.cosines, 1.0))] if itself >= 0 else []
        for at, place in enumerate(best.places.tolist()):
            ranked.append((at + 1, place, {name: _rounded(each[at]) for name, each in best.cosines.items()}))
        for rank, place, cosines in ranked:
            listed = int(explored.rows[place])
            similarity = _rounded(sum(cosines.values()) / len(cosines))
            label, split = explored.index.label[listed], explored.index.split[listed]
            hits.append(Hit(query.text, rank, explored.paths[place], label, split, similarity, cosines))
            files.append(explored.file(place))
    return hits, files


def _rounded(cosine: float) -> float:
    return round(max(-1.0, min(1.0, float(cosine))), 6)  # what is beyond is rounding of float32 products
