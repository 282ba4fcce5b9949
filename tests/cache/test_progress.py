"""A pace is told once it means something, and then holds still between bursts of work."""

from __future__ import annotations

import re

import pytest

from stackbone.cache.progress import Pace


def work(batch: int, seconds: float, total: int) -> list[tuple[float, Pace, str, str]]:
    """Return (time, pace, its words) at each report of work that comes in batches, with nothing between them."""
    pace, now, seen = Pace(), 100.0, []
    for done in range(1, total + 1):
        now += seconds if done % batch == 0 else 0.003
        pace.report(now, done, total)
        seen.append((now - 100.0, pace, pace.rate(), pace.left()))
    return seen


@pytest.mark.parametrize(("batch", "seconds", "total"), [(64, 20.0, 640), (32, 1.2, 3000), (8, 0.1, 600), (1, 5.0, 40)])
def test_a_pace_is_right_from_the_first_time_it_is_shown(batch: int, seconds: float, total: int) -> None:
    reports = work(batch, seconds, total)
    true = total / reports[-1][0]
    shown = [(now, rate, left) for now, _, rate, left in reports if rate]
    assert all(not rate and not left for now, _, rate, left in reports if now < 2)
    for now, rate, left in shown:
        number = float(re.split("[/ ]", rate)[0])
        assert (number if rate.endswith("/s") else 1 / number) == pytest.approx(true, rel=0.1)
        if left:
            hours, minutes, rest = map(int, left.removesuffix(" left").split(":"))
            expected = (total - now * true) / true
            assert 3600 * hours + 60 * minutes + rest == pytest.approx(expected, rel=0.1, abs=seconds + 2)


def test_time_to_get_ready_does_not_count() -> None:
    pace = Pace()
    for now, done in ((60.0, 1), (62.0, 21), (64.0, 41)):
        pace.report(now, done, 1041)
    assert (pace.rate(), pace.left()) == ("10.0/s", "0:01:40 left")


def test_a_pace_that_changes_is_followed() -> None:
    pace = Pace()
    for now in range(200):
        pace.report(now, 10 * now if now < 100 else 1000 + 2 * (now - 100), 10_000)
    assert pace.per_second == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("steps", "rate", "left"),
    [
        ([], "", ""),
        ([(0, 0)], "", ""),
        ([(0, 0), (100, 0)], "", ""),
        ([(0, 0), (100, 2)], "", ""),
        ([(0, 0), (2, 1000)], "", ""),
        ([(0, 0), (1000, 4)], "250.0 s each", "6:40:00 left"),
        ([(0, 0), (10, 100)], "10.0/s", ""),
        ([(0, 0), (10, 90), (10.5, 100)], "9.0/s", ""),
        ([(0, 0), (10, 60), (10.2, 80), (10.4, 100)], "6.0/s", ""),
        ([(0, 0), (10, 60), (10.2, 99)], "6.0/s", "0:00:07 left"),
    ],
)
def test_nothing_is_said_that_is_not_known(steps: list[tuple[float, int]], rate: str, left: str) -> None:
    pace = Pace()
    for now, done in steps:
        pace.report(now, done, 100)
    assert (pace.rate(), pace.left()) == (rate, left)


@pytest.mark.parametrize("n_before", [1, 40, 500])
def test_work_of_the_same_name_that_begins_anew_has_a_pace_of_its_own(n_before: int) -> None:
    pace = Pace()
    for step in range(n_before):
        pace.report(float(step), step + 1, 500)
    anew = [(1000.0 + step, step) for step in range(30)]  # long after: the pause is no part of it
    for seconds, done in anew:
        pace.report(seconds, done, 500)
    assert pace.rate() == "1.0/s"
    assert pace.left() == "0:07:51 left"
