"""The nodes that the bench of a cluster's faults starts end with it, even if they hang."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import ray_faults

HANGS = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "open(sys.argv[1], 'w').write(str(child.pid))\n"
)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where nodes that stand in for Ray's leave the number of a process that they start."""
    monkeypatch.setattr(ray_faults, "_MOST_SECONDS", 3.0)
    monkeypatch.setattr(ray_faults, "_END_SECONDS", 0.2)
    monkeypatch.setattr(ray_faults, "joined", lambda _address: nullcontext())
    return tmp_path / "child"


def is_alive(children: Path) -> bool:
    stat = Path(f"/proc/{children.read_text()}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(children: Path) -> None:
    until = time.monotonic() + 20
    while is_alive(children):
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the system's list of processes")
@pytest.mark.parametrize("ending", ["time.sleep(60)", "sys.stdout.close(); time.sleep(60)", "sys.exit(1)"])
def test_nodes_that_do_not_start_end_the_bench_and_nothing_of_them_stays(
    monkeypatch: pytest.MonkeyPatch, children: Path, ending: str
) -> None:
    monkeypatch.setattr(ray_faults, "_NODES", (sys.executable, "-c", HANGS + ending, str(children)))
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="did not answer within 3 s"), ray_faults._cluster():
        pass
    assert time.monotonic() - started < 30
    wait_until_gone(children)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the system's list of processes")
def test_nodes_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch, children: Path) -> None:
    answers = HANGS + "print('address', flush=True); time.sleep(60)"
    monkeypatch.setattr(ray_faults, "_NODES", (sys.executable, "-c", answers, str(children)))
    with ray_faults._cluster() as cluster:
        assert cluster.address == "address"
        assert is_alive(children)
    wait_until_gone(children)
