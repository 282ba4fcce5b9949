"""thingsvision's own way to features, for `bench/extract_speed.py --thingsvision PYTHON`; run by a Python that has it.

It needs torch and TensorFlow of its own, and so an environment of its own: ``python -m venv peers && peers/bin/pip
install thingsvision``. Weights are random: they do not change the time.
"""

import json
import resource
import sys
import time
from pathlib import Path

MODULES = {"vgg19": "features"}  # its pooled output has no module of its own; all others: global_pool


def main() -> None:
    """Read a task from standard input, do it, print seconds and peak memory."""
    from thingsvision import get_extractor
    from thingsvision.utils.data import DataLoader, ImageDataset

    task = json.load(sys.stdin)
    sys.stdout, out = sys.stderr, sys.stdout  # it prints as it goes
    folder = Path(task["folder"])
    photos = folder / "photos"
    photos.mkdir()
    for number, file in enumerate(task["files"]):
        (photos / f"{number:05d}{Path(file).suffix}").symlink_to(file)
    started = time.perf_counter()
    for name, architecture in task["architectures"].items():
        extractor = get_extractor(architecture, pretrained=False, device="cpu", source="timm")
        transform = extractor.get_transformations()
        images = ImageDataset(str(photos), str(folder / name), extractor.get_backend(), transforms=transform)
        batches = DataLoader(images, batch_size=task["batch_size"], backend=extractor.get_backend())
        extractor.extract_features(
            batches=batches,
            module_name=MODULES.get(name, "global_pool"),
            flatten_acts=False,
            output_dir=str(folder / name),
        )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}), file=out)


if __name__ == "__main__":
    main()
