"""Fits side by side, each on one core."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import joblib
from threadpoolctl import threadpool_limits

from stackbone.cache import usable_cores
from stackbone.cache.progress import Progress
from stackbone.stack.computing.arithmetic import HOST, chosen_arithmetic
from stackbone.stack.fitting.fit_warnings import fitting, messages
from stackbone.stack.fitting.on_ray import is_on_ray, run_on_ray
from stackbone.stack.fitting.wide_on_ray import run_wide_on_ray

FitKey = tuple[str, int]
"""Model, and number of the fold."""

Outcome = TypeVar("Outcome")
Done = tuple[FitKey, Outcome, list[str]]
"""A fit's key, its outcome, and what it was warned of."""


@dataclass(frozen=True, eq=False)
class KeptFit(Generic[Outcome]):
    """A fit whose outcome an earlier run may have kept.

    Attributes
    ----------
    find : callable
        Returns what was kept, and warns of what it was warned of; None where nothing was.
    run : callable
        Fits.
    keep : callable
        Keeps an outcome, with what it was warned of.
    """

    find: Callable[[], Outcome | None]
    run: Callable[[], Outcome]
    keep: Callable[[Outcome, Sequence[str]], None]

    def __call__(self) -> Outcome:
        """Return what was kept, or fit and keep it."""
        found = self.find()
        if found is not None:
            return found
        outcome = self.run()
        self.keep(outcome, messages())
        return outcome


class FitCounter:
    """Turns finished fits into calls of a progress callback.

    Parameters
    ----------
    progress : callable, optional
        Called with ("fitting", fits done, fits in all) in the caller's thread, first with none done.
    total : int
        Fits in all.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._report()

    def step(self) -> None:
        """Count one more."""
        self._done += 1
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress("fitting", self._done, self._total)


def run_fits(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None, counter: FitCounter
) -> dict[FitKey, Outcome]:
    """Run fits in threads that share the features, and return their outcomes.

    A fit is many small matrix products: a BLAS that spreads each over the cores loses by it, even alone,
    and by far more when several fits do so at once. So each has one core. On a GPU, whose memory one fit can fill, they
    run one after another instead. Within `fits_on_ray` they run on a cluster.

    Parameters
    ----------
    fits : mapping
        What to run, the longest first, so that no core ends with a long one alone.
    n_jobs : int, optional
        Fits at a time; all cores by default, negative numbers as in joblib.
    counter : FitCounter
        Told of each that ends.
    """
    if chosen_arithmetic() is not HOST:
        return run_alone(fits, n_jobs, counter)
    if is_on_ray():
        run = partial(run_on_ray, n_jobs=n_jobs, run_here=partial(_run_in_threads, n_jobs=n_jobs))
        return _counted(_found_or_run_there(fits, run), counter)
    return _counted(_run_in_threads(fits, n_jobs), counter)


def _counted(done: Iterator[Done[Outcome]], counter: FitCounter) -> dict[FitKey, Outcome]:
    outcomes: dict[FitKey, Outcome] = {}
    for key, outcome, _ in done:
        outcomes[key] = outcome
        counter.step()
    return outcomes


def _run_in_threads(fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None) -> Iterator[Done[Outcome]]:
    """Run fits side by side in threads, each on one core."""

    def run(key: FitKey, fit: Callable[[], Outcome]) -> Done[Outcome]:
        with fitting(*key):
            return key, fit(), messages()

    with threadpool_limits(limits=1, user_api="blas"):
        parallel = joblib.Parallel(_n_threads(n_jobs), backend="threading", return_as="generator_unordered")
        yield from parallel(joblib.delayed(run)(*item) for item in fits.items())


def _found_or_run_there(
    fits: Mapping[FitKey, Callable[[], Outcome]],
    run: Callable[[Mapping[FitKey, Callable[[], Outcome]]], Iterator[Done[Outcome]]],
) -> Iterator[Done[Outcome]]:
    """Yield each fit as it is done: those that are kept first, from here, then the others, from a cluster."""
    waiting: dict[FitKey, Callable[[], Outcome]] = {}
    for key, fit in fits.items():
        with fitting(*key):
            found = fit.find() if isinstance(fit, KeptFit) else None
            said = messages()
        if found is None:
            waiting[key] = fit.run if isinstance(fit, KeptFit) else fit
        else:
            yield key, found, said
    for key, outcome, said in run(waiting):
        kept = fits[key]
        if isinstance(kept, KeptFit):
            kept.keep(outcome, said)
        yield key, outcome, said


def run_alone(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None, counter: FitCounter
) -> dict[FitKey, Outcome]:
    """Run fits one after another, each with all cores, or with `n_jobs` of them; parameters as `run_fits`.

    Within `fits_on_ray`, unless a GPU computes, each machine of the cluster runs one at a time.
    """
    if is_on_ray() and chosen_arithmetic() is HOST:
        run = partial(run_wide_on_ray, n_jobs=n_jobs, run_here=partial(_run_one_by_one, n_jobs=n_jobs))
        return _counted(_found_or_run_there(fits, run), counter)
    return _counted(_run_one_by_one(fits, n_jobs), counter)


def _run_one_by_one(fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None) -> Iterator[Done[Outcome]]:
    with threadpool_limits(limits=_n_threads(n_jobs) if n_jobs and n_jobs > 0 else None, user_api="blas"):
        for key, fit in fits.items():
            with fitting(*key):
                outcome, said = fit(), messages()
            yield key, outcome, said


def _n_threads(n_jobs: int | None) -> int:
    """Return how many threads to start: more than a few a core only cost memory, and the system refuses thousands."""
    return -1 if n_jobs is None else min(n_jobs, 4 * usable_cores())
