"""What it costs that photographs lie in archives: listed, hashed, listed again and read, beside the same in a folder.

All forms hold the same photographs and are measured in turn, so that whatever else the machine does strikes all alike.
Shown are images a second, in the median of the rounds, and how much longer than from the folder it takes; the last
column is the most that Python held at once while it hashed. A second table does the same with small images, of 16 x 16
pixels.
``python bench/archives.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from machine import add_folder, arguments, report, spread
from stackbone.cache import FeatureStore, empty_index, usable_cores
from stackbone.extract import open_dataset
from stackbone.extract.containers.order import in_stored_order
from stackbone.extract.containers.reading import read_image
from stackbone.extract.embedding.digests import list_dataset, unwritten_index

_N_SHARDS = 4
_STEPS = ("list", "hash", "read")


def write_forms(photos: dict[str, bytes], folder: Path) -> dict[str, Path]:
    """Write photographs, by path, as a folder, tar shards, WebDataset shards, a compressed tar and a zip."""
    forms = {name: folder / name for name in ("folder", "tar", "webdataset")}
    for path, content in photos.items():
        file = forms["folder"] / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for name in ("tar", "webdataset"):
        forms[name].mkdir()
        for shard in range(_N_SHARDS):
            with tarfile.open(forms[name] / f"{shard:06d}.tar", "w") as tar:
                for number, (path, content) in enumerate(list(photos.items())[shard::_N_SHARDS]):
                    label, _, _ = path.partition("/")
                    key = f"{number:06d}"
                    members = {f"{key}.jpg": content, f"{key}.cls": label.encode()}
                    for member, bytes_ in members.items() if name == "webdataset" else [(path, content)]:
                        info = tarfile.TarInfo(member)
                        info.size = len(bytes_)
                        tar.addfile(info, io.BytesIO(bytes_))
    forms["tar.gz"] = folder / "photos.tar.gz"
    with tarfile.open(forms["tar.gz"], "w:gz", compresslevel=1) as tar:
        tar.add(forms["folder"], arcname=".")
    forms["zip"] = folder / "photos.zip"
    with zipfile.ZipFile(forms["zip"], "w") as archive:
        for path, content in photos.items():
            archive.writestr(path, content)
    return forms


def measure(place: Path) -> tuple[dict[str, float], int]:
    """Return seconds to list, hash and read what lies at a place, the pixels left alone, and the number of images."""
    seconds = {}

    def timed(step: str, action: Callable[[], object]) -> None:
        started = time.perf_counter()
        action()
        seconds[step] = time.perf_counter() - started

    timed("list", lambda: open_dataset(place))
    dataset = open_dataset(place)
    timed("hash", lambda: list_dataset(dataset, empty_index("", ""), lambda *_: None))
    listed = list_dataset(dataset, empty_index("", ""), lambda *_: None)
    digests = [row.tobytes() for row in listed.digests]

    def read_all() -> None:
        order = in_stored_order(range(dataset.n), lambda row: f"{dataset.root}/{dataset.paths[row]}")
        with ThreadPoolExecutor(usable_cores()) as pool:
            for _ in pool.map(lambda row: len(read_image(f"{dataset.root}/{dataset.paths[row]}", digests[row])), order):
                pass

    timed("read", read_all)
    return seconds, dataset.n


def peak_bytes(place: Path) -> int:
    """Return the most that Python held at once while a dataset was hashed, beyond its listing."""
    dataset = open_dataset(place)
    tracemalloc.start()
    list_dataset(dataset, empty_index("", ""), lambda *_: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def seconds_again(place: Path, folder: Path) -> float:
    """Return seconds to list a dataset that a cache knows."""
    store = FeatureStore(folder / "features")
    dataset = open_dataset(place, name="known")
    listed = list_dataset(dataset, empty_index("", ""), lambda *_: None)
    index = unwritten_index(dataset, listed.digests, listed.reasons)
    index.stamps.values[:] = listed.stamps.values
    store.write_dataset(index)
    started = time.perf_counter()
    open_dataset(place, name="known", store=store)
    return time.perf_counter() - started


def run(title: str, photos: dict[str, bytes], n_rounds: int, file: Path | None) -> None:
    """Measure all forms in turn, and print them beside the folder."""
    folder = Path(tempfile.mkdtemp(prefix="stackbone-archives-"))
    try:
        forms = write_forms(photos, folder)
        times: dict[str, list[dict[str, float]]] = {name: [] for name in forms}
        for _ in range(n_rounds):
            for name, place in forms.items():
                seconds, n = measure(place)
                assert n == len(photos), f"{name}: {n} of {len(photos)} images"
                times[name].append(seconds)
        again = {name: seconds_again(place, folder / f"cache-{name}") for name, place in forms.items()}
        peaks = {name: peak_bytes(place) for name, place in forms.items()}
    finally:
        shutil.rmtree(folder)
    median = {
        name: {step: spread([each[step] for each in rounds])["median"] for step in _STEPS}
        for name, rounds in times.items()
    }
    rows = []
    for name, steps in median.items():
        cells = [f"{len(photos) / steps[step]:,.0f} ({steps[step] / median['folder'][step]:.2f} x)" for step in _STEPS]
        rows.append([name, *cells, f"{1000 * again[name]:,.0f} ms", f"{peaks[name] / 1e6:.1f} MB"])
    header = ["form", *(f"{step}, images/s" for step in _STEPS), "list again", "held at once"]
    size = sum(map(len, photos.values())) / len(photos) / 1e3
    report(f"{title}: {len(photos):,} images of {size:.1f} kB", header, rows, median, file)


def main() -> None:
    """Measure photographs, and small images."""
    parser = arguments("Listing, hashing and reading images in archives")
    add_folder(parser, "--photos", "data/clothing-small", "a folder of photographs")
    options = parser.parse_args()
    files = sorted(options.photos.rglob("*.jpg"))[: 600 if options.quick else None]
    photos = {f"{file.parent.name}/{file.parts[-3]}-{file.name}": file.read_bytes() for file in files}
    n_rounds = 3
    run("photographs", photos, n_rounds, options.json)
    rng = np.random.default_rng(0)
    small = {}
    for number in range(2_000 if options.quick else 20_000):
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(content, "JPEG")
        small[f"{number % 10}/{number:06d}.jpg"] = content.getvalue()
    run("small images", small, n_rounds, options.json and options.json.with_suffix(".small.json"))


if __name__ == "__main__":
    main()
