"""The first bytes of shards on an object store, kept in memory: they say what is in a shard, and never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from stackbone.cache.places.object_path import ObjectPath

HEAD_BYTES = 128 << 10
"""Of a shard of some 2,000 images all but the features, as a rule."""

_MOST_BYTES = 128 << 20


@dataclass
class Heads:
    """What a process has got of objects lately."""

    _got: OrderedDict[str, tuple[bytes, int]] = field(default_factory=OrderedDict)
    _n_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, place: ObjectPath) -> tuple[bytes, int]:
        """Return an object's first bytes, and how many it has; FileNotFoundError if it is gone."""
        entry = place.entry()
        key = f"{place.url} {entry.stamp}"
        with self._lock:
            if key in self._got:
                self._got.move_to_end(key)
                return self._got[key]
        found = (place.read(0, HEAD_BYTES), entry.size)
        with self._lock:
            if key not in self._got:
                self._got[key] = found
                self._n_bytes += len(found[0])
            while self._n_bytes > _MOST_BYTES:
                self._n_bytes -= len(self._got.popitem(last=False)[1][0])
        return found


HEADS = Heads()
"""Of this process."""
