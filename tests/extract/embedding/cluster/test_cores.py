"""Workers of one machine have cores of their own, in all of their threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stackbone.extract.embedding.cluster.cores import share_of_cores

CORES = [0, 1, 2, 3, 8, 9, 10, 11]

BINDING = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
from stackbone.extract.embedding.cluster.cores import bind_to_cores

with ThreadPoolExecutor(4) as pool:
    barrier = threading.Barrier(4)
    list(pool.map(lambda _: barrier.wait(), range(4)))  # four threads that are there before
    bind_to_cores(1, 1)
    seen = {tuple(os.sched_getaffinity(int(each))) for each in os.listdir("/proc/self/task")}
    with ThreadPoolExecutor(1) as later:
        seen |= set(later.map(lambda _: tuple(os.sched_getaffinity(0)), range(1)))
print(*[core for cores in seen for core in cores])
"""


def test_shares_are_disjoint_and_use_every_core() -> None:
    shares = [share_of_cores(CORES, 2, slot) for slot in range(4)]
    assert shares == [[0, 1], [2, 3], [8, 9], [10, 11]]


def test_a_machine_with_fewer_cores_than_ray_was_told_shares_them() -> None:
    assert share_of_cores(CORES, 16, 0) == CORES
    assert share_of_cores(CORES, 3, 3) == [1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no threads")
def test_threads_that_are_there_and_those_that_come_are_bound() -> None:
    done = subprocess.run([sys.executable, "-c", BINDING], capture_output=True, text=True, check=True)
    cores = sorted(os.sched_getaffinity(0))
    assert done.stdout.split() == [str(cores[1 % len(cores)])]
