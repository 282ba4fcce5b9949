"""A cluster that is not there is said in a line, within ten seconds; one of our own leaves no process."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from stackbone.cache.cluster import joining
from stackbone.cache.cluster.joining import check_ray, joined
from stackbone.cache.errors import ClusterError, UsageError
from tests.made.checkout import ROOT

# The processes that watch over a stand-in of Ray are those that tests of a real one look for.
pytestmark = [pytest.mark.timeout(280, func_only=True), pytest.mark.usefixtures("ray_for_itself")]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"--ray auto needs Ray, .* Run `pip install 'stackbone\[ray\]'`"):
        check_ray("auto")


@pytest.mark.parametrize(
    "address", ["", "head", "head:port", "ray://head:10001", "http://head:6379", "a b:1", "head:123456"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="is no address of a cluster: give HOST:PORT"):
        check_ray(address)


@pytest.mark.parametrize("address", ["auto", "local", "10.0.0.1:6379", "head.example:6379", "[::1]:6379"])
def test_addresses(address: str) -> None:
    pytest.importorskip("ray")
    check_ray(address)


def _refusal(address: str) -> tuple[str, float]:
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught, joined(address):
        pass
    return str(caught.value), time.monotonic() - began


def test_a_closed_port_is_said_at_once() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said, seconds = _refusal(f"127.0.0.1:{port}")
    assert said.startswith(f"no Ray cluster answers at 127.0.0.1:{port}")
    assert "\n" not in said
    assert seconds < 5


def test_a_head_that_is_silent_is_given_up_within_ten_seconds(silent_port: int) -> None:
    pytest.importorskip("ray")
    said, seconds = _refusal(f"127.0.0.1:{silent_port}")
    assert f"no Ray cluster answers at 127.0.0.1:{silent_port}" in said
    assert seconds < 10


def test_a_machine_in_no_cluster_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert joining._own_place() is None
    monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
    assert joining._own_place() == "10.1.2.3:6379"
    for none in ("local", "auto", ""):
        monkeypatch.setenv("RAY_ADDRESS", none)
        assert joining._own_place() is None


def test_it_is_known_before_whether_a_cluster_would_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert [joining.starts_own(each) for each in ("local", "auto", "10.1.2.3:6379")] == [True, True, False]
    with socket.create_server(("127.0.0.1", 0)) as server:
        noted = tmp_path / "ray" / "ray_current_cluster"
        noted.parent.mkdir()
        noted.write_text(f"127.0.0.1:{server.getsockname()[1]}\n")
        assert [joining.starts_own(each) for each in ("local", "auto")] == [True, False]
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert not joining.starts_own("local")  # the caller's is used


FAKE_RAY = """
import os, subprocess, sys, time

def init(**options):
    sleep = "import sys, time; time.sleep(120)"
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], start_new_session=True)"
    for started in ([sleep], [parent, sleep]):  # a child, and an orphan
        subprocess.Popen([sys.executable, "-c", *started, os.environ["MARK"]], start_new_session=True).poll()
    time.sleep(float(os.environ["INIT_SECONDS"]))

def shutdown():
    time.sleep(float(os.environ["SHUTDOWN_SECONDS"]))

class get_runtime_context:
    gcs_address = "127.0.0.1:6379"

def is_initialized():
    return False
"""


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a Ray that takes its time in the place of the real one, and return what its processes are known by."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("this system does not tell whose children processes are")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text(FAKE_RAY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MARK", str(tmp_path))
    monkeypatch.setenv("INIT_SECONDS", "0")
    monkeypatch.setenv("SHUTDOWN_SECONDS", "0")
    return str(tmp_path)


def processes(mark: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes().decode(errors="replace").split("\0")
            if mark in words[1:] and file.parent.name != str(os.getpid()):
                found.append(f"{file.parent.name}: {words}")
    return found


def wait_for_processes(mark: str, n: int) -> None:
    until = time.monotonic() + 10
    while len(processes(mark)) != n:
        assert time.monotonic() < until, processes(mark)
        time.sleep(0.05)


def test_a_cluster_of_our_own_leaves_no_process(marked: str) -> None:
    with joining._started(None) as place:
        assert place == "127.0.0.1:6379"
        wait_for_processes(marked, 2)
    assert processes(marked) == []


def test_a_cluster_that_hangs_as_it_starts_leaves_no_process(marked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INIT_SECONDS", "60")
    monkeypatch.setattr(joining, "_START_SECONDS", 2.0)
    with pytest.raises(ClusterError, match="it did not start within 2 s"), joining._started(None):
        pass
    assert processes(marked) == []


def test_a_cluster_that_hangs_as_it_ends_leaves_no_process(marked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTDOWN_SECONDS", "60")
    with joining._started(None):
        wait_for_processes(marked, 2)
    assert processes(marked) == []


@pytest.mark.parametrize("seconds", ["0", "60"])
def test_a_run_that_is_killed_leaves_no_process(marked: str, monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    """Also where its cluster is just starting."""
    monkeypatch.setenv("INIT_SECONDS", seconds)
    code = "from stackbone.cache.cluster import joining\nwith joining._started(None): input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT) as run:
        wait_for_processes(marked, 2)
        run.kill()
    wait_for_processes(marked, 0)


FAKE_HEALTH_CHECK = """
import os, sys, time

with open(os.environ["ASKED"], "a") as asked:
    asked.write(os.environ["RAY_AUTH_MODE"] + " ")
time.sleep(float(os.environ["HEALTH_SECONDS"]))
sys.exit(0 if os.environ["RAY_AUTH_MODE"] in os.environ["ADMITTED"].split() else 1)
"""


@pytest.mark.parametrize(
    ("admitted", "seconds", "asked", "said"),
    [
        ("disabled", 0, "disabled", None),
        ("disabled", 6, "disabled", None),  # a busy machine
        ("token", 0, "disabled token", None),
        ("", 0, "disabled token", "wants another token"),
        ("token", 60, "disabled", "did not answer within"),
    ],
)
def test_a_head_is_asked_once_unless_it_refuses(
    marked: str, monkeypatch: pytest.MonkeyPatch, admitted: str, seconds: int, asked: str, said: str | None
) -> None:
    (Path(marked) / "ray" / "scripts").mkdir()
    (Path(marked) / "ray" / "scripts" / "__init__.py").touch()
    (Path(marked) / "ray" / "scripts" / "scripts.py").write_text(FAKE_HEALTH_CHECK)
    monkeypatch.setenv("RAY_AUTH_MODE", "")  # so that what is set later is undone
    monkeypatch.delenv("RAY_AUTH_MODE")
    file = Path(marked) / "asked"
    for name, text in {"ASKED": file, "HEALTH_SECONDS": seconds, "ADMITTED": admitted}.items():
        monkeypatch.setenv(name, str(text))
    began = time.monotonic()
    found = joining._check_health("127.0.0.1:6379", began + (3.0 if seconds == 60 else joining._ANSWER_SECONDS))
    assert time.monotonic() - began < 10
    assert file.read_text().split() == asked.split()
    assert (found is None) is (said is None)
    assert (said or "") in (found or "")
    assert os.environ.get("RAY_AUTH_MODE") == (None if said else admitted)


NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "PYTHONBREAKPOINT")


def environment() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in NAMES}


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_what_ray_is_told_ends_with_the_run(
    marked: str, monkeypatch: pytest.MonkeyPatch, mode: str | None, silent_port: int
) -> None:
    """The next run may join another cluster, without a token or with its own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    before, seen = environment(), []
    fake = ModuleType("ray")

    def init(**_: object) -> None:
        seen.append(environment())
        os.environ["PYTHONBREAKPOINT"] = "of.ray"

    fake.__dict__.update(is_initialized=lambda: False, shutdown=lambda: None, init=init)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(joining, "check_ray", lambda _: None)
    with joined("local") as ray:
        assert ray is fake
    assert seen[0]["RAY_AUTH_MODE"] == (mode or "token")
    assert len(seen[0]["RAY_AUTH_TOKEN"] or "") == 64
    assert seen[0]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment() == before
    monkeypatch.setattr(joining, "_check_health", lambda *_: os.environ.setdefault("RAY_AUTH_MODE", "token") and None)
    with joined(f"127.0.0.1:{silent_port}"):
        pass
    assert environment() == before
    assert processes(marked) == []
