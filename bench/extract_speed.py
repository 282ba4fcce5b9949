"""Stackbone against the loop that its peers run, on real photographs: images a second through all backbones.

The reference loop does what thingsvision and most notebooks do: for each backbone a pass of its own over the files,
with a DataLoader of 2 workers, Pillow, timm's evaluation transform, eager fp32 in inference mode, the features
collected and saved. Stackbone runs `extract` into an empty cache, on converted networks kept by an earlier run (their
conversion is timed apart). Both sides do the same work in fresh processes that take turns; the time is from the first
file to the last byte saved, without imports. Run it on a quiet machine: ``python bench/extract_speed.py [--quick]
[--json FILE]``; ``--thingsvision PYTHON`` measures that library too (see bench/peer_thingsvision.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import add_folder, arguments, report, spread

LITES = "efficientnet_lite0,efficientnet_lite1,efficientnet_lite2"
PUBLISHED = "resnet50,vgg19,inception_v3,xception"
REFERENCE_BATCH = 32  # a common choice in notebooks
PEER = "thingsvision"


def list_photos(folder: Path, n: int) -> list[str]:
    """Return `n` photographs spread evenly over a folder's sorted files."""
    files = sorted(str(path) for path in folder.rglob("*.jpg"))
    return [files[i * len(files) // n] for i in range(min(n, len(files)))]


def reference_loop(files: list[str], names: list[str], folder: Path, *, random: bool) -> float:
    """Run the reference loop and return its seconds."""
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from timm.data import create_transform
    from torch.utils.data import DataLoader, Dataset

    from stackbone.extract import find_weights, get_backbone
    from stackbone.extract.backbones.weights import random_weights
    from stackbone.extract.engines.network import build_network

    class Photos(Dataset):  # type: ignore[type-arg]
        def __init__(self, transform: Any) -> None:  # noqa: ANN401 - torchvision's Compose
            self.transform = transform

        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> Any:  # noqa: ANN401 - a tensor
            with Image.open(files[i]) as picture:
                return self.transform(picture.convert("RGB"))

    started = time.perf_counter()
    for name in names:
        backbone = get_backbone(name)
        weights = random_weights(0) if random else find_weights([backbone], {})[name]
        network = build_network(backbone, weights).to(memory_format=torch.contiguous_format)
        config = timm.get_pretrained_cfg(backbone.architecture)
        transform = create_transform(
            input_size=config.input_size,
            crop_pct=config.crop_pct,
            interpolation=config.interpolation,
            mean=config.mean,
            std=config.std,
            is_training=False,
        )
        collected = []
        with torch.inference_mode():
            for batch in DataLoader(Photos(transform), batch_size=REFERENCE_BATCH, num_workers=2):
                if network.pooling == "avg":
                    features = network.body.forward_features(batch).mean((2, 3))  # type: ignore[operator]
                else:
                    features = network.body(batch)
                collected.append(features.numpy())
        np.save(folder / f"{name}.npy", np.concatenate(collected))
    return time.perf_counter() - started


def stackbone(files: list[str], names: list[str], folder: Path, *, random: bool, precision: str) -> float:
    """Run `extract` into an empty cache and return its seconds."""
    from stackbone.cache import FeatureStore
    from stackbone.extract import extract, open_dataset

    started = time.perf_counter()
    seed = 0 if random else None
    found = extract(
        open_dataset(files), names, FeatureStore(folder / "features"), random_seed=seed, precision=precision
    )
    seconds = time.perf_counter() - started
    if found.failures or found.n_embedded != found.n_images * len(names):
        message = f"not everything was embedded: {found.lines()}"
        raise SystemExit(message)
    return seconds


def run_side(side: str, files: list[str], names: str, *, random: bool, peer: str = "") -> dict[str, float]:
    """Run one side in a fresh process and return its seconds of work, wall seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        task = {"side": side, "files": files, "names": names.split(","), "random": random, "folder": folder}
        command = [sys.executable, __file__, "--task", "-"]
        if side == PEER:
            from stackbone.extract import get_backbone

            command = [peer, str(Path(__file__).with_name("peer_thingsvision.py"))]
            task["architectures"] = {name: get_backbone(name).architecture for name in names.split(",")}
            task["batch_size"] = REFERENCE_BATCH
        started = time.perf_counter()
        done = subprocess.run(
            command,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        wall = time.perf_counter() - started
        if done.returncode:
            message = f"{side} failed:\n{done.stderr}"
            raise SystemExit(message)
        return {**json.loads(done.stdout.splitlines()[-1]), "wall": wall}


def _do_task() -> None:
    import resource

    task = json.load(sys.stdin)
    files, names, folder = task["files"], task["names"], Path(task["folder"])
    if task["side"] == "reference":
        seconds = reference_loop(files, names, folder, random=task["random"])
    else:
        seconds = stackbone(files, names, folder, random=task["random"], precision=task["side"].split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbones", help="one set of your own, with their weights, instead of the two")
    parser.add_argument("--photographs", type=int, default=500, help="for --backbones")
    parser.add_argument("--thingsvision", metavar="PYTHON", help="a Python that has it: measure it beside the others")
    parser.add_argument("--task", help="for the benchmark's own processes")
    options = parser.parse_args()
    if options.task:
        return _do_task()
    sides = ["reference", "stackbone fp32", "stackbone bf16", *([PEER] if options.thingsvision else [])]
    sets = [(LITES, 500, False), (PUBLISHED, 128, True)]
    if options.backbones:
        sets = [(options.backbones, options.photographs, False)]
    if options.quick:
        sets, options.rounds = [("efficientnet_lite0", 64, False)], 1
    figures: dict[str, dict[str, Any]] = {}
    rows = []
    for names, n, random in sets:
        files = list_photos(options.photos, n)
        if len(files) < n:
            message = f"{options.photos} holds {len(files)} JPEG files, {n} are needed; name a folder with --photos"
            raise SystemExit(message)
        with tempfile.TemporaryDirectory() as graphs:
            os.environ["STACKBONE_GRAPHS"] = graphs
            cold = run_side("stackbone fp32", files[:1], names, random=random)["seconds"]
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side in sides:
                    runs[side].append(run_side(side, files, names, random=random, peer=options.thingsvision))
                    print(f"{names} {side}: {runs[side][-1]}", file=sys.stderr, flush=True)
        seconds = {side: spread([run["seconds"] for run in runs[side]]) for side in sides}
        figures[names] = {"n_images": n, "runs": runs, "seconds": seconds, "conversion_seconds": cold}
        for side in sides:
            median = seconds[side]["median"]
            rows.append(
                [
                    f"{names.replace(',', ', ')}{' (random weights)' if random else ''}, {n} photos",
                    side,
                    f"{median:.1f} ({seconds[side]['min']:.1f} to {seconds[side]['max']:.1f})",
                    f"{n / median:.1f}",
                    f"{seconds['reference']['median'] / median:.2f}x",
                    f"{max(run['peak_mb'] for run in runs[side]):.0f}",
                ]
            )
        print(f"conversion of the networks, once: {cold:.1f} s", file=sys.stderr)
    header = ["work", "side", "seconds, median (min to max)", "images/s", "against reference", "peak MB"]
    report(f"Filling a feature cache, {options.rounds} alternating runs", header, rows, figures, options.json)
    return None


if __name__ == "__main__":
    main()
