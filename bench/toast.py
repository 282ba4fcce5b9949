"""What steering is worth: methods on four classes that a small ViT never saw, and the steered ViT in a stack.

The ViT (vit_cifar6.safetensors) was pre-trained on six classes of CIFAR-10; the task is the other four, and accuracy
that of the head that was trained with the method, after the last epoch, on all 1,000 test images a class. Four parts:

- *methods*: 500 training images a class, other ones for each seed. With pre-tuning a method first trains on 500 images
  of each of the six source classes, once for all seeds (TOAST-Lite takes TOAST's), so that the spread is that of the
  task alone; `ROWS` says which are.
- *curve*: 500 to 16,000 training images, see toast_curve.py.
- *costs*: what a method costs, in a process of its own for its peak memory, with all cores and alone (a linear probe's
  epochs come after one embedding, which they leave out).
- *stack*: the ViT, steered once per outer fold and again for each inner one, in a stack of three CNNs on the first
  seed's training images, see toast_stack.py.

Of methods and curve as many trainings run side by side as there are cores, each on one. The file of figures is written
anew after each part, each training of the curve and each way to stack: a run that is cut short leaves what it has.
``python bench/toast.py [--quick] [--json FILE] [--parts NAMES] [--seeds 3] [--epochs 12] [--sizes 500,1000]
[--row NAME] [--stack-images 2000] [--pictures DIR]``.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from toast_curve import SIZES, measure_curve
from toast_stack import stack_with_cnns
from toast_training import SOURCE, TASK, run, unpack

from machine import add_folder, arguments, report, write_figures
from stackbone.cache import usable_cores
from stackbone.extract.methods.method import RECIPES

ADAMW = {"optimiser": "adamw"}
RELEASED = {"recipe": "released"}
TEN_TIMES = {"learning_rate": 10 * RECIPES["finetune"].rates["adamw"]}
ROWS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "linear": ("linear", {}, None),
    "lora": ("lora", {}, "lora"),
    "vpt": ("vpt", {}, "vpt"),
    "finetune": ("finetune", {}, "finetune"),
    "finetune, 10 x the rate": ("finetune", TEN_TIMES, None),
    "toast": ("toast", {}, "toast"),
    "toast-lite": ("toast-lite", {}, "toast"),
    "toast, AdamW": ("toast", ADAMW, "toast, AdamW"),
    "toast-lite, AdamW": ("toast-lite", ADAMW, "toast, AdamW"),
    "toast, AdamW, bias once": ("toast", {**ADAMW, "method_options": {"value_bias": False}}, None),
    "toast, as released": ("toast", RELEASED, "toast, as released"),
    "toast-lite, as released": ("toast-lite", RELEASED, "toast, as released"),
}
"""The method, what it is told, and the row whose pre-tuning it goes on from. A name alone is the method's default:
for TOAST the SGD of its paper, for fine-tuning the rate that suits a large network."""
QUICK_ROWS = ("linear", "toast, AdamW")
CURVE_ROWS = (
    *("linear", "lora", "vpt", "finetune, 10 x the rate", "toast", "toast, AdamW", "toast-lite, AdamW"),
    "toast, as released",
)
METHODS = ("linear", "lora", "vpt", "finetune", "toast", "toast-lite")
PARTS = ("methods", "curve", "costs", "stack")


def compare_methods(options: Any, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed arguments
    """Train every method for every seed, plain and pre-tuned, and print the table."""
    cifar = options.shared / "data" / "cifar10.zip"
    n_train, n_test, seeds = (8, 25, 1) if options.quick else (500, 1000, options.seeds)
    rows = QUICK_ROWS if options.quick else tuple(ROWS)
    common = {"weights": str(options.shared / "models" / "vit_cifar6.safetensors"), "epochs": options.epochs}
    common |= {"test": unpack(cifar, folder, "test", TASK, range(n_test))}
    source = unpack(cifar, folder, "train", SOURCE, range(n_train))
    pretuned = {} if options.quick else {name: _file(folder, name, "pretune") for name in rows if ROWS[name][2] == name}
    before = {"stage": "pretune", "images": source, "test": [], "start": None, "seed": 0}
    tasks: dict[tuple[str, int], dict[str, Any]] = {}
    for seed in range(seeds):
        images = unpack(cifar, folder, "train", TASK, range(seed * n_train, (seed + 1) * n_train))
        for name in rows:
            for start in dict.fromkeys([None, pretuned.get(ROWS[name][2] or "")]):
                key = f"{name} pre-tuned" if start else name
                asked = {"stage": "tune", "images": images, "start": start, "seed": seed}
                tasks[key, seed] = common | _told(name) | asked | {"out": _file(folder, key, f"seed{seed}")}
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(run, [common | _told(name) | before | {"out": out} for name, out in pretuned.items()]))
        done = dict(zip(tasks, pool.map(run, tasks.values()), strict=True))
    figures = {key: [done[key, seed] for seed in range(seeds)] for key, _ in done}
    header = ["method", "accuracy", "pre-tuned first", "trained, with head", "share"]
    title = f"accuracy on {len(TASK)} unseen classes, {n_test * len(TASK):,} test images, mean ± std of {seeds} seeds"
    title += f", {options.epochs} epochs; in brackets points over linear, mean over the seeds"
    report(title, header, [_row(name, figures) for name in rows], None, None)
    yield figures


def _told(name: str) -> dict[str, Any]:
    method, options, _ = ROWS[name]
    return {"method": method, "options": options}


def _file(folder: Path, name: str, part: str) -> str:
    return str(folder / f"{name}-{part}.safetensors".replace(",", "").replace(" ", "-"))


def _row(name: str, figures: dict[str, Any]) -> list[str]:
    linear = [each["accuracy"] for each in figures["linear"]]

    def accuracy(key: str) -> str:
        found = [each["accuracy"] for each in figures.get(key, [])]
        if not found:
            return "-"
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        text = f"{statistics.mean(found):.3f} ± {spread:.3f}"
        points = 100 * statistics.mean(a - b for a, b in zip(found, linear, strict=True))
        return text if key == "linear" else f"{text} ({points:+.1f})"

    tuned, whole = figures[name][0]["tuned"], figures[name][0]["parameters"]
    return [name, accuracy(name), accuracy(f"{name} pre-tuned"), f"{tuned:,}", f"{tuned / whole:.1%}"]


def draw_curve(options: Any, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed arguments
    """Measure the curve of the methods that it shows."""
    rows = QUICK_ROWS if options.quick else tuple(dict.fromkeys(["linear", *(options.row or CURVE_ROWS)]))
    return measure_curve(options, folder, {name: _told(name) for name in rows})


def measure_costs(options: Any, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed arguments
    """Train every method for a few epochs on all cores with nothing beside it, and print seconds and memory."""
    n_train, epochs = (8, 2) if options.quick else (500, 3)
    cifar, weights = options.shared / "data" / "cifar10.zip", options.shared / "models" / "vit_cifar6.safetensors"
    images = unpack(cifar, folder, "train", TASK, range(n_train))
    asked = {"weights": str(weights), "epochs": epochs, "stage": "tune", "images": images, "test": [], "start": None}
    figures = {}
    for method in ("toast",) if options.quick else METHODS:
        out = str(folder / f"cost-{method}.safetensors")
        figures[method] = run(asked | {"method": method, "out": out, "seed": 0}, usable_cores())
    rows = [[name, f"{each['seconds']:.1f}", f"{each['peak_mb']:.0f}"] for name, each in figures.items()]
    title = f"what an epoch of {len(images):,} images costs, median of {epochs}"
    report(title, ["method", "s/epoch", "peak MB of the process"], rows, None, None)
    yield figures


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--shared", "", "the folder that holds data/cifar10.zip and models/vit_cifar6.safetensors")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="training images of the curve")
    parser.add_argument("--row", action="append", choices=ROWS, help="a method of the curve; repeat for more")
    parser.add_argument("--stack-images", type=int, default=2_000, help="training images of the stack")
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the attention in one fold")
    options = parser.parse_args()
    options.sizes = [int(size) for size in options.sizes.split(",")]
    if options.quick:
        options.epochs = 2
    measure = dict(zip(PARTS, (compare_methods, draw_curve, measure_costs, stack_with_cnns), strict=True))
    title = f"What steering is worth, {options.epochs} epochs, {options.seeds} seeds"
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            for found in measure[part](options, Path(folder)):
                figures[part] = found
                if options.json:
                    write_figures(title, figures, options.json)


if __name__ == "__main__":
    main()
