"""Without locks: whatever order the requests of writers and compactions come in, no committed row is ever gone.

Each worker stands for a machine of its own: it sees listings of its own, as old as they may be, and is let through one
request at a time, in an order drawn by chance. Between any two requests the store is looked at.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from stackbone.cache import Digests, FeatureSet, FeatureStore, as_keys
from stackbone.cache.places import listings as listings_module
from stackbone.cache.places import object_path as path_module
from stackbone.cache.places import opened as opened_module
from stackbone.cache.places import place as place_module
from stackbone.cache.places.heads import Heads
from stackbone.cache.places.listings import Listings
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.place import Place
from stackbone.cache.records.shard import read_digests
from stackbone.cache.remote.listing import list_folder
from stackbone.cache.remote.server import Server
from stackbone.cache.upkeep import compact as compact_module
from stackbone.cache.upkeep.compact import compact
from tests.made.caches import SPEC, features_of, make_digests


class Turns:
    """Lets one request through at a time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._waiting: dict[int, threading.Event] = {}
        self._n_alive = 0
        self._asleep: dict[int, int] = {}

    def step(self) -> None:
        """Wait for one's turn."""
        if threading.current_thread() is threading.main_thread():
            return
        event = threading.Event()
        with self._changed:
            self._waiting[threading.get_ident()] = event
            self._changed.notify_all()
        assert event.wait(60)

    def _next(self) -> int:
        """Return whose turn it is: now and then one is left waiting while the others do a lot."""
        if not self._asleep and self.chance.random() < 0.3:
            self._asleep = {self.chance.choice(sorted(self._waiting)): self.chance.randrange(40, 200)}
        self._asleep = {each: n - 1 for each, n in self._asleep.items() if n}
        return self.chance.choice(sorted(self._waiting.keys() - self._asleep.keys()) or sorted(self._waiting))

    def run(self, workers: list[Callable[[], object]], look: Callable[[], None]) -> int:
        """Run workers to their ends, looking between any two requests; return how many there were."""

        def work(each: Callable[[], object]) -> None:
            try:
                each()
            except BaseException as exc:
                self.errors.append(exc)
            with self._changed:
                self._n_alive -= 1
                self._changed.notify_all()

        self._n_alive, n_requests = len(workers), 0
        threads = [threading.Thread(target=work, args=(each,)) for each in workers]
        for each in threads:
            each.start()
        while True:
            with self._changed:
                assert self._changed.wait_for(lambda: len(self._waiting) == self._n_alive, 60)
                if not self._n_alive:
                    break
                look()
                n_requests += 1
                event = self._waiting.pop(self._next())
            event.set()
        for each in threads:
            each.join()
        look()
        return n_requests


def one_by_one(places: Sequence[Place], do: Callable[[Place], Any], _: int = 1) -> Iterator[tuple[Place, Any]]:
    """Do as `side_by_side`, in the worker's own thread."""
    for place in places:
        yield place, do(place)


class OwnOfEachThread:
    """What is remembered in a process, for each thread as if it were a machine of its own."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make, self._own = make, threading.local()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of what is remembered
        if not hasattr(self._own, "it"):
            self._own.it = self._make()
        return getattr(self._own.it, name)


@pytest.fixture(params=[0, 1, 2, 3, 4, 5])
def turns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    turns = Turns(request.param)

    real = Server.files

    @contextmanager
    def files_in_turn(server: Server) -> Iterator[Any]:  # each request of whatever takes several, such as a put
        turns.step()
        with real(server) as files:
            yield files

    monkeypatch.setattr(Server, "files", files_in_turn)
    monkeypatch.setattr(listings_module, "_FRESH_S", (0.0, 3600.0)[request.param % 2])
    own_listings = OwnOfEachThread(Listings)
    monkeypatch.setattr(path_module, "LISTINGS", own_listings)
    monkeypatch.setattr(place_module, "LISTINGS", own_listings)
    monkeypatch.setattr(opened_module, "HEADS", OwnOfEachThread(Heads))
    for user in ("feature_set", "upkeep.compact"):
        monkeypatch.setattr(f"stackbone.cache.{user}.side_by_side", one_by_one)
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 12 * 8 * 4)
    yield turns
    assert turns.errors == []


class Watched:
    """A feature set on an object store, and the rows whose commits have returned."""

    def __init__(self) -> None:
        self.root = f"memory://{uuid.uuid4().hex}"
        self.committed: set[bytes] = set()
        self._known: dict[str, set[bytes]] = {}

    def open(self) -> FeatureSet:
        return FeatureStore(self.root).feature_set("resnet50", SPEC)

    def write(self, digests: Digests, n_parts: int, run: str) -> None:
        mine = self.open()
        for part in np.array_split(digests, n_parts):
            mine.append(SPEC, part, features_of(part), {"run": run})
            self.committed |= set(as_keys(part).tolist())

    def look(self) -> None:
        """Fail if a committed row is in no shard."""
        folder = self.open().folder
        names = [name for name in list_folder(str(folder))[0] if name.startswith("part-")]
        for name in names:
            if name not in self._known:
                digests = read_digests(ObjectPath(f"{folder}/{name}"), SPEC.fingerprint)
                self._known[name] = set(as_keys(digests).tolist())
        there = set[bytes]().union(*(self._known[name] for name in names))
        assert self.committed <= there


def test_compactions_beside_writers(turns: Turns) -> None:
    watched, digests = Watched(), make_digests(50)
    watched.write(digests[:20], 5, "before")

    def write_twice() -> None:  # as two writers of the same images: the same rows have the same names
        watched.write(digests[20:40], 4, "same")

    n = turns.run(
        [
            lambda: compact(watched.open()),
            lambda: [compact(watched.open()) for _ in range(2)],
            write_twice,
            write_twice,
            lambda: watched.write(digests[10:50], 4, "other"),
        ],
        watched.look,
    )
    assert n > 60
    assert len(watched.committed) == 50
    compact(watched.open())
    np.testing.assert_array_equal(watched.open().load(digests), features_of(digests))


def test_rows_that_nobody_lists_are_dropped_beside_a_writer_of_others(turns: Turns) -> None:
    watched, digests = Watched(), make_digests(40)
    watched.write(digests[:30], 6, "before")
    unused = digests[:10]
    watched.committed -= set(as_keys(unused).tolist())
    turns.run(
        [
            lambda: compact(watched.open(), drop=unused),
            lambda: compact(watched.open()),
            lambda: watched.write(digests[30:], 4, "after"),
        ],
        watched.look,
    )
    np.testing.assert_array_equal(watched.open().load(digests[10:]), features_of(digests[10:]))


def test_a_reader_beside_compactions_finds_every_row_once_it_is_committed(turns: Turns) -> None:
    watched, digests = Watched(), make_digests(30)
    watched.write(digests, 6, "before")

    def read() -> None:
        for _ in range(3):
            np.testing.assert_array_equal(watched.open().load(digests), features_of(digests))

    turns.run([read, read, lambda: compact(watched.open()), lambda: compact(watched.open())], watched.look)
