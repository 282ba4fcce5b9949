"""Caches on an object store whose server fails: a real S3 server behind a proxy that fails as told.

As in `cache_faults`, every row follows from its digest. Each trial writes a cache while requests fail, looks at what a
reader gets meanwhile, and then does what a user would once the server is well: run again, verify, compact.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cache_faults import Outcome, check
from cache_processes import SPEC, digests_of, features_of, open_set
from stackbone.cache import FeatureStore, StackboneError
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the server is that of the tests

from tests.made.servers import BUCKET, Faults, as_endpoint, faulty_proxy, s3_server

N_ROWS, ROWS_A_COMMIT = 32, 8
_SHARE = 0.3  # of requests that fail, by chance
_OUTAGE = "outage"
KINDS = ("busy", "error", "reset", "lost", "half answer", "half upload", _OUTAGE)
_SAID = {
    "busy": "503 SlowDown",
    "error": "500",
    "reset": "connection cut before the answer",
    "lost": "connection cut after the work was done",
    "half answer": "answer cut within",
    "half upload": "upload cut within",
    _OUTAGE: "no answer from some request on",
}


def break_object_stores(trials: range, seed: int) -> list[Outcome]:
    """Return the outcome of every kind of fault, each tried with these numbers."""
    from stackbone.cache.remote import failures

    failures._FIRST_WAIT_S, failures._LONGEST_WAIT_S = 0.002, 0.01  # nobody is there to be left in peace
    outcomes = []
    with s3_server() as address:
        faults = Faults()
        with faulty_proxy(address, faults) as proxy, as_endpoint(proxy):
            for place, kind in enumerate(KINDS):
                outcome = Outcome(f"object store: {_SAID[kind]}")
                for trial in trials:
                    rng = np.random.default_rng([seed, place, trial])
                    _try(outcome, kind, f"s3://{BUCKET}/{place}-{trial}/features", faults, rng)
                outcomes.append(outcome)
    return outcomes


def _try(outcome: Outcome, kind: str, cache: str, faults: Faults, rng: np.random.Generator) -> None:
    faults.met.clear()
    faults.choose = _chooser(kind, rng)
    committed, told = _write(cache)
    try:
        here = digests_of(range(N_ROWS))[: len(committed)]
        wrong = (open_set(cache).load(here) != features_of(here)).any() if len(committed) else False
        outcome.silently_wrong += int(wrong)
    except StackboneError:
        told = True
    faults.choose = lambda method, path: None
    kept = check(outcome, cache, committed)
    again, _ = _write(cache)
    feature_set = open_set(cache)
    sound = not verify(FeatureStore(cache)).findings
    compact(feature_set)
    outcome.tried += 1
    outcome.detected += told or bool(faults.met)
    outcome.survived += kept and sound and len(again) == N_ROWS and check(outcome, cache, range(N_ROWS))


def _chooser(kind: str, rng: np.random.Generator) -> Callable[[str, str], str | None]:
    if kind != _OUTAGE:
        return lambda method, path: kind if rng.random() < _SHARE else None
    left = [int(rng.integers(1, 20))]

    def choose(_method: str, _path: str) -> str | None:
        left[0] -= 1
        return "reset" if left[0] < 0 else None

    return choose


def _write(cache: str) -> tuple[range, bool]:
    """Commit what is missing; return the rows whose commits returned, from the first on, and whether an error said so.

    What is found in the cache counts as committed.
    """
    done = 0
    try:
        feature_set = open_set(cache)
        digests = digests_of(range(N_ROWS))
        missing = feature_set.missing(digests)
        for start in range(0, N_ROWS, ROWS_A_COMMIT):
            rows = np.arange(start, start + ROWS_A_COMMIT)[missing[start : start + ROWS_A_COMMIT]]
            if len(rows):
                feature_set.append(SPEC, digests[rows], features_of(digests[rows]), {})
            done = start + ROWS_A_COMMIT
    except StackboneError:
        return range(done), True
    return range(done), False
