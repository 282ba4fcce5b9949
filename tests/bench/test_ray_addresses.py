"""The bench that cuts a node's link, in small: it is noticed, and no row is lost or differs; nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray_addresses

from tests.made.checkout import ROOT


def found(**fields: object) -> ray_addresses.Found:
    values: dict[str, object] = {"images": 4, "noticed_s": 9.0, "ended_s": 9.5, "rows": 4, "rows_that_differ": 0}
    return ray_addresses.Found(**{**values, "doubles": 1, "failed": 0, **fields})  # type: ignore[arg-type]


def bench(monkeypatch: pytest.MonkeyPatch, file: Path, *rounds: ray_addresses.Found | None) -> int:
    answers = iter(rounds)
    monkeypatch.delenv("STACKBONE_BENCH_INSIDE", raising=False)
    monkeypatch.setattr(ray_addresses, "may_be_apart", lambda: True)
    monkeypatch.setattr(ray_addresses, "measure_apart", lambda *_, **__: next(answers))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["ray_addresses.py", "--rounds", str(len(rounds)), "--json", str(file)])
    return ray_addresses.main()


def test_medians_of_all_rounds_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    rounds = [found(noticed_s=seconds, ended_s=seconds + 1) for seconds in (30.0, 10.0, 20.0)]
    assert bench(monkeypatch, file, *rounds) == 0
    assert "| 4 | 20.0 | 21.0 | 4 | 0 | 1 | 0 |" in capsys.readouterr().out
    assert [each["noticed_s"] for each in json.loads(file.read_text())["figures"]] == [30.0, 10.0, 20.0]


@pytest.mark.parametrize("bad", [{"noticed_s": None}, {"rows": 3}, {"rows_that_differ": 1}, {"failed": 1}, None])
def test_a_round_that_went_wrong_or_tried_nothing_fails_the_bench(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bad: dict[str, object] | None
) -> None:
    file = tmp_path / "figures.json"
    assert bench(monkeypatch, file, found(), None if bad is None else found(**bad)) == 1
    assert "NaN" not in file.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own call")
def test_what_the_bench_starts_ends_with_it_however_that_is(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, ray_addresses\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=ray_addresses.end_with_parent)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as begun:
        assert begun.stdout
        child = Path(f"/proc/{int(begun.stdout.readline())}/stat")
        begun.kill()
        begun.wait()
    until = time.monotonic() + 20
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.02)
