"""`extract --ray` over nodes that have addresses of their own, one of which loses its link in the middle of the run.

Network namespaces stand for machines: the head with the command on one, two nodes of a core each on two others, joined
by a bridge. Once a shard is there, one node's link is cut: its processes live on, and nobody reaches them. Told are how
long it took until its images went to others, and whether all rows are, byte for byte, those of a run without Ray.

Every round runs in a process namespace of its own, whose first process the system ends when this script ends, however
that comes about, and all others with it. Files are in a temporary folder, which outlives a ``kill -9`` alone. Where
namespaces are not allowed (it needs root), this is said, and the script ends with 0.
``python bench/ray_addresses.py [--quick] [--images N] [--rounds N] [--json FILE]``. With ``--quick`` the head of the
cluster counts a node as dead after some seconds, and not after Ray's usual minute. It exits 1 if a row differs or is
lost, if a run takes too long, or if the cut befell no worker, so that nothing was tried.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path

import numpy as np
from PIL import Image

from machine import arguments, report
from stackbone.cache import FeatureStore
from stackbone.cache.text import counted

ROOT = Path(__file__).resolve().parents[1]
BACKBONE = "efficientnet_lite0"
HEAD, NODES, PORT = "10.77.0.1", ("10.77.0.2", "10.77.0.3"), 6379
APART = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_INSIDE = "STACKBONE_BENCH_INSIDE"
_QUICK_HEALTH = {"period_ms": 1000, "timeout_ms": 3000, "failure_threshold": 3}
_LISTEN_SECONDS = 5.0  # for the last lines of a program that has ended
_STORE_BYTES = 100 << 20
_MOST_SECONDS = 200.0  # of a round, all together
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class Found:
    """What a run came to: seconds since the link was cut, and rows.

    `noticed_s` is None where no worker was missed: the cut came too late.
    """

    images: int
    noticed_s: float | None
    ended_s: float
    rows: int
    rows_that_differ: int
    doubles: int
    failed: int


def may_be_apart() -> bool:
    """Return whether this machine lets this process make namespaces, and has the programs for it."""
    if not all(shutil.which(name) for name in ("unshare", "nsenter", "ip")):
        return False
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


def run(*command: str) -> None:
    """Run a program to its end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def make_photos(folder: Path, n: int) -> None:
    """Write n small JPEG files, each of its own."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(n):
        small = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(small).resize((240, 240), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpg")


def command(photos: Path, cache: Path, *options: str) -> list[str]:
    """Return `extract` with these options."""
    return [sys.executable, "cli.py", "extract", str(photos), "--backbones", BACKBONE, "--cache", str(cache), *options]


def rows_of(cache: Path) -> tuple[dict[bytes, bytes], int]:
    """Return rows by digest, and how many are there twice."""
    (feature_set,) = FeatureStore(cache).feature_sets()
    every = feature_set.digests()
    digests = np.unique(every, axis=0)
    rows = feature_set.load(digests)
    return {key.tobytes(): row.tobytes() for key, row in zip(digests, rows, strict=True)}, len(every) - len(digests)


def make_switch() -> None:
    """Give this namespace the head's address on a bridge."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "switch", "type", "bridge")
    run("ip", "addr", "add", f"{HEAD}/24", "dev", "switch")
    run("ip", "link", "set", "switch", "up")


def start_machine(number: int, address: str) -> tuple[str, ...]:
    """Make a namespace with this address, joined to the bridge; return what a command in it begins with."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    inside = ("nsenter", "--net", "--target", str(holder.pid))
    while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    run("ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    run("ip", "link", "set", f"port{number}", "master", "switch", "up")
    for words in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", "eth0")):
        run(*inside, "ip", *words)
    run(*inside, "ip", "link", "set", "eth0", "up")
    return inside


def start_ray(inside: tuple[str, ...], address: str, until: float, *options: str) -> None:
    """Start a node of the cluster, which lives as long as this namespace, and wait until it is there."""
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address", address]
    words += ["--object-store-memory", str(_STORE_BYTES), *options]
    log = Path(os.environ["RAY_TMPDIR"]) / f"{address}.log"
    with log.open("w") as told:
        node = subprocess.Popen([*inside, *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    while "Ray runtime started" not in (said := log.read_text()):
        if node.poll() is not None or time.monotonic() > until:
            message = f"the node {address} did not start: {said[-2000:]}"
            raise RuntimeError(message)
        time.sleep(0.2)


def measure(folder: Path, n: int) -> Found:
    """Run `extract` with and without a cluster, cut a link, and compare; all in `_MOST_SECONDS`."""
    until = time.monotonic() + _MOST_SECONDS
    photos, cache, expected = folder / "photos", folder / "features", folder / "expected"
    make_photos(photos, n)
    left = until - time.monotonic()
    subprocess.run(command(photos, expected), cwd=ROOT, capture_output=True, check=True, timeout=left)
    make_switch()
    start_ray((), HEAD, until, "--head", "--port", str(PORT), "--num-cpus", "0", "--include-dashboard", "false")
    machines = [start_machine(number, address) for number, address in enumerate(NODES)]
    for inside, address in zip(machines, NODES, strict=True):
        start_ray(inside, address, until, "--address", f"{HEAD}:{PORT}", "--num-cpus", "1")
    extracting = subprocess.Popen(
        command(photos, cache, "--ray", f"{HEAD}:{PORT}"),
        cwd=ROOT,
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
    )
    late = threading.Timer(max(0.0, until - time.monotonic()), extracting.kill)
    late.daemon = True
    late.start()
    noticed: list[float] = []
    # What the program started may hold its standard error after it ended: nobody waits for that.
    listening = threading.Thread(target=_listen, args=(extracting, noticed), daemon=True)
    listening.start()
    while not [*cache.glob("*/part-*.h5")] and extracting.poll() is None:
        time.sleep(0.05)
    run("ip", "link", "set", "port0", "down")
    cut = time.monotonic()
    extracting.wait()
    late.cancel()
    ended = time.monotonic() - cut
    listening.join(_LISTEN_SECONDS)
    if extracting.returncode:
        message = f"extract ended with {extracting.returncode} after {ended:.0f} s, of {_MOST_SECONDS:.0f} for all"
        raise RuntimeError(message)
    (found, doubles), (right, _) = rows_of(cache), rows_of(expected)
    differing = sum(found.get(key) != row for key, row in right.items()) + len(found.keys() - right.keys())
    failed = int((FeatureStore(cache).dataset().ok == 0).sum())
    return Found(n, noticed[0] - cut if noticed else None, ended, len(found), differing, doubles, failed)


def _listen(extracting: subprocess.Popen[str], noticed: list[float]) -> None:
    for line in extracting.stderr or ():
        print(line, end="", file=sys.stderr)
        if "a worker of the cluster ended" in line:
            noticed.append(time.monotonic())


def end_with_parent() -> None:
    """Let the system end this process when the one that started it ends, even by ``kill -9``."""
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def measure_apart(n: int, *, quick: bool) -> Found | None:
    """Measure once in namespaces, and return what was found; None if that failed, which is told."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        environment = {**os.environ, _INSIDE: folder, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        environment["RAY_raylet_start_wait_time_s"] = f"{_MOST_SECONDS:.0f}"  # on a machine that is busy
        if quick:
            environment |= {f"RAY_health_check_{name}": str(value) for name, value in _QUICK_HEALTH.items()}
        told = Path(folder) / "found.json"
        words = [*APART, sys.executable, __file__, "--images", str(n), "--json", str(told)]
        subprocess.run(words, env=environment, check=False, preexec_fn=end_with_parent)
        return Found(**json.loads(told.read_text())) if told.exists() else None


def main() -> int:
    """Measure and print; return 1 as above."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--images", type=int)
    parser.add_argument("--rounds", type=int, help="how often [default: 3, or 1 with --quick]")
    options = parser.parse_args()
    n = options.images or (400 if options.quick else 1200)
    if _INSIDE in os.environ:
        options.json.write_text(json.dumps(asdict(measure(Path(os.environ[_INSIDE]), n))))
        return 0
    if not may_be_apart():
        print("not tried: this machine lets this user make no namespaces", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the folder is removed
    rounds = [measure_apart(n, quick=options.quick) for _ in range(options.rounds or (1 if options.quick else 3))]
    found = [each for each in rounds if each]
    header = ["images", "until its images went to others, s", "until the end, s", "rows", "differ", "twice", "failed"]
    every = [[value for value in map(attrgetter(each.name), found) if value is not None] for each in fields(Found)]
    cells = [_cell(values) for values in every]
    figures = [asdict(each) for each in found]
    title = f"Two nodes with addresses of their own, the link of one cut: medians of {counted(len(found), 'round')}"
    report(title, header, [cells], figures, options.json)
    return 0 if found and len(found) == len(rounds) and all(map(_is_well, found)) else 1


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    median = statistics.median(values)
    return f"{median:.1f}" if isinstance(values[0], float) else f"{median:,.0f}"


def _is_well(found: Found) -> bool:
    is_whole = found.rows == found.images and not found.rows_that_differ and not found.failed
    return is_whole and found.noticed_s is not None


if __name__ == "__main__":
    sys.exit(main())
