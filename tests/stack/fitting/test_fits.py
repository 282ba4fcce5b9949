"""Fits run side by side on one core each, are counted as they end, and fail loudly."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stackbone.stack.fitting.fits import FitCounter, FitKey, run_fits


def blas_threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def answer(value: int) -> Callable[[], int]:
    return lambda: value


FITS: dict[FitKey, Callable[[], int]] = {("lr:a", n): answer(n * n) for n in range(7)}


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_every_fit_returns_its_own_outcome(n_jobs: int | None) -> None:
    assert run_fits(FITS, n_jobs, FitCounter(None, 7)) == {("lr:a", n): n * n for n in range(7)}


def test_no_fits_have_no_outcomes() -> None:
    assert run_fits({}, 2, FitCounter(None, 0)) == {}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_begins_at_none_and_comes_in_the_callers_thread(n_jobs: int) -> None:
    calls: list[tuple[str, int, int]] = []
    threads: set[int] = set()

    def progress(what: str, done: int, total: int) -> None:
        calls.append((what, done, total))
        threads.add(threading.get_ident())

    counter = FitCounter(progress, 9)
    assert calls == [("fitting", 0, 9)]
    run_fits(FITS, n_jobs, counter)
    run_fits({("mean", 0): answer(1), ("mean", 1): answer(2)}, n_jobs, counter)  # one count over both stages
    assert calls == [("fitting", done, 9) for done in range(10)]
    assert threads == {threading.get_ident()}


def test_fits_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)  # broken, and an error, if one had to wait for the other's end
    fits: dict[FitKey, Callable[[], int]] = {("svm:a", n): meeting.wait for n in range(2)}
    assert sorted(run_fits(fits, 2, FitCounter(None, 2)).values()) == [0, 1]


def test_one_job_runs_in_the_order_given() -> None:
    order: list[int] = []
    fits: dict[FitKey, Callable[[], None]] = {("lr:a", n): lambda n=n: order.append(n) for n in (3, 1, 2)}  # type: ignore[misc]
    run_fits(fits, 1, FitCounter(None, 3))
    assert order == [3, 1, 2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_fit_has_one_blas_thread_and_the_limit_ends_with_them(n_jobs: int) -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        found = run_fits({("lr:a", n): blas_threads for n in range(2)}, n_jobs, FitCounter(None, 2))
        assert blas_threads() == before
    assert before
    assert all(threads == 1 for each in found.values() for threads in each)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_a_fit_is_the_callers(n_jobs: int) -> None:
    def fail() -> int:
        msg = "rows do not match"
        raise ValueError(msg)

    before = blas_threads()
    with pytest.raises(ValueError, match="rows do not match"):
        run_fits({**FITS, ("svm:a", 0): fail}, n_jobs, FitCounter(None, 8))
    assert blas_threads() == before
