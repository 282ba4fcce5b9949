"""Circumstances of features that do not change them, of one shard or merged from many: engine, versions, time, speed.

On disk each is one text (see FORMAT.md); a merged one lists distinct values, of many a few from both ends. Whoever
wants a value reads it here, so that a shard that `compact` made is read like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from stackbone.cache.text import counted

CUT = "truncated"
"""Names the images of a shard whose files are cut short."""
RATE = "images_per_s"
"""Images that the network took in a second, while the shard was made."""
ALLOWS_CUT = "allow_truncated"
"""Says that images whose files are cut short were let in."""
PIXEL_LIMIT = "max_pixels"
"""Says how many pixels an image might have, where that is not `USUAL_PIXELS`."""
USUAL_PIXELS = 178_956_970
"""Where Pillow stops by itself; a file that declares more is taken for a bomb."""

_PIXELS = re.compile(r"[0-9]{1,18}")
_CREATED = "created"
_VALUES_SHOWN = 6  # of a merged text: it must stay short over any number of merges
_SEPARATOR, _GAP = "; ", "..."
_DIGITS = 16  # hex digits of each digest
_MOST = 2000  # named: an attribute of a shard has at most 60,000 bytes
_MORE = "..."


@dataclass(frozen=True, eq=False)
class Provenance(Mapping[str, str]):
    """A mapping of names to texts as they are on disk, which knows what they say.

    Attributes
    ----------
    texts
        Such as ``{"engine": "torch", "images_per_s": "24.2; 35.9"}``.
    """

    texts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def values_of(self, name: str) -> list[str]:
        """Return the distinct values of a fact, in ascending order; several where shards were merged."""
        return _ascending(name, set(self.texts.get(name, "").split(_SEPARATOR)) - {_GAP, ""})

    @property
    def let_in(self) -> list[str]:
        """Options of `extract` that let in what the usual limits keep out; none where none were given."""
        texts = self.values_of(PIXEL_LIMIT)
        pixels = max((int(each) for each in texts if _PIXELS.fullmatch(each)), default=0)
        cut = ["--allow-truncated"] if ALLOWS_CUT in self else []
        return [*cut, "--max-pixels", str(pixels)] if pixels > USUAL_PIXELS else cut

    @property
    def images_per_s(self) -> float | None:
        """Speed of the run that made the features, the median of several; None where none was recorded."""
        rates = [rate for text in self.values_of(RATE) if (rate := _number(text)) is not None and rate > 0]
        return median(rates) if rates else None

    def in_words(self) -> dict[str, str]:
        """Return what people read, by name: ``24.2 to 35.9`` of numbers and times, ``cpu, cuda:0`` of others."""
        return {name: self._words(name) for name in sorted(self.texts)}

    def _words(self, name: str) -> str:
        if name == CUT:  # thousands of digests
            return count_cut(self.texts[name])
        values = self.values_of(name)
        if len(values) > 1 and name in (RATE, _CREATED):
            return f"{values[0]} to {values[-1]}"
        is_cut = _GAP in self.texts[name].split(_SEPARATOR)
        return ", ".join([*values, "and others"] if is_cut else values)


def merge_provenance(parts: Sequence[Mapping[str, str]]) -> Provenance:
    """Return the provenance of shards that become one; each of them may be merged already."""
    names = sorted(set().union(*parts) - {CUT})
    merged = {name: _merge_values(name, [part[name] for part in parts if name in part]) for name in names}
    return Provenance(merged | merged_cut(part[CUT] for part in parts if CUT in part))


def _merge_values(name: str, texts: Sequence[str]) -> str:
    found = {value for text in texts for value in text.split(_SEPARATOR)}
    values = _ascending(name, found - {_GAP})
    half = _VALUES_SHOWN // 2
    gap = [_GAP] if _GAP in found or len(values) > 2 * half else []
    return _SEPARATOR.join([*values[:half], *gap, *values[half:][-half:]])


def _ascending(name: str, values: set[str]) -> list[str]:
    texts = sorted(values)
    return sorted(texts, key=lambda text: _number(text) or 0.0) if name == RATE else texts


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def named_cut(digests: Iterable[str]) -> dict[str, str]:
    """Return the entry of the provenance that names images by their digests in hex; none where there are none."""
    return _named({digest[:_DIGITS] for digest in digests})


def merged_cut(texts: Iterable[str]) -> dict[str, str]:
    """Return the entry that names all images that the entries of merged shards name."""
    return _named({name for text in texts for name in text.split()})


def names_cut(texts: Iterable[str], digests: Iterable[str]) -> list[bool]:
    """Return which of some images, by their digests in hex, any of these entries names."""
    names = {name for text in texts for name in text.split()}
    return [digest[:_DIGITS] in names for digest in digests]


def count_cut(text: str) -> str:
    """Return how many images an entry names, in words for people."""
    names = set(text.split())
    return counted(len(names - {_MORE}), "image") + (" and more" if _MORE in names else "")


def _named(names: set[str]) -> dict[str, str]:
    named = sorted(names - {_MORE})
    more = [_MORE] if _MORE in names or len(named) > _MOST else []
    return {CUT: " ".join([*named[:_MOST], *more])} if names else {}
