"""The fault bench, in small: nothing lost, nothing silently wrong, no traceback and no hang."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made.checkout import ROOT


@pytest.mark.slow
def test_no_fault_loses_a_row_or_gives_a_wrong_one(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-W", "error", "bench/faults.py", "--quick", "--no-mount", "--dir", str(tmp_path)]
    command += ["--only", "caches,objects,files"]
    run = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(figures.read_text())["figures"]
    outcomes = found["caches"]
    named = [each["fault"] for each in outcomes]
    assert named[:6] == [
        "SIGKILL while writing",
        "SIGKILL while compacting",
        "bit flip",
        "truncation",
        "4 writers at once",
        "full disk",
    ]
    assert all(name.startswith("object store: ") for name in named[6:])  # where such a server is installed
    for outcome in outcomes:
        assert outcome["survived"] == outcome["tried"] > 1
        assert outcome["silently_wrong"] == outcome["rows_lost"] == 0
    for outcome in outcomes[2], outcomes[3], outcomes[5]:
        assert outcome["detected"] == outcome["tried"]
    for kind in found["files"]:
        assert kind["tried"] == sum(kind["counts"].values()) > 0
        assert not any(kind["counts"][name] for name in ("silent", "traceback", "hang"))
    assert {kind["kind"].partition(",")[0] for kind in found["files"]} == {
        *("shard", "index", "seen", "scores", "model", "steering", "checkpoint", "result", "graph", "table")
    }
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.slow
@pytest.mark.timeout(280, func_only=True)
@pytest.mark.usefixtures("ray_for_itself")
def test_no_fault_of_a_cluster_loses_a_row_or_gives_a_wrong_one(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the ray extra brings it")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "bench/faults.py", "--quick", "--only", "ray", "--dir", str(tmp_path)]
    run = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, timeout=270, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    outcomes = json.loads(figures.read_text())["figures"]["caches"]
    assert len(outcomes) >= 7
    for outcome in outcomes:
        assert outcome["fault"].startswith("Ray: ")
        assert outcome["survived"] == outcome["tried"] == 1
        assert outcome["silently_wrong"] == outcome["rows_lost"] == 0
    for outcome in outcomes[3:]:  # what workers do to themselves always comes before the end
        assert outcome["detected"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
