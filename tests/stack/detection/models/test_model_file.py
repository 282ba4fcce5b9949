"""A saved detector is read back as it was, and what is damaged, newer or of another kind is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import ModelError
from stackbone.stack import load_model
from stackbone.stack.detection.models.model import DetectionModel
from stackbone.stack.detection.models.model_file import (
    is_detection_model,
    load_detection_model,
    save_detection_model,
)
from stackbone.stack.detection.run import run_detection
from tests.made.checkout import ARCHIVES
from tests.made.detection import make_detection_cache


@pytest.fixture
def model(tmp_path: Path) -> DetectionModel:
    experiment = run_detection(make_detection_cache(tmp_path / "cache"), heads="cells", cv=2, with_model=True)
    assert experiment.model is not None
    return experiment.model


def test_a_model_finds_the_same_boxes_after_it_was_read_back(model: DetectionModel, tmp_path: Path) -> None:
    save_detection_model(model, tmp_path / "m")
    again = load_detection_model(tmp_path / "m")
    store = make_detection_cache(tmp_path / "cache")
    digests = store.dataset("shapes").image_sha256
    sources = [store.feature_set(each.name, each.spec).maps() for each in model.backbones]
    sizes = np.full((40, 2), 64)
    for one, other in zip(model.detect(sources, digests, sizes), again.detect(sources, digests, sizes), strict=True):
        assert np.array_equal(one.corners, other.corners)
        assert np.array_equal(one.scores, other.scores)
    assert again.thresholds.tolist() == model.thresholds.tolist()
    assert again.describe() == model.describe()
    assert again.knows(digests).all()
    assert not again.knows(~digests).any()


def test_its_kind_is_told_apart(model: DetectionModel, tmp_path: Path) -> None:
    save_detection_model(model, tmp_path / "m")
    assert is_detection_model(tmp_path / "m")
    assert not is_detection_model(ARCHIVES / "model-v2.stackbone")
    assert not is_detection_model(tmp_path / "absent")
    with pytest.raises(ModelError, match="is a detection model"):
        load_model(tmp_path / "m")
    with pytest.raises(ModelError, match="not a detection model of Stackbone"):
        load_detection_model(ARCHIVES / "model-v2.stackbone")


def test_a_changed_byte_is_refused(model: DetectionModel, tmp_path: Path) -> None:
    file = tmp_path / "m"
    save_detection_model(model, file)
    content = file.read_bytes()
    for place in (len(content) - 1, content.index(b"disc")):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ModelError, match="not a valid detection model"):
            load_detection_model(file)
    file.write_bytes(content[:-3])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_detection_model(file)


def test_a_newer_version_is_told(model: DetectionModel, tmp_path: Path) -> None:
    file = tmp_path / "m"
    save_detection_model(model, file)
    content = file.read_bytes().replace(b'"format_version":"1"', b'"format_version":"7"')
    file.write_bytes(content)
    with pytest.raises(ModelError, match="Update Stackbone to use it"):
        load_detection_model(file)


def test_nothing_is_read_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not exist\. Name a file that `stackbone detect --save FILE` wrote"):
        load_detection_model(tmp_path / "absent")
