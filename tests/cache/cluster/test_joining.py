"""A cluster that is not there is said in a line, within ten seconds; one of our own leaves no process."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Iterator

import pytest

from stackbone.cache.cluster import joining
from stackbone.cache.cluster.joining import check_ray, joined
from stackbone.cache.errors import ClusterError, UsageError


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
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert joining._own_place() is None
