"""Joining a Ray cluster, in the time that anybody waits, and leaving it again."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from stackbone.cache.cluster.environment import (
    AUTH_MODE,
    AUTH_TOKEN,
    own_environment,
    ray_silent,
    read_environment_again,
)
from stackbone.cache.disk.digest import usable_cores
from stackbone.cache.errors import ClusterError, UsageError
from stackbone.cache.text import typed

AUTO, LOCAL = "auto", "local"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\s/:@]+):(\d{1,5})")
_CONNECT_SECONDS = 3.5
_ANSWER_SECONDS = 9.0  # from the first connection on: starting Ray to ask takes seconds where a machine is busy
_START_SECONDS = 60.0
_END_SECONDS = 15.0
_CURRENT = "ray/ray_current_cluster"  # where Ray notes the cluster that a machine is in


def check_ray(address: str) -> None:
    """Raise `UsageError` if Ray is not installed, or a word is no address of a cluster."""
    if importlib.util.find_spec("ray") is None:
        message = (
            f"{typed('--ray', address)} needs Ray, which is not installed here. Run `pip install 'stackbone[ray]'`"
        )
        raise UsageError(message)
    if address not in (AUTO, LOCAL) and not _ADDRESS.fullmatch(address):
        message = (
            f"{typed('--ray', address)} is no address of a cluster: give HOST:PORT of its head, such as "
            f"--ray 10.0.0.1:6379, {AUTO} for the one that this machine is in, or {LOCAL} for this machine alone"
        )
        raise UsageError(message)


@contextmanager
def joined(address: str, *, object_store_bytes: int | None = None) -> Iterator[Any]:
    """Yield the module `ray`, connected to a cluster; afterwards no process of ours is left, nor a variable.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the cluster's head; ``auto`` for the cluster that this machine is in, or without one as
        ``local``: one of this machine alone, for as long as this lasts.
    object_store_bytes
        Memory for what such a one hands from process to process; by default what Ray takes, a third of all.

    Raises
    ------
    UsageError
        If Ray is not installed, or the address is none.
    ClusterError
        If the cluster does not answer within ten seconds, has another version of Ray or Python, or none can be started.
    """
    check_ray(address)
    if _is_joined():
        yield importlib.import_module("ray")
        return
    with ExitStack() as stack:
        stack.enter_context(own_environment())
        place = _place_of(address)
        if place is None:
            place = stack.enter_context(_started(object_store_bytes))
        else:
            _check_answers(place, address)
        read_environment_again()
        ray = importlib.import_module("ray")  # which reads once whether a token is asked for
        stack.enter_context(ray_silent())  # to the end of its shutdown, which prints what was held back
        with _own_signals():
            try:
                ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as exc:  # Ray has many errors, and none of its own for this
                reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
                message = f"the Ray cluster at {place} cannot be joined: {reason}; use its versions of Ray and Python"
                raise ClusterError(message) from exc
        stack.callback(ray.shutdown)
        yield ray


def starts_own(address: str) -> bool:
    """Return whether `joined` would start a cluster of this machine alone for an address, rather than find one."""
    return not _is_joined() and _place_of(address) is None


def _is_joined() -> bool:
    """Return whether the caller joined a cluster before."""
    return "ray" in sys.modules and bool(importlib.import_module("ray").is_initialized())


def _place_of(address: str) -> str | None:
    """Return where the cluster of an address is; None if one is to be started."""
    return _own_place() if address == AUTO else None if address == LOCAL else address


def _own_place() -> str | None:
    """Return the address of the cluster that this machine is in; None if it is in none that is alive."""
    named = os.environ.get("RAY_ADDRESS", "")
    if named not in ("", AUTO):  # which Ray takes for none
        return None if named == LOCAL else named
    noted = Path(os.environ.get("RAY_TMPDIR") or "/tmp", _CURRENT)
    try:
        place = noted.read_text().strip()
    except OSError:
        return None
    return place if _ADDRESS.fullmatch(place) and _connects(place) is None else None


def check_reachable(address: str) -> None:
    """Raise `ClusterError` if nothing listens at the address of a cluster: to be known before long work on files.

    Raises
    ------
    UsageError
        As of `check_ray`.
    """
    check_ray(address)
    if address not in (AUTO, LOCAL) and (reason := _connects(address)):
        raise ClusterError(_silent_message(address, address, reason))


def _check_answers(place: str, asked: str) -> None:
    """Raise `ClusterError` unless a cluster's head answers; Ray itself would wait for minutes."""
    until = time.monotonic() + _ANSWER_SECONDS
    reason = _connects(place) if _ADDRESS.fullmatch(place) else "that is no HOST:PORT"
    if reason := reason or _check_health(place, until):
        raise ClusterError(_silent_message(place, asked, reason))


def _silent_message(place: str, asked: str, reason: str) -> str:
    return (
        f"no Ray cluster answers at {place} (--ray {asked}): {reason}. Start it with `ray start --head`, correct "
        f"the address, or use --ray {LOCAL}"
    )


def _check_health(place: str, until: float) -> str | None:
    """Return why a cluster's head is not well, or None; if it wants a token that is here, this process will show it."""
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", place]
    modes = [os.environ[AUTH_MODE]] if AUTH_MODE in os.environ else ["disabled", "token"]
    for mode in modes:  # one after another: the second is asked only where the first was refused
        try:
            asked = subprocess.run(
                check,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, AUTH_MODE: mode},
                timeout=max(0.0, until - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer within {_ANSWER_SECONDS:.0f} s"
        if asked.returncode == 0:
            os.environ.setdefault(AUTH_MODE, mode)
            return None
    return "what listens there is no Ray cluster of this version, or wants another token (RAY_AUTH_TOKEN)"


def _connects(place: str) -> str | None:
    """Return why no connection to a place can be made; None if one can."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OverflowError:
        return f"there is no port {port}"
    except OSError as exc:
        return str(exc.strerror or exc)
    return None


@contextmanager
def _started(object_store_bytes: int | None) -> Iterator[str]:
    """Start a cluster of this machine alone, yield its address, and end it; see `cache.cluster.guard`."""
    os.environ.setdefault(AUTH_MODE, "token")
    os.environ.setdefault(AUTH_TOKEN, secrets.token_hex(32))  # nobody else on this machine gets in
    options: dict[str, int] = {"num_cpus": usable_cores()}
    if object_store_bytes:
        options["object_store_memory"] = object_store_bytes
    command = [sys.executable, str(Path(__file__).with_name("guard.py")), json.dumps(options)]
    guard = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        answer = _first_line(guard)
        if "address" not in answer:
            reason = answer.get("error", "it ended at once").splitlines()[0]
            message = f"Ray cannot be started on this machine: {reason}. Leave --ray out to work without it"
            raise ClusterError(message)
        yield answer["address"]
    finally:
        with suppress(OSError):
            if guard.stdin:
                guard.stdin.close()
        try:
            guard.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
        if guard.stdout:
            guard.stdout.close()


def _first_line(guard: subprocess.Popen[bytes]) -> dict[str, str]:
    assert guard.stdout
    ready, _, _ = select.select([guard.stdout], [], [], _START_SECONDS)
    line = guard.stdout.readline() if ready else b""
    if not ready:
        return {"error": f"it did not start within {_START_SECONDS:.0f} s"}
    try:
        answer: dict[str, str] = json.loads(line)
    except ValueError:
        return {}
    return answer


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on signals, which Ray would change."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
