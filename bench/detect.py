"""Detectors on photographs of blood: heads on cached maps, their fusion, and a network trained end to end.

BCCD's own split (train and validation to learn from, test to score), three EfficientNet-Lites at 416 pixels: each head
on each backbone and the fusion over backbones, as ``stackbone detect --split test`` has them, with the seconds that its
heads took, and the peak memory of the process. The upper reference is a detector of torchvision (FCOS on a feature
pyramid) whose trunk is EfficientNet-Lite0 with the same weights that the maps were made with, trained end to end for
``--epochs`` with mirrored images; batch normalisations stay as they were, as torchvision's own recipes have it.
``python bench/detect.py [--quick] [--json FILE] [--data FOLDER] [--cache FOLDER] [--heads NAMES] [--epochs N]``.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from machine import add_folder, arguments, report
from stackbone.cache import FeatureStore
from stackbone.extract import extract, find_weights, get_backbone, open_dataset
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.run import run_detection
from stackbone.stack.detection.scores.coco import coco_scores

if TYPE_CHECKING:
    from torch import Tensor, nn

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
TRUNK = NAMES[0]
SIDE, BATCH, WIDTH = 416, 8, 128
RATE, TRUNK_RATE, DECAY = 1e-3, 2e-4, 1e-2
N_QUICK = 24


def peak_gigabytes() -> float:
    """Return the most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def first_photographs(data: Path, folder: Path, n: int) -> Path:
    """Copy the first photographs of each part, n in all, with their annotations and lists, and return the folder."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for part, share in {"train": n // 2, "val": n // 4, "test": n - n // 2 - n // 4}.items():
        names = (data / "ImageSets/Main" / f"{part}.txt").read_text().split()[:share]
        (folder / "ImageSets/Main" / f"{part}.txt").write_text("\n".join(names))
        for name in names:
            shutil.copy(data / "JPEGImages" / f"{name}.jpg", folder / "JPEGImages")
            shutil.copy(data / "Annotations" / f"{name}.xml", folder / "Annotations")
    return folder


def build_detector(n_classes: int) -> nn.Module:
    """Return torchvision's FCOS on a pyramid of the trunk, whose weights are those of the cached maps."""
    import timm
    from torch import nn
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.ops import FeaturePyramidNetwork

    from stackbone.extract.networks.network import build_body, plain_network

    backbone = get_backbone(TRUNK)
    weights = find_weights([backbone], {})[backbone.key]
    trunk = timm.create_model(backbone.architecture, features_only=True, out_indices=(2, 3, 4))
    state = plain_network(build_body(backbone, weights)).state_dict()
    own = trunk.state_dict()
    trunk.load_state_dict({name: state[name] for name in own})

    class Pyramid(nn.Module):
        """The trunk's last three stages, side by side as maps of equal depth."""

        out_channels = WIDTH

        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk
            self.pyramid = FeaturePyramidNetwork(trunk.feature_info.channels(), WIDTH)

        def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
            named = OrderedDict((str(i), each) for i, each in enumerate(self.trunk(x)))
            found: OrderedDict[str, Tensor] = self.pyramid(named)
            return found

    anchors = AnchorGenerator(sizes=((8,), (16,), (32,)), aspect_ratios=((1.0,),) * 3)
    detector: nn.Module = FCOS(
        Pyramid(),
        n_classes,
        min_size=SIDE,
        max_size=SIDE,
        image_mean=list(backbone.mean),
        image_std=list(backbone.std),
        anchor_generator=anchors,
        score_thresh=0.01,
    )
    return detector


def read_image(annotated: AnnotatedImages, row: int) -> Tensor:
    """Return an upright photograph, (3, h, w) from 0 to 1."""
    import torch

    from stackbone.cache.disk.reading import ListedFile
    from stackbone.extract.containers.reading import read_listed_image
    from stackbone.extract.images.decode import decode

    index, place = annotated.images.index, int(annotated.images.rows[row])
    file = ListedFile(index.root, index.path[place], index.image_sha256[place].tobytes())
    return torch.from_numpy(np.array(decode(read_listed_image(file)))).permute(2, 0, 1) / 255


def target_of(annotated: AnnotatedImages, row: int) -> dict[str, Tensor]:
    """Return boxes and labels of an image, counted from 1, without what is neither to be found nor background."""
    import torch

    boxes = annotated.boxes[row]
    kept = ~(boxes.difficult | boxes.crowd)
    labels = [annotated.classes.index(name) + 1 for name, keep in zip(boxes.classes, kept, strict=True) if keep]
    return {"boxes": torch.from_numpy(boxes.corners[kept].copy()), "labels": torch.tensor(labels, dtype=torch.int64)}


def mirrored(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an image and its boxes mirrored."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    boxes = target["boxes"].new_zeros(target["boxes"].shape)
    boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3] = width - right, top, width - left, bottom
    return image.flip(2), {**target, "boxes": boxes}


def train_end_to_end(annotated: AnnotatedImages, train: NDArray[np.int64], epochs: int, seed: int) -> nn.Module:
    """Return a detector all of whose weights were trained on some images."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    detector = build_detector(len(annotated.classes) + 1)
    trunk = [each for name, each in detector.named_parameters() if name.startswith("backbone.trunk")]
    rest = [each for name, each in detector.named_parameters() if not name.startswith("backbone.trunk")]
    groups = [{"params": trunk, "lr": TRUNK_RATE}, {"params": rest, "lr": RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=DECAY)
    steps = epochs * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [TRUNK_RATE, RATE], total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(seed)
    detector.train()
    for each in detector.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.eval()
    for _ in range(epochs):
        order = rng.permutation(train)
        for start in range(0, len(order), BATCH):
            pairs = [
                (read_image(annotated, row), target_of(annotated, row)) for row in order[start : start + BATCH].tolist()
            ]
            pairs = [mirrored(*pair) if rng.random() < 0.5 else pair for pair in pairs]
            losses = detector([image for image, _ in pairs], [target for _, target in pairs])
            optimiser.zero_grad()
            sum(losses.values()).backward()
            nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
            optimiser.step()
            schedule.step()
    return detector.eval()


def find_boxes(detector: nn.Module, annotated: AnnotatedImages, rows: Sequence[int]) -> list[Detections]:
    """Return what a detector finds in some images."""
    import torch

    found = []
    with torch.inference_mode():
        for row in rows:
            [own] = detector([read_image(annotated, row)])
            classes = own["labels"].numpy() - 1
            found.append(Detections.sort(own["boxes"].numpy(), own["scores"].numpy(), classes).best())
    return found


def end_to_end(experiment: DetectionExperiment, epochs: int, n_train: int | None) -> dict[str, Any]:
    """Train the reference, on the first `n_train` images of the training part if so asked, and return its row."""
    annotated, fold = experiment.annotated, experiment.folds[0]
    started = time.perf_counter()
    detector = train_end_to_end(annotated, fold.train[:n_train], epochs, seed=0)
    found = find_boxes(detector, annotated, fold.test.tolist())
    seconds = time.perf_counter() - started
    scores = coco_scores([annotated.boxes[row] for row in fold.test.tolist()], found, annotated.classes)
    return {
        "model": f"FCOS on {TRUNK}, end to end, epochs: {epochs}",
        "ap50": scores.ap50,
        "ap": scores.ap,
        "interval": None,
        "per_class": {name: each.ap50 for name, each in scores.classes.items()},
        "seconds": seconds,
        "parameters": sum(each.numel() for each in detector.parameters()),
    }


def rows_of(experiment: DetectionExperiment) -> list[dict[str, Any]]:
    """Return a row for each detector of an experiment."""
    return [
        {
            "model": each.model,
            "ap50": each.ap50,
            "ap": each.ap,
            "interval": [each.low, each.high],
            "per_class": each.per_class,
            "seconds": each.seconds,
        }
        for each in experiment.scores
    ]


def main() -> None:
    """Run the benchmark."""
    description = (__doc__ or "").partition("\n")[0]
    parser = arguments(description)
    add_folder(parser, "--data", "data/bccd", "photographs with boxes in the form of Pascal VOC, with a split test")
    parser.add_argument("--cache", type=Path, help="keep the maps there; by default they are made anew")
    parser.add_argument(
        "--heads", default="conv,linear,published", help="heads, the one that the verdict is about first"
    )
    parser.add_argument("--epochs", type=int, default=6, help="of the detector that is trained end to end; 0 for none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        data, names, heads, epochs = asked.data, list(NAMES), asked.heads, asked.epochs
        if asked.quick:
            data, names = first_photographs(data, Path(made) / "bccd", N_QUICK), list(NAMES[:1])
            heads, epochs = "linear", 1
        store = FeatureStore(asked.cache or Path(made) / "features")
        started = time.perf_counter()
        extract(open_dataset(data), names, store, outputs="pyramid")
        embedding = time.perf_counter() - started
        after_embedding = peak_gigabytes()
        experiment = run_detection(store, dataset=Path(data).name, heads=heads, split="test", seed=0)
        after_heads = peak_gigabytes()
        rows = rows_of(experiment)
        if epochs:
            rows.append(end_to_end(experiment, epochs, BATCH if asked.quick else None))
        figures = {
            "n_train": len(experiment.folds[0].train),
            "n_test": len(experiment.folds[0].test),
            "embedding_seconds": embedding,
            "peak_gigabytes": {"embedding": after_embedding, "heads": after_heads, "all": peak_gigabytes()},
            "gain": None if experiment.gain is None else experiment.gain.to_dict(),
            "detectors": rows,
        }
    classes = list(experiment.classes)
    table = [
        [
            each["model"],
            f"{each['ap50']:.3f}",
            "-" if each["interval"] is None else "{:.3f} to {:.3f}".format(*each["interval"]),
            f"{each['ap']:.3f}",
            *("-" if each["per_class"][name] is None else f"{each['per_class'][name]:.3f}" for name in classes),
            f"{each['seconds']:,.0f}",
        ]
        for each in rows
    ]
    title = (
        f"Detectors on {figures['n_test']} photographs, trained on {figures['n_train']}; maps in {embedding:,.0f} s; "
        f"peak memory {after_embedding:.1f} GB after embedding, {after_heads:.1f} GB after the heads, "
        f"{peak_gigabytes():.1f} GB in all"
    )
    report(title, ["model", "AP50", "95% interval", "AP50:95", *classes, "seconds"], table, figures, asked.json)


if __name__ == "__main__":
    main()
