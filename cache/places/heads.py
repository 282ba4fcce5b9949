"""The first bytes of shards on an object store, kept in memory: they say what is in a shard, and never change."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.remote.listing import RemoteEntry

HEAD_BYTES = 128 << 10
"""Of a shard of some 2,000 images all but the features, as a rule."""

_MOST_BYTES = 128 << 20


@dataclass
class Heads:
    """What a process has got of objects lately."""

    _got: dict[str, bytes] = field(default_factory=dict)
    _n_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, place: ObjectPath, entry: RemoteEntry) -> bytes:
        """Return an object's first bytes; FileNotFoundError if it is gone.

        Parameters
        ----------
        entry
            What the server says of it. If its stamp proves nothing, the bytes are not kept.
        """
        key = f"{place.url} {entry.stamp}"
        with self._lock:
            if key in self._got:
                return self._got[key]
        found = place.read(0, HEAD_BYTES)
        if entry.stamp[0] < 0:
            return found
        with self._lock:
            if key not in self._got:
                # The latest: who looks at more than fit, again and again, would else find none of them.
                while self._got and self._n_bytes + len(found) > _MOST_BYTES:
                    self._n_bytes -= len(self._got.popitem()[1])
                self._got[key] = found
                self._n_bytes += len(found)
        return found


HEADS = Heads()
"""Of this process."""
