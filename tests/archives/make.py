"""Write an archived file or cache of the present format version; run once for each, never by the tests.

    python tests/archives/make.py tests/archives/v3
    python tests/archives/make.py tests/archives/model-v2.stackbone
    python tests/archives/make.py tests/archives/steering-v2.safetensors
    python tests/archives/make.py tests/archives/seen-v3
    python tests/archives/make.py tests/archives/boxes-v3
    python tests/archives/make.py tests/archives/corrections-v3
    python tests/archives/make.py tests/archives/findings-v3

The values follow from row numbers, so that the tests can hold them as literals.
"""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps, feature_set_id, write_seen
from stackbone.cache.boxes.box_file import write_boxes
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.corrections.batch import Batch, write_batch
from stackbone.cache.findings.found import FAILED, READ, UNREAD, Finding, write_findings
from stackbone.extract.steering_files.file import write_steering
from stackbone.extract.steering_files.steering import Steering
from stackbone.stack import StackModel
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model_file import write_model
from stackbone.stack.solvers.linear import LinearMap

RESNET50 = FeatureSpec(
    architecture="resnet50.tv_in1k",
    weights="sha256:" + "ab" * 32,
    input_size=(224, 224),
    crop_fraction=0.875,
    crop_mode="center",
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    pooling="avg",
)
CONVNEXT = FeatureSpec(
    architecture="convnext_tiny.fb_in22k",
    weights="random(7)",
    input_size=(288, 256),
    crop_fraction=1.0,
    crop_mode="squash",
    interpolation="bicubic",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    pooling="model",
    precision="bf16",
    view="hflip",
    steering="cd" * 32,
)


def write_cache(root: Path) -> None:
    """Write two feature sets, one of them in half precision, and an index of five files."""
    store = FeatureStore(root)
    digests = np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(4)])
    features = (np.arange(16).reshape(4, 4) / 8 - 1).astype(np.float32)
    provenance = {"created": "2025-01-01T00:00:00+00:00", "engine": "torch"}
    resnet50 = store.feature_set("resnet50", RESNET50)
    for rows in (slice(0, 3), slice(2, 4)):
        resnet50.append(RESNET50, digests[rows], features[rows], provenance)
    half = (features * 2).astype(np.float16)
    store.feature_set("timm:convnext_tiny.fb_in22k", CONVNEXT).append(CONVNEXT, digests, half, provenance)
    store.write_dataset(
        DatasetIndex(
            name="photos",
            root="/data/photos",
            path=["a cat.jpg", "größe\n.jpg", "b'\udcff'.jpg", "double.jpg", "broken.jpg"],
            label=["cat", "dog", "dog", "cat", ""],
            split=["train", "train", "test", "test", ""],
            group=["", "g1", "g1", "", ""],
            image_sha256=np.concatenate([digests[[0, 1, 2, 0]], np.zeros((1, 32), np.uint8)]),
            status=np.array([0, 0, 0, 0, 1], np.uint8),
            reason=["", "", "", "", "is truncated"],
            stamps=FileStamps(np.arange(20, dtype=np.int64).reshape(5, 4) - 1),
        )
    )


def write_archived_model(file: Path) -> None:
    """Write a model of two backbones and three classes."""

    def linear(dim: int) -> LinearMap:
        coef = (np.arange(3 * dim).reshape(dim, 3) % 7 / 4 - 0.5).astype(np.float32)
        return LinearMap(coef, np.array([0.5, 0.0, -0.25], np.float32))

    names = {"resnet50": RESNET50, "convnext": CONVNEXT}
    model = StackModel(
        task="classification",
        classes=["cat", "dog", "größe"],
        backbones=[ModelBackbone(name, feature_set_id(name, spec), spec) for name, spec in names.items()],
        bases=[linear(4), linear(4)],
        learner="svm",
        scores="probability",
        combine="concat",
        meta_linear=linear(6),
        scale=1.5,
        n_images=40,
        digests_sha256="ab" * 32,
        score={"accuracy": "0.905 ± 0.004 (3 folds)"},
        versions={"stackbone": "0.1.0"},
        created="2026-01-01T00:00:00+00:00",
    )
    write_model(model, file)


def archived_steering() -> Steering:
    """Return a steering of two tensors that saw three images."""
    return Steering(
        method="toast",
        stage="tune",
        backbone="timm:convnext_tiny.fb_in22k",
        spec=replace(CONVNEXT, precision="fp32", view="plain", steering=None),
        options={"rank": 4},
        classes=["cat", "größe", "b'\udcff'"],
        seen=np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(3)]),
        division={"cv": 3, "seed": 0, "fold": 1},
        training={"epochs": 2, "seed": 0, "parent": None, "versions": {"torch": "2.14.1"}},
        history=[{"loss": 1.5, "accuracy": 0.25}, {"loss": 0.75, "accuracy": 0.5}],
        tensors={
            "select": (np.arange(12).reshape(3, 4) / 8).astype(np.float32),
            "head.bias": np.array([0.5, 0.0, -0.25], np.float32),
        },
    )


def write_record(folder: Path) -> None:
    """Write what the archived steering saw."""
    write_seen(folder, archived_steering().record("cd" * 32))


def write_archived_boxes(root: Path) -> None:
    """Write the boxes of three images, one of them without an object."""
    digests = [hashlib.sha256(b"image %d" % i).digest() for i in range(3)]
    corners = np.array([[0, 0, 640, 480], [1.5, 2.25, 3, 4]], np.float32)
    yes, no = np.array([True, False]), np.array([False, True])
    none = ImageBoxes(corners[:0], (), yes[:0], no[:0], 3, 5)
    one = ImageBoxes(corners[1:], ("größe",), yes[1:], no[1:])
    images = [ImageBoxes(corners, ("cat", "größe"), yes, no, 640, 480), none, one]
    write_boxes(root, "photos", box_table(dict(zip(digests, images, strict=True)), "voc"))


def write_archived_corrections(root: Path) -> None:
    """Write the corrected labels of two images."""
    digests = np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(2)])
    write_batch(
        root, "photos", Batch(["a cat.jpg", "größe\n.jpg"], ["dog", ""], ["cat", "dog"], digests, "", "fix.csv")
    )


def write_archived_findings(root: Path) -> None:
    """Write what two parts of a run found out about three images, about one of them both."""
    digests = [hashlib.sha256(b"image %d" % i).digest() for i in range(3)]
    found = {
        digests[0]: Finding(FAILED, "größe \udcff"),
        digests[1]: Finding(UNREAD, "no permission"),
        digests[2]: Finding(READ, "is cut short; took the first of 2 frames"),
    }
    write_findings(root, "photos", found)
    write_findings(root, "photos", {digests[0]: Finding(READ)})


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if target.suffix == ".stackbone":
        write_archived_model(target)
    elif target.suffix == ".safetensors":
        write_steering(target, archived_steering())
    elif target.name.startswith("seen"):
        write_record(target)
    elif target.name.startswith("boxes"):
        write_archived_boxes(target)
    elif target.name.startswith("corrections"):
        write_archived_corrections(target)
    elif target.name.startswith("findings"):
        write_archived_findings(target)
    else:
        write_cache(target)
