"""Fits on a cluster say what fits on this machine say, to the bit, and features go over once."""

from __future__ import annotations

import pickle
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from joblib._parallel_backends import ThreadingBackend
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.cache.errors import ClusterError
from stackbone.stack.fitting import on_ray, packed
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, KeptFit, run_fits
from stackbone.stack.transfer.memo import Memo
from tests.made.small_fits import LARGE, none_here, total

pytest.importorskip("ray", reason="the ray extra brings it")


class RayError(Exception):
    pass


class FullError(RayError):
    pass


EXCEPTIONS = SimpleNamespace(RayError=RayError, ObjectStoreFullError=FullError)


class StandIn:
    """What `SharedArrays` asks of Ray, in this process."""

    def __init__(self) -> None:
        import ray.cloudpickle

        self.cloudpickle = ray.cloudpickle
        self.kept: list[NDArray[Any]] = []

    def put(self, array: NDArray[Any]) -> int:
        self.kept.append(array)
        return len(self.kept) - 1

    def get(self, places: list[int]) -> list[NDArray[Any]]:
        return [self.kept[place] for place in places]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def run_there(ray: StandIn, fits: dict[on_ray.FitKey, Any]) -> list[Any]:
    shared = packed.SharedArrays(ray)
    return [pickle.loads(packed.run_packed(*shared.packed(each), 1)) for each in fits.items()]


def test_an_array_that_fits_have_in_common_goes_over_once(ray: StandIn) -> None:
    rows = LARGE.reshape(2, -1)
    fits = {("sum", number): partial(total, rows, float(number)) for number in range(4)}
    answers = run_there(ray, fits)
    assert [(key, outcome) for key, outcome, _, _ in answers] == [
        (("sum", number), float(LARGE.sum() * number)) for number in range(4)
    ]
    assert [said for _, _, said, _ in answers] == [[], [], [], ["factor 3.0"]]
    assert len(ray.kept) == 1
    np.testing.assert_array_equal(ray.kept[0], rows)


def test_views_that_differ_are_not_taken_for_each_other(ray: StandIn) -> None:
    parts = [LARGE[: 1 << 16], LARGE[1 << 16 :], LARGE[::2], LARGE.reshape(2, -1)[:, ::2]]
    answers = run_there(ray, {("sum", number): partial(np.sum, part) for number, part in enumerate(parts)})
    assert [outcome for _, outcome, _, _ in answers] == [part.sum() for part in parts]
    assert len(ray.kept) == 4


def test_an_error_comes_back_as_what_it_is(ray: StandIn) -> None:
    def refuse() -> None:
        message = "one class alone"
        raise StackError(message)

    ((_, outcome, _, error),) = run_there(ray, {("lr", 0): refuse})
    assert outcome is None
    assert isinstance(error, StackError)
    assert str(error) == "one class alone"


def test_fits_that_cannot_go_over_are_named_once_and_run_here_side_by_side(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray, "exceptions", EXCEPTIONS, raising=False)
    monkeypatch.setattr("stackbone.stack.fitting.fits.is_on_ray", lambda: True)
    monkeypatch.setattr(on_ray, "remote_call", lambda n_threads: partial(packed.run_packed, n_threads=n_threads))
    together, lock = Barrier(2), Lock()

    def locked(number: int) -> int:
        together.wait(20)  # ends only if the other runs too
        with lock:
            warnings.warn(f"number {number}", UserWarning, stacklevel=1)
            return number

    fits: dict[on_ray.FitKey, Any] = {("locked", number): partial(locked, number) for number in range(2)}
    fits["sum", 0] = partial(total, LARGE, 1.0)
    with recorded() as warned, joblib.parallel_config("threading"):
        found = run_fits(fits, 2, FitCounter(None, 3))
    assert found == {("locked", 0): 0, ("locked", 1): 1, ("sum", 0): float(LARGE.sum())}
    assert warned.by_model()["locked"][0].endswith("(2 fits)")
    (said,) = [each for each in caplog.messages if "cannot go to the cluster" in each]
    assert said.startswith("2 fits of locked cannot go to the cluster and run here: ")


def test_an_error_as_an_array_is_handed_over_is_not_taken_for_a_fit_that_cannot_go(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(_: object) -> int:
        message = "put takes one array"
        raise TypeError(message)

    monkeypatch.setattr(ray, "put", put)
    monkeypatch.setattr(ray, "exceptions", EXCEPTIONS, raising=False)
    with pytest.raises(TypeError, match="put takes one array"):
        list(on_ray.run_on_ray({("sum", 0): partial(total, LARGE, 1.0)}, None, none_here))


def test_a_cluster_that_is_full_as_features_go_over_is_told_in_a_line(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(_: object) -> int:
        message = "Failed to put object\nthe object store is full"
        raise FullError(message)

    monkeypatch.setattr(ray, "put", put)
    monkeypatch.setattr(ray, "exceptions", EXCEPTIONS, raising=False)
    with pytest.raises(
        ClusterError, match=r"could not take the features: the object store is full\. Each node.*--object-store-memory"
    ):
        list(on_ray.run_on_ray({("sum", 0): partial(total, LARGE, 1.0)}, None, none_here))


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("local", r"in common\. Leave --ray out\. Scores"),
        ("auto", r"in common\. Leave --ray out\. Scores"),  # without a cluster that this machine is in
        ("1.2.3.4:6379", r"in common\. Start .* \(`ray start --object-store-memory BYTES`\), or leave --ray out\."),
    ],
)
def test_more_room_is_asked_for_only_of_a_cluster_that_somebody_else_started(
    address: str, advice: str, ray: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def put(_: object) -> int:
        message = "the object store is full"
        raise FullError(message)

    def backend(*, is_own: bool) -> type[Any]:
        return type("Threads", (ThreadingBackend,), {"is_own": is_own})

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray, "put", put)
    for name, found in {
        "exceptions": EXCEPTIONS,
        "is_initialized": lambda: False,
        "cluster_resources": lambda: {"CPU": 1},
    }.items():
        monkeypatch.setattr(ray, name, found, raising=False)
    monkeypatch.setattr(on_ray, "joined", lambda _: nullcontext(ray))
    monkeypatch.setattr(on_ray, "_backend", backend)
    with on_ray.fits_on_ray(address), pytest.raises(ClusterError, match=advice):
        list(on_ray.run_on_ray({("sum", 0): partial(total, LARGE, 1.0)}, None, none_here))


def test_a_machine_that_has_no_stackbone_is_told(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "exceptions", EXCEPTIONS, raising=False)
    monkeypatch.setattr(on_ray, "bring_code", lambda: lambda: "the machine A cannot import stackbone")
    with pytest.raises(ClusterError, match="could not go on: the machine A cannot import stackbone"):
        list(on_ray.run_on_ray({("sum", 0): partial(total, LARGE, 1.0)}, 1, none_here))


def test_a_memo_goes_over_empty() -> None:
    memo = Memo()
    assert memo.get("a", lambda: 1) == 1
    assert pickle.loads(pickle.dumps(memo)).get("a", lambda: 2) == 2


def test_what_is_kept_is_found_here_and_the_rest_is_kept_here(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int, tuple[int, list[str]]] = {}
    fits = {
        ("lr", number): KeptFit(
            lambda number=number: 100 if number == 1 else None,  # type: ignore[misc]
            lambda number=number: number * number,  # type: ignore[misc]
            lambda outcome, said, number=number: kept.update({number: (outcome, list(said))}),  # type: ignore[misc]
        )
        for number in range(3)
    }
    sent: list[on_ray.FitKey] = []

    def there(waiting: dict[on_ray.FitKey, Any], **_: object) -> Any:  # noqa: ANN401
        sent.extend(waiting)
        return ((key, fit(), ["warned"]) for key, fit in waiting.items())

    monkeypatch.setattr("stackbone.stack.fitting.fits.is_on_ray", lambda: True)
    monkeypatch.setattr("stackbone.stack.fitting.fits.run_on_ray", there)
    found = run_fits(fits, None, FitCounter(None, 3))
    assert found == {("lr", 0): 0, ("lr", 1): 100, ("lr", 2): 4}
    assert sent == [("lr", 0), ("lr", 2)]
    assert kept == {0: (0, ["warned"]), 2: (4, ["warned"])}


def test_a_cluster_without_cores_is_refused_before_anything_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    head = {"NodeID": "head", "Alive": True, "Resources": {"memory": 1.0}}
    cluster = SimpleNamespace(cluster_resources=lambda: {"memory": 1.0}, nodes=lambda: [head])
    monkeypatch.setattr(on_ray, "joined", lambda _: nullcontext(cluster))
    with pytest.raises(
        ClusterError, match=r"has 1 node and no core \(--ray 1\.2\.3\.4:6379\), and every fit needs one"
    ):
        on_ray.fits_on_ray("1.2.3.4:6379").__enter__()
