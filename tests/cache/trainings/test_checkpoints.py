"""A checkpoint is used by the run that wrote it, while it is whole, and by no other."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError
from stackbone.cache.trainings.checkpoints import checkpoint_path, load_checkpoint, remove_checkpoint, save_checkpoint

TENSORS = {"now.a": np.arange(6, dtype=np.float32).reshape(2, 3), "optimiser.step.a": np.array(3, np.float32)}
FACTS = {"history": [{"loss": 0.1 + 0.2}], "best": 0}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = checkpoint_path(tmp_path / "folder" / "vit.safetensors")
    save_checkpoint(path, "run", FACTS, TENSORS)
    return path


def test_it_lies_beside_the_result_and_does_not_pass_for_one() -> None:
    assert checkpoint_path(Path("a/vit.safetensors")) == Path("a/vit.safetensors.partial")


def test_what_was_saved_comes_back_to_the_bit(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load_checkpoint(path, "run")
    assert found is not None
    facts, tensors = found
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], array)
        assert tensors[name].shape == array.shape
    assert caplog.text == ""


def test_without_a_file_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_checkpoint(tmp_path / "none", "run") is None
    assert caplog.text == ""


def test_that_of_another_run_is_not_used(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_checkpoint(path, "other") is None
    assert "other options, images or another backbone. The training starts over" in caplog.text


@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_one_is_not_used(path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    damaged = {
        "truncated": content[:-4],
        "flipped": content,
        "empty": bytearray(),
        "foreign": bytearray(b"none at all"),
    }
    path.write_bytes(damaged[kind])
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(path, "run") is None
    assert "not a sound checkpoint" in caplog.text


@pytest.mark.parametrize("place", ["pipe", "folder", "/dev/zero"])
def test_a_checkpoint_in_whose_place_is_something_else_is_not_waited_for(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert load_checkpoint(tmp_path / place, "run") is None
    assert "not a sound checkpoint" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"could not write .*x\.partial"):
        save_checkpoint(tmp_path / "file" / "x.partial", "run", FACTS, TENSORS)


def test_it_is_removed_once(path: Path) -> None:
    remove_checkpoint(path)
    remove_checkpoint(path)
    assert not path.exists()
