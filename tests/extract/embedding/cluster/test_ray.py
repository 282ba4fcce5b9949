"""A real Ray: nodes that come and are killed cost nothing, rows are those of one machine, and no process is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from tests.made.checkout import ROOT

pytest.importorskip("ray", reason="the ray extra brings it")
psutil = pytest.importorskip("psutil", reason="Ray's tools for processes")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280, func_only=True), pytest.mark.usefixtures("ray_for_itself")]

BACKBONE = "efficientnet_lite0"
N_IMAGES = 260


@pytest.fixture(scope="module")
def photos(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in two folders, one damaged."""
    folder = tmp_path_factory.mktemp("photos") / "clothes"
    for number, file in enumerate(sorted((shared_data / "data" / "clothing-small").rglob("*.jpg"))[:N_IMAGES]):
        place = folder / ("even", "odd")[number % 2] / f"{number:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    (folder / "odd" / "007.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    """Rows of one run on this machine."""
    cache = tmp_path_factory.mktemp("one") / "features"
    done = subprocess.run(command(photos, cache), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "1 of 260 images failed" in done.stdout
    return rows_of(cache)


def command(photos: Path, cache: Path, *options: str) -> list[str]:
    words = ["extract", str(photos), "--backbones", BACKBONE, "--cache", str(cache), *options]
    return [sys.executable, "cli.py", *words]


def rows_of(cache: Path) -> dict[bytes, bytes]:
    (feature_set,) = FeatureStore(cache).feature_sets()
    digests = np.unique(feature_set.digests(), axis=0)
    return {key.tobytes(): row.tobytes() for key, row in zip(digests, feature_set.load(digests), strict=True)}


def ray_processes() -> set[int]:
    """Return all processes of Ray on this machine that work for this checkout, whose folder they inherit."""
    found = set()
    for each in psutil.process_iter(["name", "cmdline", "cwd"]):
        if each.info["cwd"] != str(ROOT):  # of another program, which starts and ends its own as it likes
            continue
        words = " ".join(each.info["cmdline"] or [])
        ours = "cluster/guard.py" in words or "cluster/own_cluster.py" in words
        if each.info["name"] in ("raylet", "gcs_server") or words.startswith("ray::") or ours:
            found.add(each.pid)
    return found


def wait_for(is_so: Callable[[], object], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def nodes() -> Iterator[subprocess.Popen[str]]:
    """Return a cluster of a head and two nodes, that takes lines; see `tests.made.ray_nodes`."""
    script = [sys.executable, "-m", "tests.made.ray_nodes"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(script, cwd=ROOT, text=True, env=environment, **pipes) as made:  # type: ignore[call-overload]
        yield made
        made.stdin.close()
        made.wait(60)


def ask(nodes: subprocess.Popen[str], line: str) -> str:
    assert nodes.stdin
    assert nodes.stdout
    nodes.stdin.write(f"{line}\n")
    nodes.stdin.flush()
    return nodes.stdout.readline().strip()


def test_a_node_killed_and_a_node_added_in_the_middle_change_no_row(
    photos: Path, expected: dict[bytes, bytes], nodes: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert nodes.stdout
    address = nodes.stdout.readline().strip()
    assert address
    cache = tmp_path / "features"
    run = subprocess.Popen(
        command(photos, cache, "--ray", address), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert wait_for(lambda: [*cache.glob(f"{BACKBONE}*/part-*.h5")], 120), run.communicate(timeout=5)
    assert ask(nodes, "kill") == "1"
    assert ask(nodes, "add") == "2"
    printed, told = run.communicate(timeout=200)
    assert run.returncode == 0, told
    assert "raylet" not in printed  # Ray would print there what its log says of the node
    assert rows_of(cache) == expected
    assert "1 of 260 images failed" in printed
    index = FeatureStore(cache).dataset()
    assert index.reason[index.path.index("odd/007.jpg")]


def test_with_nothing_to_embed_no_cluster_is_started(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "features"
    subprocess.run(command(photos, cache), cwd=ROOT, capture_output=True, check=True)
    again = subprocess.run(
        command(photos, cache, "--ray", "local"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "nothing to compute" in again.stdout
    assert float(again.stdout.rpartition("(")[2].split()[0]) < 3  # Ray takes longer to start


def test_an_address_without_cluster_is_told_before_any_file_is_read(photos: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        command(photos, tmp_path / "features", "--ray", "127.0.0.1:1"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - began < 10
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Ray cluster answers at 127.0.0.1:1")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("how", ["end", "SIGINT", "SIGKILL"])
def test_no_process_is_left_however_a_run_ends(
    photos: Path, expected: dict[bytes, bytes], tmp_path: Path, how: str
) -> None:
    before = ray_processes()
    cache = tmp_path / "features"
    run = subprocess.Popen(
        command(photos, cache, "--ray", "local"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # where these tests run in a background
    )
    if how == "end":
        _, told = run.communicate(timeout=200)
        assert run.returncode == 0, told
        assert ray_processes() <= before  # at once: the run waits for them
        assert rows_of(cache) == expected
        return
    assert wait_for(lambda: [*cache.glob(f"{BACKBONE}*/part-*.h5")], 120), run.communicate(timeout=5)
    assert ray_processes() - before
    for _ in range(20):
        run.send_signal(signal.Signals[how])  # again, as people do: Ray loses an interrupt that meets its own callbacks
        with suppress(subprocess.TimeoutExpired):
            _, told = run.communicate(timeout=3)
            break
    else:
        pytest.fail("the run goes on")
    assert run.returncode == {"SIGINT": 130, "SIGKILL": -9}[how], told
    assert wait_for(lambda: ray_processes() <= before, 15), [psutil.Process(each) for each in ray_processes() - before]
    kept = rows_of(cache)
    assert kept
    assert all(expected[key] == row for key, row in kept.items())


def test_an_error_of_a_worker_ends_the_run_with_a_line(photos: Path, tmp_path: Path) -> None:
    """Weights that all machines see, and that are none of this network's."""
    before = ray_processes()
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"none")
    options = ["--ray", "local", "--weights", f"{BACKBONE}={weights}"]
    done = subprocess.run(
        command(photos, tmp_path / "features", *options), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert str(weights) in done.stderr
    assert "Traceback" not in done.stderr
    assert ray_processes() <= before
