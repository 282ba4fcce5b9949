"""The images of a dataset that are nearest to some pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSpec, FeatureStore, StackError, UsageError, as_keys
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.exploring.explored import Explored, explore
from stackbone.stack.exploring.nearest import nearest_of
from stackbone.stack.exploring.queries import Query, resolve
from stackbone.stack.exploring.rank_fusion import depth_of, fuse
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


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes
    ----------
    query : str
        What was looked for, as it was given.
    rank : int
        1 of the nearest; 0 of the query itself, where the dataset has a file of the same bytes.
    path, label, split : str
        As the dataset lists it.
    similarity : float
        Its cosine with the query, from -1 to 1: the mean over backbones.
    cosines : dict of str to float
        The cosine by backbone.
    """

    query: str
    rank: int
    path: str
    label: str
    split: str
    similarity: float
    cosines: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Search:
    """What was found.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    n_images : int
        Distinct images that were compared.
    backbones : list of str
        That were asked.
    k : int
        Images found for each query; the query itself is not counted.
    queries : list of str
        That could be answered.
    hits : list of Hit
        Query after query, by rank.
    failed : dict of str to str
        Queries that could not be answered, with the reason.
    notes : list of str
        What a reader should know, in sentences.
    query_files : dict of str to ListedFile
        Where the pictures that were asked with lie, for those who show them.
    hit_files : list of ListedFile
        Where the images of `hits` lie.
    """

    dataset: str
    n_images: int
    backbones: list[str]
    k: int
    queries: list[str]
    hits: list[Hit]
    failed: dict[str, str]
    notes: list[str]
    query_files: dict[str, ListedFile]
    hit_files: list[ListedFile]

    def __repr__(self) -> str:
        return f"<Search of {self.dataset}: {counted(self.k, 'image')} for each of {len(self.queries):,} queries>"

    def of(self, query: str) -> list[Hit]:
        """Return what was found for one query, by rank."""
        return [each for each in self.hits if each.query == query]

    def columns(self) -> dict[str, list[Any]]:
        """Return the hits by column: those of `Hit`, and ``cosine:NAME`` for each backbone where there are several."""
        names = ("query", "rank", "path", "label", "split", "similarity")
        columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in self.hits] for name in names}
        if len(self.backbones) > 1:
            columns |= {f"cosine:{name}": [each.cosines[name] for each in self.hits] for name in self.backbones}
        return columns

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each hit, with the columns of ``search --csv``."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        columns = self.columns()
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "backbones": self.backbones,
            "k": self.k,
            "hits": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            "failed": [{"query": query, "reason": reason} for query, reason in self.failed.items()],
            "notes": self.notes,
        }


def search(
    queries: str | Sequence[str],
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    k: int = 12,
    embed: EmbedFiles | None = None,
    progress: Progress | None = None,
) -> Search:
    """Find the images of a dataset that are nearest to pictures, by the cosine of their features, exactly.

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
    most = len(explored) - bool((own >= 0).any())
    notes = list(explored.notes)
    if k > most:
        notes.append(f"{k:,} images were asked for, and there are {most:,}: all are taken")
    found = _rank(explored, features, own, min(k, most), report)
    hits, files = _hits(resolved, explored, features, own, found)
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


def _rank(
    explored: Explored, features: Mapping[str, NDArray[np.float32]], own: NDArray[np.int64], k: int, report: Progress
) -> list[NDArray[np.int64]]:
    """Return the k best images of each query."""
    if k == 0:
        return [np.zeros(0, np.int64) for _ in own]
    n_others = len(explored) - bool((own >= 0).any())
    depth = k if len(features) == 1 else depth_of(k, n_others)
    rankings = []
    for done, (name, x) in enumerate(features.items()):
        report("comparing", done, len(features))
        rankings.append(nearest_of(x, explored.stream(name), depth, own=own).rows)
    report("comparing", len(features), len(features))
    if len(rankings) == 1:
        return list(rankings[0])
    return [fuse(each, k)[0] for each in zip(*rankings, strict=True)]


def _hits(
    queries: Sequence[Query],
    explored: Explored,
    features: Mapping[str, NDArray[np.float32]],
    own: NDArray[np.int64],
    found: Sequence[NDArray[np.int64]],
) -> tuple[list[Hit], list[ListedFile]]:
    """Return a row for each image found, and the files of these."""
    places = np.unique(np.concatenate([own[own >= 0], *found]))
    cosines = {}
    for name, x in features.items():
        theirs = explored.sets[name].load(explored.digests[places], unit_rows)
        cosines[name] = x @ theirs.T
    hits, files = [], []
    for query, itself, best, row in zip(queries, own, found, range(len(queries)), strict=True):
        ranked = [*([(0, int(itself))] if itself >= 0 else []), *enumerate(best.tolist(), start=1)]
        for rank, place in ranked:
            at = int(np.searchsorted(places, place))
            each = {name: _rounded(cosines[name][row, at]) for name in features}
            similarity = _rounded(float(np.mean(list(each.values()))))
            listed = int(explored.rows[place])
            label, split = explored.index.label[listed], explored.index.split[listed]
            hits.append(Hit(query.text, rank, explored.paths[place], label, split, similarity, each))
            files.append(explored.file(place))
    return hits, files


def _rounded(cosine: float) -> float:
    return round(min(1.0, float(cosine)), 6)  # what is beyond is rounding of float32 products
