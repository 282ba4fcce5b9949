"""What a dataset of a million images costs: listing, index, a run with nothing to do, `inspect`, and the memory.

Writes distinct JPEG files of 16 x 16 pixels, in folders of ten classes or in tar shards (``--tars``), and a cache that
has features of all of them, so that what is measured is everything but the networks. ``--pipeline`` embeds other
numbers of them with a network that computes nothing: the memory of the pipeline, which is to stay flat. Every step is a
command in a process of its own, whose peak memory is told; what is short is run in rounds, in turns, and told by its
median. Bounds at 1,000,000: an index of at most 100 bytes an image beyond the paths, a run with nothing to do in 20 s,
`inspect` in 3 s; and of the pipeline, that the peak beyond the index itself grows by no more than a tenth.
``python bench/million.py [--images 1000000] [--tars] [--pipeline 10000,100000 [--part 1/100]] [--rounds 3] [--dir DIR]
[--quick] [--json FILE]``. ``--images 0`` measures the pipeline alone; with ``--part`` all images are listed and hashed,
and a part of them embedded, which takes the memory of all in less time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from machine import arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract.embedding.plan import find_specs

ROOT = Path(__file__).resolve().parents[1]
BACKBONE = "efficientnet_lite0"
N_CLASSES, IN_A_FOLDER, IN_A_SHARD, DIM, ROWS_A_SHARD = 10, 1000, 10_000, 32, 16_384
MOST_BYTES, MOST_AGAIN_S, MOST_INSPECT_S, MOST_GROWTH = 100, 20, 3, 0.1
_AT_FULL_SIZE = 1_000_000
NOTHING, INSPECT = "run with nothing to do", "inspect"

_INDEX = """
import json, sys, tracemalloc
from pathlib import Path
from stackbone.cache.records.indexes.index_file import read_index
tracemalloc.start()
index = read_index(Path(sys.argv[1]))
held, _ = tracemalloc.get_traced_memory()
paths = sys.getsizeof(index.path) + sum(map(sys.getsizeof, index.path))
print(json.dumps({"n": len(index), "bytes": held, "paths": paths}))
"""

_STUB = f"""
import sys
import numpy as np
from stackbone.cache.records.feature_name import POOLED
from stackbone.cli import main
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.embedding import plan

class Stub:
    batch_size, provenance, forms = 64, {{"engine": "stub"}}, [OutputForm(POOLED, {DIM})]
    is_bound_to_batch = False
    def __init__(self, *_of_a_network, **_options):
        pass
    def embed(self, pixels):
        return [np.zeros((len(pixels), {DIM}), np.float32)]

plan.make_engine = Stub
main()
"""


def made_jpeg() -> tuple[bytes, bytes]:
    """Return the two pieces of a small JPEG file between which a comment makes it another file of the same pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    memory = io.BytesIO()
    Image.fromarray(coarse).resize((16, 16), Image.Resampling.BICUBIC).save(memory, "JPEG", quality=50)
    content = memory.getvalue()
    return content[:2], content[2:]


def image_bytes(number: int, pieces: tuple[bytes, bytes]) -> bytes:
    """Return an image of its own for a number: a comment segment of 8 bytes tells it from all others."""
    return pieces[0] + b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big") + pieces[1]


def write_folders(folder: Path, n: int) -> NDArray[np.uint8]:
    """Write n images in folders of classes; return their ``(n, 32)`` digests."""
    pieces = made_jpeg()
    digests = np.empty((n, 32), np.uint8)
    for start in range(0, n, IN_A_FOLDER):
        number = start // IN_A_FOLDER
        inner = folder / f"class_{number % N_CLASSES}" / f"batch_{number:05d}"
        inner.mkdir(parents=True)
        for i in range(start, min(n, start + IN_A_FOLDER)):
            content = image_bytes(i, pieces)
            digests[i] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
            (inner / f"photograph_{i:08d}.jpg").write_bytes(content)
    return digests


def write_shards(folder: Path, n: int) -> NDArray[np.uint8]:
    """Write n images in tar shards, each with the name of its class beside it; return their ``(n, 32)`` digests."""
    pieces = made_jpeg()
    digests = np.empty((n, 32), np.uint8)
    folder.mkdir()
    for start in range(0, n, IN_A_SHARD):
        with tarfile.open(folder / f"{start // IN_A_SHARD:06d}.tar", "w") as shard:
            for i in range(start, min(n, start + IN_A_SHARD)):
                content = image_bytes(i, pieces)
                digests[i] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
                for name, member in ((f"{i:08d}.jpg", content), (f"{i:08d}.cls", b"%d" % (i % N_CLASSES))):
                    info = tarfile.TarInfo(name)
                    info.size = len(member)
                    shard.addfile(info, io.BytesIO(member))
    return digests


def fill(cache: Path, digests: NDArray[np.uint8]) -> None:
    """Commit made features of all images, as if they had been embedded."""
    (spec,) = find_specs(BACKBONE).values()
    feature_set = FeatureStore(cache).feature_set(BACKBONE, spec)
    rng = np.random.default_rng(0)
    for start in range(0, len(digests), ROWS_A_SHARD):
        rows = digests[start : start + ROWS_A_SHARD]
        feature_set.append(spec, rows, rng.standard_normal((len(rows), DIM), dtype=np.float32), {"engine": "none"})


Write = Callable[[Path, int], NDArray[np.uint8]]
"""Writes so many images below a folder, and returns their digests."""


def run(*command: str) -> dict[str, Any]:
    """Run a program; return its seconds, its peak memory in bytes and what it wrote to standard output."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        if process.returncode:
            message = f"{' '.join(command[-6:])} failed: {err.read().decode(errors='replace')[-2000:]}"
            raise RuntimeError(message)
        processor = used.ru_utime + used.ru_stime
        return {"seconds": seconds, "cpu_s": processor, "peak": used.ru_maxrss << 10, "said": out.read().decode()}


def stackbone(*words: str) -> dict[str, Any]:
    """Run a command of Stackbone's."""
    return run("-m", "stackbone", *words)


def measure(folder: Path, n: int, write: Write, rounds: int) -> dict[str, dict[str, Any]]:
    """Measure all steps on n images but the pipeline; those that change nothing in rounds, taking turns."""
    data, cache = folder / "photos", folder / "cache"
    started = time.monotonic()
    digests = write(data, n)
    fill(cache, digests)
    print(f"made {n:,} images in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    extract = ("extract", str(data), "--backbones", BACKBONE, "--cache", str(cache), "--dataset", "made")
    figures = {"first run": stackbone(*extract)}
    time.sleep(3.5)  # a file hashed within its clock's tick is hashed once more
    figures["settling run"] = stackbone(*extract)
    short = {NOTHING: extract, f"{NOTHING}, --json": (*extract, "--json"), INSPECT: ("inspect", "--cache", str(cache))}
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in short}
    for _ in range(rounds):
        for title, words in short.items():
            found[title].append(stackbone(*words))
            print(f"{title}: {found[title][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    figures |= {title: median(each) for title, each in found.items()}
    figures["index"] = index_of(cache, "made")
    return figures


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median seconds of some rounds, their largest peak, and each round's seconds."""
    return {
        **{name: statistics.median(each[name] for each in rounds) for name in ("seconds", "cpu_s")},
        "peak": max(each["peak"] for each in rounds),
        "rounds": [{name: each[name] for name in ("seconds", "cpu_s", "peak")} for each in rounds],
    }


def index_of(cache: Path, dataset: str) -> dict[str, int]:
    """Return the images of a dataset, and the bytes that its index and the paths in it take in memory."""
    found: dict[str, int] = json.loads(run("-c", _INDEX, str(cache / "datasets" / f"{dataset}.h5"))["said"])
    return found


def pipeline(folder: Path, numbers: list[int], part: str, write: Write) -> dict[int, dict[str, Any]]:
    """Embed so many images each, or a part of them, with a network that computes nothing, into a cache of its own."""
    figures = {}
    for n in numbers:
        data, cache = folder / f"photos-{n}", folder / f"cache-{n}"
        write(data, n)
        words = ["extract", str(data), "--backbones", BACKBONE, "--cache", str(cache), "--engine", "torch"]
        words += ["--part", part] if part else []
        figures[n] = run("-c", _STUB, *words) | {"index": index_of(cache, data.name)}
        del figures[n]["said"]
        print(f"{n:,}: {figures[n]['seconds']:.1f} s", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    """Measure, print, and return 1 if a bound is broken."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--images", type=int, default=_AT_FULL_SIZE)
    parser.add_argument("--pipeline", default="", help="comma-separated numbers of images to embed as well")
    parser.add_argument("--part", default="", help="of those of --pipeline, the part to embed, such as 1/100")
    parser.add_argument("--rounds", type=int, default=3, help="of what changes nothing")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where all is made")
    parser.add_argument("--tars", action="store_true", help="images in tar shards, not in folders")
    options = parser.parse_args()
    write = write_shards if options.tars else write_folders
    n = 10_000 if options.quick else options.images
    with tempfile.TemporaryDirectory(prefix="stackbone-million-", dir=options.dir) as folder:
        steps = measure(Path(folder), n, write, options.rounds) if n else {}
        numbers = [int(each) for each in options.pipeline.split(",") if each]
        embedded = pipeline(Path(folder), numbers, options.part, write)
    index = steps.pop("index", {})
    rows = [[step, f"{n:,}", *_told(f), ""] for step, f in steps.items()]
    rows += [["embedding", f"{number:,}", *_told(f), f"{_beyond(f) / 1e6:.0f}"] for number, f in embedded.items()]
    figures = {"images": n, "index": index, "steps": steps, "embedded": embedded}
    header = ["step", "images", "s", "CPU s", "peak MB", "beyond the index, MB"]
    report("A dataset of many images", header, rows, figures, options.json)
    broken = [*(_broken_steps(steps, index, n) if n else []), *_grown(embedded)]
    print("; ".join(["FAILED", *broken]) if broken else "within the bounds")
    return 1 if broken else 0


def _told(figures: dict[str, Any]) -> list[str]:
    return [f"{figures['seconds']:.1f}", f"{figures['cpu_s']:.1f}", f"{figures['peak'] / 1e6:.0f}"]


def _beyond(figures: dict[str, Any]) -> float:
    return float(figures["peak"] - figures["index"]["bytes"])


def _broken_steps(steps: dict[str, Any], index: dict[str, int], n: int) -> list[str]:
    beyond = (index["bytes"] - index["paths"]) / n
    print(f"\nthe index in memory: {index['paths'] / n:.0f} bytes an image of paths, {beyond:.0f} beyond them")
    scale = n / _AT_FULL_SIZE
    return [
        *([f"the index takes {beyond:.0f} bytes an image, over {MOST_BYTES}"] if beyond > MOST_BYTES else []),
        *_too_long(steps[NOTHING], max(2, MOST_AGAIN_S * scale), f"a {NOTHING}"),
        *_too_long(steps[f"{NOTHING}, --json"], max(2, MOST_AGAIN_S * scale), f"a {NOTHING}, --json,"),
        *_too_long(steps[INSPECT], max(2, MOST_INSPECT_S * scale), INSPECT),
    ]


def _grown(embedded: dict[int, dict[str, Any]]) -> list[str]:
    """Return what to say where the peak of the pipeline beyond the index grows with the number of images."""
    if len(embedded) < 2:
        return []
    few, many = min(embedded), max(embedded)
    growth = _beyond(embedded[many]) / _beyond(embedded[few]) - 1
    an_image = (embedded[many]["peak"] - embedded[few]["peak"]) / (many - few)
    print(
        f"\nfrom {few:,} to {many:,} images the peak of embedding grows by {an_image:.0f} bytes an image; beyond the "
        f"index by {growth:.0%} in all"
    )
    return [f"the peak beyond the index grows by {growth:.0%}, over {MOST_GROWTH:.0%}"] if growth > MOST_GROWTH else []


def _too_long(figures: dict[str, Any], most: float, what: str) -> list[str]:
    return [f"{what} took {figures['seconds']:.1f} s, over {most:.0f}"] if figures["seconds"] > most else []


if __name__ == "__main__":
    sys.exit(main())
