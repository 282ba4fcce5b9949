"""A forecast counts what a run would compute, scales a measurement, and leaves the cache as it was."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import DatasetError, FeatureStore, UsageError
from stackbone.extract import open_dataset
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.spread.forecast import HEADER, Forecast, forecast
from tests.made.checkout import ROOT
from tests.made.photos import write_photos

LITES = "efficientnet_lite0,efficientnet_lite1"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty images in two class folders."""
    write_photos(tmp_path / "photos" / "cat", range(10))
    write_photos(tmp_path / "photos" / "dog", range(10, 20))
    return tmp_path / "photos"


def told(photos: Path, store: FeatureStore, backbones: str = LITES, **options: Any) -> Forecast:  # noqa: ANN401
    return forecast(open_dataset(photos), backbones, store, random_seed=0, seconds=0.2, **options)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("counts")
def test_of_an_empty_cache_everything_is_to_be_embedded(
    photos: Path, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = told(photos, store)
    assert (found.n_images, found.n_unread, found.n_to_embed, found.n_rows) == (20, 20, 20, 40)
    mean = np.mean([file.stat().st_size for file in photos.rglob("*.png")])
    assert found.n_bytes == round(20 * mean)
    assert found.measured is not None
    assert 0 < found.measured.n_embedded <= found.measured.n_tried <= 20
    assert found.measured.memory_bytes > 10 << 20
    assert not store.root.exists()
    assert not [*tmp_path.glob("stackbone-plan-*")]


@pytest.mark.usefixtures("counts")
def test_the_size_of_the_cache_is_that_which_a_run_writes(photos: Path, store: FeatureStore) -> None:
    found = told(photos, store)
    run_module.extract(open_dataset(photos), LITES, store, random_seed=0)
    written = sum(file.stat().st_size for file in Path(str(store.root)).glob("efficientnet*/*.h5"))
    assert written / 2 < found.cache_bytes < written * 2
    assert found.feature_sets == [each.id for each in store.feature_sets()]


@pytest.mark.usefixtures("counts")
def test_what_the_cache_has_does_not_count_and_stays_as_it_is(photos: Path, store: FeatureStore) -> None:
    run_module.extract(open_dataset(photos), "efficientnet_lite0", store, random_seed=0)
    write_photos(photos / "cat", [30, 31])
    before = files_in(Path(str(store.root)))
    found = told(photos, store)
    assert (found.n_images, found.n_unread, found.n_changed, found.n_to_embed) == (22, 2, 0, 22)
    assert found.n_rows == 20 + 2 * 2
    assert files_in(Path(str(store.root))) == before


@pytest.mark.usefixtures("counts")
def test_with_nothing_to_embed_nothing_is_measured(photos: Path, store: FeatureStore, counts: dict[str, int]) -> None:
    (photos / "cat" / "00.png").write_bytes(b"no image")
    run_module.extract(open_dataset(photos), LITES, store, random_seed=0)
    counts.clear()
    found = told(photos, store)
    assert (found.measured, found.shares, found.n_to_embed, counts) == (None, [], 0, {})
    assert "nothing to embed" in found.lines()[0]
    assert told(photos, store, retry_failed=True).n_to_embed == 1


@pytest.mark.usefixtures("counts")
def test_files_that_changed_since_they_were_listed_count_as_new(photos: Path, store: FeatureStore) -> None:
    run_module.extract(open_dataset(photos), LITES, store, random_seed=0)
    write_photos(photos / "cat", [40, 41])
    for old, new in (("00", "40"), ("01", "41")):
        (photos / "cat" / f"{new}.png").replace(photos / "cat" / f"{old}.png")
    found = told(photos, store)
    assert (found.n_unread, found.n_changed, found.n_to_embed, found.n_rows) == (2, 2, 2, 4)
    assert "2 of these changed since they were listed" in "\n".join(found.lines())
    assert run_module.extract(open_dataset(photos), LITES, store, random_seed=0).n_decoded == 2
    assert told(photos, store).n_to_embed == 0


@pytest.mark.usefixtures("counts")
def test_another_folder_of_the_same_name_is_new_and_one_that_moved_is_not(
    photos: Path, store: FeatureStore, tmp_path: Path
) -> None:
    run_module.extract(open_dataset(photos), LITES, store, random_seed=0)
    other = tmp_path / "other" / "photos"
    write_photos(other / "cat", range(50, 60))
    write_photos(other / "dog", range(60, 70))
    names = [f"{number:02d}.png" for number in range(20)]
    for at, file in enumerate(sorted(other.rglob("*.png"))):
        file.rename(file.with_name(names[at]))
    assert open_dataset(other).paths == open_dataset(photos).paths
    found = told(other, store)
    assert (found.n_unread, found.n_changed, found.n_to_embed, found.n_rows) == (20, 20, 20, 40)
    moved = tmp_path / "moved" / "photos"
    moved.parent.mkdir()
    photos.rename(moved)
    assert told(moved, store).n_to_embed == 0


@pytest.mark.usefixtures("counts")
def test_images_of_an_archive_that_changed_count_as_new(tmp_path: Path, store: FeatureStore) -> None:
    def write(first: int) -> None:
        write_photos(tmp_path / "made", range(first, first + 4))
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
            for at, file in enumerate(sorted((tmp_path / "made").glob("*.png"))[-4:]):
                archive.write(file, f"cat/{at}.png")

    write(0)
    run_module.extract(open_dataset(tmp_path / "photos.zip"), LITES, store, random_seed=0)
    assert told(tmp_path / "photos.zip", store).n_to_embed == 0
    write(10)
    found = told(tmp_path / "photos.zip", store)
    assert (found.n_images, found.n_unread, found.n_to_embed) == (4, 4, 4)


@pytest.mark.usefixtures("counts")
def test_several_machines_divide_all_but_the_reading_and_the_start(photos: Path, store: FeatureStore) -> None:
    found = told(photos, store, n_workers=[1, 4, 7])
    assert [each.n_images for each in found.shares] == [20, 5, 3]
    m = found.measured
    assert m is not None
    for each in found.shares:
        expected = 20 * m.hash_seconds_an_image + m.start_seconds + math.ceil(20 / each.n_workers) / m.images_per_s
        assert each.seconds == pytest.approx(expected)
    assert [row[:2] for row in found.rows()] == [["this machine", "20"], ["4 like it", "5"], ["7 like it", "3"]]
    assert len(HEADER) == len(found.rows()[0])


@pytest.mark.usefixtures("counts")
def test_images_that_cannot_be_read_are_said_or_an_error(photos: Path, store: FeatureStore) -> None:
    for file in photos.glob("cat/*.png"):
        file.write_bytes(b"no image at all")
    found = told(photos, store)
    assert found.measured is not None
    for file in photos.rglob("*.png"):
        file.unlink()
        file.symlink_to("nowhere")
    with pytest.raises(DatasetError) as caught:
        told(photos, store)
    said = str(caught.value)
    assert said.startswith("found none that can be read of the 20 images of 'photos' that were tried")
    assert f"{photos}/" in said
    assert "No such file or directory. Put the files back" in said


def test_arrays_in_memory_have_no_forecast(store: FeatureStore) -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(
        UsageError,
        match=r"found arrays in memory as the 2 images of 'arrays'; expected image files, .*: call `extract`",
    ):
        forecast(open_dataset(images, name="arrays"), LITES, store)


@pytest.mark.slow
def test_the_command_measures_real_networks(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "cli.py", "plan", str(photos), "--backbones", "efficientnet_lite0", "--seconds", "0.5"]
    command += ["--cache", str(tmp_path / "features"), "--machines", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "to embed: 20 images with efficientnet_lite0-" in done.stdout
    assert "3 like it" in done.stdout
    as_json = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(as_json.stdout)
    assert [each["n_workers"] for each in found["shares"]] == [1, 3]
    assert found["measured"]["images_per_s"] > 0
    assert not os.path.exists(tmp_path / "features")
