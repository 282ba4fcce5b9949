"""`extract --ray` over nodes that have addresses of their own, one of which loses its link in the middle of the run.

Network namespaces stand for machines: the head with the command on one, two nodes of a core each on two others, joined
by a bridge. Once a shard is there, one node's link is cut: its processes live on, and nobody reaches them. Told are how
long it took until its images went to others, and whether all rows are, byte for byte, those of a run without Ray.

Everything runs in a process namespace of its own, so that nothing outlives this script, however it ends; files are in a
temporary folder. Where namespaces are not allowed (it needs root), this is said, and the script ends with 0.
``python bench/ray_addresses.py [--quick] [--images N] [--json FILE]``. With ``--quick`` the head of the cluster counts
a node as dead after some seconds, and not after Ray's usual minute.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from machine import arguments, report
from stackbone.cache import FeatureStore

ROOT = Path(__file__).resolve().parents[1]
BACKBONE = "efficientnet_lite0"
HEAD, NODES, PORT = "10.77.0.1", ("10.77.0.2", "10.77.0.3"), 6379
APART = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_INSIDE = "STACKBONE_BENCH_INSIDE"
_QUICK_HEALTH = {"period_ms": 1000, "timeout_ms": 3000, "failure_threshold": 3}
_STORE_BYTES = 100 << 20
_MOST_SECONDS = 200.0


@dataclass(frozen=True)
class Found:
    """What a run came to: seconds since the link was cut, and rows."""

    images: int
    noticed_s: float
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


def start_ray(inside: tuple[str, ...], address: str, *options: str) -> None:
    """Start a node of the cluster, which lives as long as this namespace, and wait until it is there."""
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address", address]
    words += ["--object-store-memory", str(_STORE_BYTES), *options]
    log = Path(os.environ["RAY_TMPDIR"]) / f"{address}.log"
    with log.open("w") as told:
        node = subprocess.Popen([*inside, *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    until = time.monotonic() + _MOST_SECONDS
    while "Ray runtime started" not in (said := log.read_text()):
        if node.poll() is not None or time.monotonic() > until:
            message = f"the node {address} did not start: {said[-2000:]}"
            raise RuntimeError(message)
        time.sleep(0.2)


def measure(folder: Path, n: int) -> Found:
    """Run `extract` with and without a cluster, cut a link, and compare."""
    photos, cache, expected = folder / "photos", folder / "features", folder / "expected"
    make_photos(photos, n)
    subprocess.run(command(photos, expected), cwd=ROOT, capture_output=True, check=True)
    make_switch()
    start_ray((), HEAD, "--head", "--port", str(PORT), "--num-cpus", "0", "--include-dashboard", "false")
    machines = [start_machine(number, address) for number, address in enumerate(NODES)]
    for inside, address in zip(machines, NODES, strict=True):
        start_ray(inside, address, "--address", f"{HEAD}:{PORT}", "--num-cpus", "1")
    extracting = subprocess.Popen(
        command(photos, cache, "--ray", f"{HEAD}:{PORT}"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    noticed: list[float] = []
    listening = threading.Thread(target=_listen, args=(extracting, noticed))
    listening.start()
    while not [*cache.glob("*/part-*.h5")] and extracting.poll() is None:
        time.sleep(0.05)
    run("ip", "link", "set", "port0", "down")
    cut = time.monotonic()
    printed = extracting.stdout.read() if extracting.stdout else ""
    extracting.wait(_MOST_SECONDS)
    listening.join()
    ended = time.monotonic() - cut
    if extracting.returncode:
        message = f"extract ended with {extracting.returncode}: {printed}"
        raise RuntimeError(message)
    (found, doubles), (right, _) = rows_of(cache), rows_of(expected)
    differing = sum(found.get(key) != row for key, row in right.items()) + len(found.keys() - right.keys())
    failed = int((FeatureStore(cache).dataset().ok == 0).sum())
    return Found(n, noticed[0] - cut if noticed else float("nan"), ended, len(found), differing, doubles, failed)


def _listen(extracting: subprocess.Popen[str], noticed: list[float]) -> None:
    for line in extracting.stderr or ():
        print(line, end="", file=sys.stderr)
        if "a worker of the cluster ended" in line:
            noticed.append(time.monotonic())


def main() -> int:
    """Measure and print; return 1 if a row differs or is lost."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--images", type=int, default=1200)
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        if not may_be_apart():
            print("not tried: this machine lets this user make no namespaces", file=sys.stderr)
            return 0
        with tempfile.TemporaryDirectory(prefix="sb-") as folder:
            environment = {**os.environ, _INSIDE: folder, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
            environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            environment["RAY_raylet_start_wait_time_s"] = f"{_MOST_SECONDS:.0f}"  # on a machine that is busy
            if options.quick:
                environment |= {f"RAY_health_check_{name}": str(value) for name, value in _QUICK_HEALTH.items()}
            return subprocess.run(
                [*APART, sys.executable, *sys.argv], cwd=Path.cwd(), env=environment, check=False
            ).returncode
    found = measure(Path(os.environ[_INSIDE]), 400 if options.quick else options.images)
    header = ["images", "until its images went to others, s", "until the end, s", "rows", "differ", "twice", "failed"]
    cells = [f"{value:.1f}" if isinstance(value, float) else f"{value:,}" for value in asdict(found).values()]
    report("Two nodes with addresses of their own, the link of one cut", header, [cells], asdict(found), options.json)
    return 1 if found.rows_that_differ or found.failed or found.rows != found.images else 0


if __name__ == "__main__":
    sys.exit(main())
