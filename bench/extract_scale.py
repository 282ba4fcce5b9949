"""How the cost of `extract` grows with the number of images: time on a straight line, memory flat.

Writes distinct JPEG files of 400 x 300 pixels (smooth random colours) and extracts ever more of them with the three
EfficientNet-Lites, each number in a fresh process with an empty cache. With ``--images 1000,100000`` it takes an
hour on two cores, ``--precision bf16`` half of that. ``--stub`` puts networks in their place that compute nothing and
give as many features: the memory of the pipeline alone, in minutes.
``python bench/extract_scale.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from machine import arguments, report

ROOT = Path(__file__).resolve().parents[1]

_RUN = """
import json, sys
from pathlib import Path
import numpy as np
from stackbone.cache.records.feature_name import POOLED
from stackbone.extract.embedding import plan
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.cache import FeatureStore
from stackbone.extract import extract as embed, open_dataset

class Stub:
    batch_size, provenance, forms = 8, {"engine": "stub"}, [OutputForm(POOLED, 1280)]
    is_bound_to_batch = False
    def __init__(self, *_of_a_network, **_options):
        self.random = np.random.default_rng(0)
    def embed(self, pixels):
        return [self.random.random((len(pixels), 1280), np.float32)]

folder, cache, names, precision, stub = sys.argv[1:]
if stub:
    plan.make_engine = Stub
done = embed(open_dataset(folder), names, FeatureStore(cache), precision=precision)
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
print(json.dumps({"seconds": done.seconds, "peak_mb": peak, "n": done.n_images}))
"""


def write_images(folder: Path, n: int) -> None:
    """Write images up to number `n`; earlier ones stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        path = folder / f"{i:07d}.jpg"
        if not path.exists():
            coarse = np.random.default_rng(i).integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(path, quality=90)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--images", default="100,500,1000,2000,4000,10000", help="comma-separated")
    parser.add_argument("--backbones", default="efficientnet_lite0,efficientnet_lite1,efficientnet_lite2")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--stub", action="store_true", help="networks that compute nothing")
    options = parser.parse_args()
    numbers = [50, 200] if options.quick else [int(n) for n in options.images.split(",")]
    rows, figures = [], []
    with tempfile.TemporaryDirectory() as folder:
        for n in [1, *numbers]:  # the first run makes sure that the converted networks are there
            write_images(Path(folder, "photos"), n)
            task = [sys.executable, "-c", _RUN, f"{folder}/photos", f"{folder}/cache-{n}"]
            task += [options.backbones, options.precision, "stub" if options.stub else ""]
            done = subprocess.run(task, cwd=ROOT, capture_output=True, text=True, check=True)
            figures.append(json.loads(done.stdout.splitlines()[-1]))
            print(figures[-1], file=sys.stderr, flush=True)
    for each in figures[1:]:
        rate = each["n"] / each["seconds"]
        rows.append([f"{each['n']:,}", f"{each['seconds']:.1f}", f"{rate:.1f}", f"{each['peak_mb']:.0f}"])
    networks = "networks that compute nothing" if options.stub else options.precision
    title = f"extract with {options.backbones.replace(',', ', ')}, {networks}"
    report(title, ["images", "seconds", "images/s", "peak MB"], rows, figures[1:], options.json)


if __name__ == "__main__":
    main()
